"""The documentation site. `make docs` builds it whole; `make docs-quick` leaves out the pictures and does not
execute the examples.

Nothing is fetched, neither while the site is built nor while it is read.
"""

import os
import shutil
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
shutil.rmtree(HERE / "reference" / "generated", ignore_errors=True)  # pages of names that are no longer public

os.environ.setdefault("AUGURY_BACKEND", "plain")  # pictures: no waiting for compiled kernels

from _site import examples  # noqa: E402

import augury  # noqa: E402

QUICK = os.environ.get("AUGURY_DOCS") == "quick"

project = "Augury"
author = "the authors of Augury"
release = version = augury.__version__
language = "en"

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
    "_site",
]
exclude_patterns = ["_build", "_site", "examples"]
templates_path = ["_site/templates"]

# Markdown: headings have the anchors that they have on GitHub, so that one link works in both places.
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
myst_enable_extensions = ["colon_fence", "deflist", "attrs_inline"]
myst_heading_anchors = 4

# The reference: a page for every public name, from its docstring.
autosummary_generate = True
autosummary_ignore_module_all = False
autosummary_imported_members = True
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
add_module_names = False

sphinx_gallery_conf = examples.settings(execute=not QUICK)

html_theme = "furo"
html_title = "Augury"
html_static_path = ["_site/static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#0b5c8a", "color-brand-content": "#0b5c8a"},
    "dark_css_variables": {"color-brand-primary": "#6cb8e6", "color-brand-content": "#6cb8e6"},
}
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
smartquotes = False  # or --flags lose a dash
pygments_style = "a11y-high-contrast-light"  # comes with furo
pygments_dark_style = "github-dark"
