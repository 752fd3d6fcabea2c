"""
Searching a policy, and exporting it
====================================

``augury search`` looks for a policy on your images, trains its winner and the winner of an equally large random search, and says
which is better. What it finds is a file that can be read, used by name, and written as code for other libraries.
"""

# %%
# A very small search
# -------------------
# Six candidates of three epochs, for the sake of this page. On the command line:
# ``augury search digits --method randaugment --budget 6 --output found``.

import subprocess
import sys
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from sklearn.datasets import load_sample_images

import augury

folder = Path(tempfile.mkdtemp())
command = "search digits --method randaugment --budget 6 --epochs 3 --seeds 2 --final-epochs 5 --quiet --output found"
subprocess.run([sys.executable, "-m", "augury", *command.split()], cwd=folder, check=True, capture_output=True)
print((folder / "found" / "found.yaml").read_text()[:600])

# %%
# Use it
# ------
# The file is an augmentation like any other, alone or in a chain.

temple = torch.tensor(load_sample_images().images[0])[:384, 128:512].permute(2, 0, 1)
pipeline = augury.pipeline(f"{folder}/found/found.yaml")
figure, axes = plt.subplots(1, 4, figsize=(9, 2.4))
for axis, image in zip(axes, pipeline(temple.expand(4, -1, -1, -1)), strict=True):
    axis.imshow(image.permute(1, 2, 0))
    axis.axis("off")
figure.tight_layout()

# %%
# Export it
# ---------
# As Python that needs Pillow alone; ``to="torchvision"``, ``"timm"`` and ``"albumentations"`` write code for these libraries.

code = augury.export_policy(f"{folder}/found/found.yaml", to="python").code
print("\n".join(code.splitlines()[:30]))
compile(code, "found.py", "exec")
