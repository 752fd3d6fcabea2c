"""Settings of sphinx-gallery: docs/examples, executed while the site is built, in the order of a user's questions."""

from typing import Any

ORDER = ("folder", "mixing", "worst", "keepaugment", "ait_lightning", "plugin", "search_and_export", "weak_subgroup")


class Order:
    """The place of a script; a new one is named in ORDER."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def __call__(self, file: str) -> int:
        return ORDER.index(file.removesuffix(".py"))


def settings(*, execute: bool) -> dict[str, Any]:
    return {
        "examples_dirs": "examples",
        "gallery_dirs": "auto_examples",
        "filename_pattern": r"\.py$",
        "within_subsection_order": "_site.examples.Order",
        "plot_gallery": execute,
        "abort_on_example_error": True,
        "parallel": 2,
        "first_notebook_cell": "%pip install -q 'augury[lightning]'",
        "write_computation_times": False,
        "show_signature": False,
        "min_reported_time": 1,
    }
