"""A made data set as Market-1501 lays it out: people in coloured clothes, seen by several cameras."""

from pathlib import Path

import numpy as np
from PIL import Image


def write_market(root: Path, *, people: int = 8, cameras: int = 3, shots: int = 4) -> Path:
    """`people` training identities and as many to find; the first shot of every camera is a query."""
    random = np.random.default_rng(0)
    for name in ("bounding_box_train", "query", "bounding_box_test"):
        (root / name).mkdir(parents=True)
    picture = np.zeros((32, 16, 3), np.uint8)
    for person in range(1, 2 * people + 1):
        upper, lower = random.integers(40, 255, (2, 3))
        for camera in range(1, cameras + 1):
            for shot in range(shots):
                values = np.full((32, 16, 3), random.integers(0, 80), float)
                values[4:16, 3:13], values[16:30, 4:12] = upper, lower
                values = values * (0.8 + 0.1 * camera) + random.normal(0, 8, values.shape)
                picture = values.clip(0, 255).astype(np.uint8)
                folder = "bounding_box_train" if person <= people else "query" if shot == 0 else "bounding_box_test"
                Image.fromarray(picture).save(root / folder / f"{person:04d}_c{camera}s1_{shot:06d}_00.png")
    for name in ("-1_c1s1_000000_00.png", "0000_c2s1_000000_00.png"):
        Image.fromarray(picture).save(root / "bounding_box_test" / name)
    return root
