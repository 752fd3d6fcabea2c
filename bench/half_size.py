"""CIFAR-10 averaged to 16x16: real images on which small networks can be trained for long on a CPU."""

from pathlib import Path

import numpy as np


def half_size(data_dir: str, where: Path, images: int, test_images: int) -> Path:
    """A folder of arrays in `where`, written if it is not there: `images` training and `test_images` test images of CIFAR-10, drawn
    with seed 0, means of 2x2 pixels.

    data_dir: holds cifar10/train.npz and cifar10/test.npz, `x` uint8 [N,32,32,3] and `y`.
    """
    source, folder = Path(data_dir) / "cifar10", where / "cifar10_16x16"
    if folder.exists():
        return folder
    folder.mkdir(parents=True)
    for part, count in (("train", images), ("test", test_images)):
        with np.load(source / f"{part}.npz", allow_pickle=False) as found:
            order = np.random.default_rng(0).permutation(len(found["y"]))[:count]
            x, y = found["x"][order].astype(np.float32), found["y"][order]
        half = x.reshape(len(x), 16, 2, 16, 2, 3).mean((2, 4))
        np.savez(folder / f"{part}.npz", x=np.round(half).astype(np.uint8), y=y)
    return folder
