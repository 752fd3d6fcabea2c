"""
Ten minutes with a folder
=========================

Which augmentation suits the photographs in a folder? Here the folder is made of tiles of two photographs; yours is already there.
"""

# %%
# The folder
# ----------
# Class folders in ``train/`` and ``test/``, with images of any size. The two photographs are cut into tiles, of which the
# right-hand ones are kept for the test.

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from PIL import Image
from sklearn.datasets import load_sample_images

import augury

folder = Path(tempfile.mkdtemp()) / "photographs"
for name, photograph in zip(["temple", "flower"], load_sample_images().images, strict=True):
    for row in range(0, 384, 64):
        for column in range(0, 640, 64):
            part = "train" if column < 384 else "test"
            (folder / part / name).mkdir(parents=True, exist_ok=True)
            tile = Image.fromarray(photograph[row : row + 64, column : column + 64])
            tile.save(folder / part / name / f"{row}-{column}.png")

# %%
# Look first
# ----------
# Every row is an image of the folder, and every column a draw. Ask of each picture whether a person would still give it its label.

data = augury.dataset(str(folder), image_size=32)
contrast = data.train.images.float().std((1, 2, 3))
images = torch.stack([data.train.images[(contrast * (data.train.labels == label)).argmax()] for label in range(2)])
figure, axes = plt.subplots(2, 6, figsize=(9, 3.2))
for column, text in enumerate(["none", "flip", "standard", "trivialaugment", "randaugment", "cutout"]):
    for row, image in enumerate(augury.pipeline(text)(images)):
        axes[row, column].imshow(image.permute(1, 2, 0))
        axes[row, column].axis("off")
    axes[0, column].set_title(text, fontsize=9)
figure.tight_layout()

# %%
# Compare
# -------
# Two seeds of eight epochs are enough to show how it works, and too few to show a small difference: every row has an interval, and
# says "no difference shown" if it holds zero. On the command line:
# ``augury compare photographs --augment none,standard,trivialaugment --seeds 2 --epochs 8 --output compared``.

compared = augury.compare(
    str(folder),
    augment=["none", "standard", "trivialaugment"],
    seeds=2,
    epochs=8,
    image_size=32,
    output=folder.parent / "compared",
    quiet=True,
)
for row in compared.rows:
    print(f"{row.augment:15} {row.mean:5.1f} %  {row.verdict}")
assert (compared.path / "report.html").is_file()

# %%
# ``compared/report.html`` shows the same with curves and classes. :doc:`/recommend` chooses the candidates, the network and the
# epochs too, and gives one answer.
