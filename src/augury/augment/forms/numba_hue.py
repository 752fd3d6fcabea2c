"""The numba back end's hue kernel: Pillow's rgb2hsv and hsv2rgb, pixel by pixel, rounded as augury.augment.forms.hue does."""

import numpy as np

from augury.core.jit import jit, part


@jit
def hue(images, out, levels, start, stop):
    sectors, parts = np.empty(256, np.int64), np.empty(256, np.float64)
    for h in range(256):
        place = h * 6.0 / 255.0
        sectors[h] = np.int64(np.floor(place)) % 6
        parts[h] = np.float64(np.float32(place - np.floor(place)))
    for i in range(start, stop):
        turn = levels[i] % 256
        flat, into = images[i].reshape(3, -1), out[i].reshape(3, -1)
        for k in range(flat.shape[1]):
            red, green, blue = flat[0, k], flat[1, k], flat[2, k]
            high, low = max(red, green, blue), min(red, green, blue)
            if turn == 0 or high == low:
                into[0, k], into[1, k], into[2, k] = red, green, blue
                continue
            h = (_hue_of(red, green, blue, high, low) + turn) & 255
            span = np.float32(high - low) / np.float32(high)
            saturation = np.int64(np.float64(span) * 255.0)
            share = np.float64(np.float32(saturation) / np.float32(255))
            sector, part, value = sectors[h], parts[h], np.float64(high)
            p = _level(value * (1.0 - share))
            # Of the two between the ends a sector needs one.
            other = _level(value * (1.0 - share * (part if sector & 1 else 1.0 - part)))
            if sector == 0:
                into[0, k], into[1, k], into[2, k] = high, other, p
            elif sector == 1:
                into[0, k], into[1, k], into[2, k] = other, high, p
            elif sector == 2:
                into[0, k], into[1, k], into[2, k] = p, high, other
            elif sector == 3:
                into[0, k], into[1, k], into[2, k] = p, other, high
            elif sector == 4:
                into[0, k], into[1, k], into[2, k] = other, p, high
            else:
                into[0, k], into[1, k], into[2, k] = high, p, other


@part
def _hue_of(red, green, blue, high, low):
    """0..255; float32 quotients, sums in float64, truncated."""
    span = np.float32(high - low)
    to_red, to_green = np.float32(high - red) / span, np.float32(high - green) / span
    to_blue = np.float32(high - blue) / span
    if red == high:
        angle = np.float32(to_blue - to_green)
    elif green == high:
        angle = np.float32(2.0 + np.float64(to_red) - np.float64(to_blue))
    else:
        angle = np.float32(4.0 + np.float64(to_green) - np.float64(to_red))
    place = np.float64(angle) / 6.0 + 1.0
    part = np.float32(place - 1.0 if place >= 1.0 else place)
    return np.int64(min(np.float64(part) * 255.0, 255.0))


@part
def _level(value):
    return np.uint8(min(max(np.floor(value + 0.5), 0.0), 255.0))
