"""The papers' tables and figures as recipes: one TOML file each, beside this one.

A recipe's rows are trainings with the published number; `augury.recipes.recipe` reads them, `augury.recipes.scales` makes
settings of them, `augury.recipes.needs` says what they need.
"""

from augury.recipes.recipe import Recipe, RecipeRow, load

__all__ = ["Recipe", "RecipeRow", "load"]
