"""
Finding and patching a weak subgroup
====================================

Most even digits of ``digits_correlation`` are clean and most odd ones have a zigzag behind them. A network learns the zigzag; on
the few images where it misleads, it fails. The mean accuracy hides that, the worst group shows it.
"""

# %%
# Find
# ----
# A group is a pair of class and subgroup. Plain training, and the accuracy of all test images beside that of the worst group.

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt

import augury
from augury.train.data.groups import groups_of

groups = groups_of(augury.dataset("digits_correlation"))
print(dict(zip(groups.names, groups.counts.tolist(), strict=True)))

folder = Path(tempfile.mkdtemp())
settings = {"epochs": 12, "lr": 0.03, "quiet": True}
plain = augury.fit("digits_correlation", output=folder / "plain", **settings)
found = plain.result["test_metrics"]
print(f"all {found['accuracy']:.1f} %, worst group {found['worst_group']:.1f} %")

# %%
# Patch
# -----
# Group DRO gives the groups with high losses more weight, in batches that hold as many images of each group. ``augury patch`` also
# learns to translate images from one subgroup to another, and trains on those; see :doc:`/patch`.

patched = augury.fit(
    "digits_correlation", strategy="group_dro(adjustment=1)", sampling="groups", output=folder / "patched", **settings
)

# %%
# Before and after
# ----------------

before, after = ([run.result["test_metrics"][key] for key in ("accuracy", "worst_group")] for run in (plain, patched))
figure, axis = plt.subplots(figsize=(7, 2))
for offset, values, label, colour in ((0.2, before, "plain", "#b0b8bf"), (-0.2, after, "group DRO", "#0b5c8a")):
    axis.barh([1 + offset, offset], values, 0.4, label=label, color=colour)
axis.set_yticks([1, 0], ["all", "worst group"])
axis.set_xlabel("accuracy on the test part, %")
axis.legend(loc="lower right")
figure.tight_layout()
print(f"worst group {before[1]:.1f} % -> {after[1]:.1f} %, all {before[0]:.1f} % -> {after[0]:.1f} %")
assert after[1] > before[1]
