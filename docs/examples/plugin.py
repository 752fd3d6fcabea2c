"""
An operation of your own
========================

A function and a decorator make an operation: drawn for every image, written in chains, replayed, searched, in several processes.
"""

# %%
# Vignetting
# ----------
# Lenses darken the corners of a picture. The strength is drawn; ``Uniform`` is the law that it is drawn from by default,
# ``Interval`` the values that may be given.

import matplotlib.pyplot as plt
import torch
from sklearn.datasets import load_sample_images
from torch import Tensor

import augury
from augury import Interval, Op, Parameter, Uniform, register


@register("op", "vignette", source="this example")
def vignette() -> Op:
    """Darkens the corners: `strength` is the share of light that they lose."""

    def run(images: Tensor, values: dict[str, Tensor], size: Tensor) -> Tensor:
        rows, columns = (torch.linspace(-1, 1, side) for side in images.shape[-2:])
        distance = (rows[:, None] ** 2 + columns**2) / 2  # 0 in the centre, 1 in the corners
        light = 1 - values["strength"][:, None, None].float() * distance
        return (images * light[:, None]).round().byte()

    return Op("vignette", "map", run, {"strength": Parameter(Uniform(0, 1), Interval(0, 1), "share")})


# %%
# It is a name like any other
# ---------------------------

temple = torch.tensor(load_sample_images().images[0])[:384, 128:512].permute(2, 0, 1)
images = temple.expand(4, -1, -1, -1)
drawn = augury.pipeline("flip+vignette(strength=uniform(0.4, 1))")(images)
figure, axes = plt.subplots(1, 4, figsize=(9, 2.4))
for axis, image in zip(axes, drawn, strict=True):
    axis.imshow(image.permute(1, 2, 0))
    axis.axis("off")
figure.tight_layout()

# %%
# One value for all, a value for each, and inside a policy of others:

half = augury.apply("vignette", images, strength=0.5)
each = augury.apply("vignette", images, strength=torch.tensor([0.0, 0.3, 0.6, 1.0]))
policy = augury.pipeline("randaugment(num_ops=1)+vignette(p=0.5)")
print(policy)
assert each[0].equal(temple) and half[0, :, 0, 0].float().allclose(temple[:, 0, 0] / 2, atol=1)
assert policy(images).shape == images.shape

# %%
# Kept in a file, it is loaded by ``augury.load_plugin("mine.py")`` or ``augury train DATA --plugin mine.py``; see :doc:`/plugins`.
