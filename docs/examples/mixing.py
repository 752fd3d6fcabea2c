"""
Mixing with correct labels
==========================

CutMix pastes a rectangle of another image. What its label must say depends on where the rectangle came to lie and, in a chain, on
what happens to the image afterwards; ``Targets`` keep account of it for every image.
"""

# %%
# A batch
# -------

import matplotlib.pyplot as plt
import torch
from sklearn.datasets import load_sample_images

import augury

temple, flower = (torch.tensor(image)[:384, 128:512].permute(2, 0, 1) for image in load_sample_images().images)
images = torch.stack([temple, flower, temple, flower])[:, :, ::3, ::3]
labels = torch.tensor([0, 1, 0, 1])  # temple, flower

# %%
# Every image has a rectangle, a partner and weights of its own. A rectangle that is cut off at the border counts by the pixels that
# are left, not by the number that was drawn.

pipeline = augury.pipeline("flip+cutmix(p=1)", seed=5)
mixed, targets = pipeline(images, labels, classes=2)

figure, axes = plt.subplots(1, 4, figsize=(9, 2.6))
for axis, image, weights in zip(axes, mixed, targets.dense(), strict=True):
    axis.imshow(image.permute(1, 2, 0))
    axis.set_title(f"temple {weights[0]:.2f}, flower {weights[1]:.2f}", fontsize=9)
    axis.axis("off")
figure.tight_layout()

# %%
# The loss
# --------
# ``targets.loss(logits)`` is the cross-entropy of every image with its weights. PyTorch's own loss takes ``Targets`` too.

logits = torch.randn(4, 2, generator=torch.Generator().manual_seed(0))
ours = targets.loss(logits).mean()
theirs = torch.nn.CrossEntropyLoss()(logits, targets)
print(f"{ours:.4f} {theirs:.4f}")
assert ours.isclose(theirs) and targets.dense().sum(1).allclose(torch.ones(4))

# %%
# Several mixes
# -------------
# Weights follow through a chain: of an image that was pasted into another by CutMix and then blended by MixUp, the label keeps the
# product.

twice = augury.pipeline("cutmix(p=1)+mixup(p=1)", seed=1)
_, targets = twice(images, torch.arange(4), classes=4)
print(targets.dense().numpy().round(2))
assert targets.dense().sum(1).allclose(torch.ones(4))
