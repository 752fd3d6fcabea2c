"""
Ten minutes with your own folder
================================

Class folders of photographs, a comparison of augmentations, and what its result holds. The folder is made here of pieces of two
photographs; put the path of yours in its place.
"""

# %%
# A folder with ``train/`` and ``test/``, and one folder for each class in both.
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_sample_images

import augury

photographs = Path(tempfile.mkdtemp()) / "photographs"
random = np.random.default_rng(0)
for name, image in zip(("temple", "flower"), load_sample_images().images, strict=True):
    for part, count in (("train", 60), ("test", 40)):
        folder = photographs / part / name
        folder.mkdir(parents=True)
        for number in range(count):
            top, left = random.integers(0, image.shape[0] - 64), random.integers(0, image.shape[1] - 64)
            Image.fromarray(image[top : top + 64, left : left + 64]).resize((32, 32)).save(folder / f"{number}.png")

# %%
# Train every augmentation with every seed, at the same number of steps. On the command line, this is
# ``augury compare photographs --augment none,flip,standard --epochs 3 --seeds 2 --output compared``.
found = augury.compare(
    str(photographs), augment="none,flip,standard", epochs=3, seeds=2, output=photographs.parent / "compared", quiet=True
)
for row in found.result["rows"]:
    print(f"{row['augment']:10} {row['mean']:5.1f} %  {row['verdict']}")

# %%
# With three epochs and two seeds there is rarely a verdict: *no difference shown* says that these seeds and test images cannot tell
# the rows apart. ``compared/report.html`` shows learning curves, and images before and after.
assert [row["augment"] for row in found.result["rows"]] == ["none", "flip", "standard"]
assert (photographs.parent / "compared" / "report.html").is_file()
