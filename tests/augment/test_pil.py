"""PIL images become the tensors that NumPy's arrays of them are, whichever way is quicker, and the other way round."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from augury.augment.pil import SMALL, from_pil, to_pil
from augury.core.errors import InputError

SIDE = int(SMALL**0.5)  # from here on in another way


@given(st.integers(1, 2 * SIDE), st.integers(1, 2 * SIDE), st.sampled_from(["RGB", "RGBA", "P", "CMYK", "L", "LA", "1", "YCbCr"]))
def test_pixels_are_those_of_numpys_arrays(height: int, width: int, mode: str) -> None:
    pixels = np.random.default_rng(height * 1000 + width).integers(0, 256, (height, width, 3), np.uint8)
    image = Image.fromarray(pixels).convert(mode)
    right = image if mode == "L" else image.convert("RGB")
    array = np.array(right)
    found = from_pil(image)
    assert found.dtype == torch.uint8 and found.is_contiguous()
    assert np.array_equal(found.numpy(), array[None] if mode == "L" else array.transpose(2, 0, 1))
    back = to_pil(found)
    assert back.mode == right.mode and np.array_equal(np.array(back), array)


def test_the_image_is_not_shared() -> None:
    for side in (SIDE - 1, SIDE):
        image = Image.new("RGB", (side, side))
        from_pil(image).fill_(7)
        assert not np.array(image).any()


@pytest.mark.parametrize("mode", ["I", "F", "I;16"])
def test_images_of_more_than_eight_bits_are_refused(mode: str) -> None:
    with pytest.raises(InputError, match=f"a PIL image of mode {mode} has more than 8 bits"):
        from_pil(Image.new(mode, (3, 3)))
