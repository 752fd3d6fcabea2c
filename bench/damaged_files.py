"""How many damaged image files are noticed, per format: bits flipped, ends cut off, sixteen bytes zeroed.

    python bench/damaged_files.py --output results/damaged_files.json

A photograph of scikit-learn at 160x107 is written in every format that Augury reads and damaged `--files` times, each kind of
damage a third. A file is refused, decoded to the same pixels, or decoded to others. PNG carries checksums, which are asked; the
other formats have none for their pixels, and what they decode to cannot be told from another photograph.
"""

import argparse
import io
import json
from collections import Counter
from pathlib import Path

import numpy as np
import PIL
from PIL import Image
from sklearn.datasets import load_sample_image

from augury.train.data.image import read_plain

FORMATS = {
    "PNG": {}, "JPEG": {"quality": 90}, "JPEG, progressive": {"quality": 90, "progressive": True}, "WEBP": {},
    "WEBP, lossless": {"lossless": True}, "AVIF": {}, "JPEG2000": {}, "GIF": {}, "TIFF": {},
    "TIFF, LZW": {"compression": "tiff_lzw"}, "TIFF, deflate": {"compression": "tiff_deflate"}, "BMP": {}, "PPM": {},
}  # fmt: skip
KINDS = ("bit flipped", "cut", "zeroed")


def damaged(data: bytes, number: int) -> bytes:
    """The number-th damage, of the kind number modulo 3, at a place drawn for the number."""
    random = np.random.default_rng(number)
    place = int(random.integers(len(data)))
    if number % 3 == 0:
        return data[:place] + bytes([data[place] ^ 1 << int(random.integers(8))]) + data[place + 1 :]
    if number % 3 == 1:
        return data[:place]
    return data[:place] + bytes(min(16, len(data) - place)) + data[place + 16 :]


def measure(files: int) -> dict[str, dict[str, dict[str, int]]]:
    """Format to kind of damage to outcome to number of files."""
    picture = Image.fromarray(load_sample_image("flower.jpg")).resize((160, 107))
    found = {}
    for name, options in FORMATS.items():
        out = io.BytesIO()
        picture.save(out, name.split(",")[0], **options)
        data = out.getvalue()
        whole = np.asarray(read_plain(data, 3)[0])
        counts: dict[str, Counter[str]] = {kind: Counter() for kind in KINDS}
        for number in range(files):
            harmed = damaged(data, number)
            try:
                pixels = np.asarray(read_plain(harmed, 3)[0])
                outcome = "identical" if np.array_equal(pixels, whole) else "different"
            except Exception:
                outcome = "refused"
            counts[KINDS[number % 3]][outcome] += 1
        found[name] = {kind: dict(each) for kind, each in counts.items()}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=600, help="damaged files per format (600)")
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    result = {"files": options.files, "pillow": PIL.__version__, "formats": measure(options.files)}
    options.output.write_text(json.dumps(result, indent=1) + "\n")
    for name, kinds in result["formats"].items():
        print(name, kinds)


if __name__ == "__main__":
    main()
