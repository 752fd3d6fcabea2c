"""The papers' tables and figures as recipes: one TOML file each, in this folder.

A recipe's rows are training runs with their published numbers; `augury.recipes.recipe` reads them, `augury.recipes.scales`
derives their settings, `augury.recipes.needs` lists what they need.
"""

from augury.recipes.recipe import Recipe, RecipeRow, load

__all__ = ["Recipe", "RecipeRow", "load"]
