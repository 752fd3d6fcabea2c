"""
An operation of your own
========================

A registered function is a name like any other: in chains, on the command line with ``--plugin``, in searches and in pickles.
"""

import matplotlib.pyplot as plt
import torch
from sklearn.datasets import load_sample_images
from torch import Tensor

import augury
from augury import Interval, Op, Parameter, Uniform, register


@register("op", "vignette", source="an example")
def vignette() -> Op:
    """Darkens the image towards its corners, by a drawn share."""

    def run(images: Tensor, values: dict[str, Tensor], size: Tensor) -> Tensor:
        rows, columns = images.shape[-2:]
        y, x = torch.linspace(-1, 1, rows)[:, None], torch.linspace(-1, 1, columns)
        shade = 1 - values["share"][:, None, None, None] * (x**2 + y**2) / 2
        return (images.float() * shade).round().byte()

    return Op("vignette", "map", run, {"share": Parameter(Uniform(0, 1), Interval(0, 1), "")})


# %%
# Every image of a batch has its own draw, as with all operations.
image = torch.from_numpy(load_sample_images().images[1][:420, :420].copy()).permute(2, 0, 1)
batch = image.expand(4, -1, -1, -1)
drawn = augury.pipeline("vignette+flip", seed=2)(batch)

figure, axes = plt.subplots(1, 4, figsize=(9, 2.4), layout="constrained")
for axis, picture in zip(axes, drawn, strict=True):
    axis.imshow(picture.permute(1, 2, 0))
    axis.axis("off")

# %%
# Values are checked against the range that was declared.
assert augury.apply("vignette", image, share=0.0).equal(image)
try:
    augury.apply("vignette", image, share=2.0)
    raise AssertionError("not refused")
except augury.InputError as error:
    print(error)
