"""Hue: rotates colours around the circle in Pillow's 8-bit HSV."""

import torch
from torch import Tensor


def hue(images: Tensor, levels: Tensor) -> Tensor:
    """images uint8 [n,3,H,W] with their hues turned by `levels` (int64 [n]) of 256; by a multiple of 256 unchanged."""
    turns = levels[:, None, None]
    h, s, v = _to_hsv(images)
    turned = _to_rgb((h + turns) % 256, s, v)
    return torch.where((turns % 256 == 0)[:, None], images, turned)


def _to_hsv(images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Pillow's rgb2hsv: float32 quotients, sums in float64, hue and saturation truncated to 8 bits."""
    red, green, blue = images.to(torch.int64).unbind(1)
    high, low = images.amax(1).to(torch.int64), images.amin(1).to(torch.int64)
    span = (high - low).clamp(min=1).to(torch.float32)
    to_red, to_green, to_blue = ((high - channel).to(torch.float32) / span for channel in (red, green, blue))
    angle = torch.where(
        red == high,
        (to_blue - to_green).double(),
        torch.where(green == high, 2.0 + to_red.double() - to_blue.double(), 4.0 + to_green.double() - to_red.double()),
    ).to(torch.float32)
    part = torch.fmod(angle.double() / 6.0 + 1.0, 1.0).to(torch.float32)
    hue_level = (part.double() * 255.0).trunc().clamp(0, 255)
    saturation = ((span / high.clamp(min=1).to(torch.float32)).double() * 255.0).trunc().clamp(0, 255)
    grey = high == low
    return torch.where(grey, 0.0, hue_level).to(torch.int64), torch.where(grey, 0.0, saturation).to(torch.int64), high


def _to_rgb(h: Tensor, s: Tensor, v: Tensor) -> Tensor:
    """Pillow's hsv2rgb, rounded to the nearest level."""
    sector = (h.double() * 6.0 / 255.0).floor()
    part = (h.double() * 6.0 / 255.0 - sector).to(torch.float32).double()
    share = (s.to(torch.float32) / 255.0).double()
    value = v.double()
    p, q, t = (
        (value * (1.0 - share * weight) + 0.5).floor().clamp(0, 255).to(torch.int64)
        for weight in (torch.ones_like(part), part, 1.0 - part)
    )
    choices = ((v, t, p), (q, v, p), (p, v, t), (p, q, v), (t, p, v), (v, p, q))
    result = torch.zeros(len(h), 3, *h.shape[1:], dtype=torch.int64, device=h.device)
    for k, channels in enumerate(choices):
        result = torch.where((sector.to(torch.int64) % 6 == k)[:, None], torch.stack(channels, 1), result)
    return torch.where((s == 0)[:, None], v[:, None], result).to(torch.uint8)
