"""
Mixing with correct labels
==========================

CutMix pastes a box of one image into another. The label has to follow the pixels: a box that is clipped at the border covers less
than it was drawn to cover, and the weight of the label is the exact share of the pixels that are left.
"""

import matplotlib.pyplot as plt
import torch
from sklearn.datasets import load_sample_images

import augury

images = torch.stack([torch.from_numpy(image[:420, :420].copy()).permute(2, 0, 1) for image in load_sample_images().images])
labels = torch.tensor([0, 1])

# %%
# A pipeline that mixes returns :class:`augury.Targets`: weighted class indices whose rows sum to 1.
mixing = augury.pipeline("cutmix(p=1)", seed=3)
mixed, targets = mixing(images, labels, classes=2)

figure, axes = plt.subplots(1, 2, figsize=(7, 3.8), layout="constrained")
for axis, image, weights in zip(axes, mixed, targets.dense(), strict=True):
    axis.imshow(image.permute(1, 2, 0))
    axis.set_title(f"{weights[0]:.3f} temple, {weights[1]:.3f} flower")
    axis.axis("off")

# %%
# Count the pixels to check: the weight of the partner's label is the share of the pixels that are the partner's.
changed = (mixed != images).any(1).double().mean((1, 2))
partner = targets.dense()[torch.arange(2), 1 - labels]
print("changed pixels", changed.tolist(), "weight of the partner", partner.tolist())
assert (changed - partner).abs().max() < 0.02  # a pasted pixel may by chance be equal to the one below it

# %%
# The loss is the cross-entropy with these weights. Targets also go where PyTorch takes class probabilities.
logits = torch.randn(2, 2)
assert targets.loss(logits).mean().allclose(torch.nn.CrossEntropyLoss()(logits, targets.dense()))
