"""
KeepAugment in your loop
========================

KeepAugment asks the network which region of an image matters, and spares it. ``keep(...)`` wraps any operation, policy or chain.
"""

# %%
# A network that knows something
# ------------------------------
# Saliency of an untrained network is noise, so a small one first learns to tell tiles of two photographs apart.

import matplotlib.pyplot as plt
import torch
from sklearn.datasets import load_sample_images

import augury

photographs = [torch.tensor(image).permute(2, 0, 1) for image in load_sample_images().images]
tiles = torch.stack([p[:, r : r + 96, c : c + 96] for p in photographs for r in range(0, 288, 48) for c in range(0, 528, 48)])
labels = torch.arange(2).repeat_interleave(len(tiles) // 2)
mean, std = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)

torch.manual_seed(0)
model = augury.model("small_cnn", classes=2)
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
saliency = augury.saliency(model, mean=mean, std=std)
pipeline = augury.pipeline("flip+keep(cutout(length=48))")

# %%
# The loop
# --------
# The map is made with the network as it is at this step. Making it changes no gradient, statistics or draw.

for step in range(20):
    ids = torch.randperm(len(tiles))[:32]
    batch = augury.Batch(tiles[ids], augury.Targets.of(labels[ids], 2), ids)
    augmented, trace = pipeline.run(batch, augury.Noise.of(0, ids, epoch=step), saliency=saliency)
    logits = model((augmented.images / 255 - 0.5) / 0.25)
    loss = augmented.targets.loss(logits).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print(f"loss {loss:.3f}")

# %%
# Beside Cutout alone
# -------------------
# Four draws of one tile: Cutout hides the flower now and then, KeepAugment does not.

tile = torch.tensor([91])
figure, axes = plt.subplots(2, 5, figsize=(9, 3.8))
for row, text in enumerate(["cutout(length=48)", "keep(cutout(length=48))"]):
    axes[row, 0].imshow(tiles[91].permute(1, 2, 0))
    for column in range(1, 5):
        batch = augury.Batch(tiles[tile], augury.Targets.of(labels[tile], 2), tile)
        drawn, _ = augury.pipeline(text).run(batch, augury.Noise.of(0, tile, epoch=column), saliency=saliency if row else None)
        axes[row, column].imshow(drawn.images[0].permute(1, 2, 0))
    for axis in axes[row]:
        axis.axis("off")
    axes[row, 0].set_title(text, fontsize=8, loc="left")
figure.tight_layout()
assert loss.isfinite()

# %%
# ``augury.method(model, augment="flip+keep(cutout)", ...)`` does the same in one call; see :doc:`/own-loop` and
# :doc:`/keepaugment`.
