"""
Replaying the worst sample
==========================

A draw depends on seed, epoch and the number of an image in its data set, and on nothing else. So the augmented image on which a
network failed can be made again, alone, and explained in words.
"""

import matplotlib.pyplot as plt
import torch
from sklearn.datasets import load_sample_images

import augury

photographs = [torch.from_numpy(image.copy()).permute(2, 0, 1) for image in load_sample_images().images]
pieces = [
    (photo[:, y : y + 96, x : x + 96], label)
    for label, photo in enumerate(photographs)
    for y in (0, 150, 300)
    for x in range(0, 540, 90)
]
images, labels = torch.stack([piece for piece, _ in pieces]), torch.tensor([label for _, label in pieces])
ids = torch.arange(len(images))

# %%
# Train for some epochs, and keep the loss of every sample.
torch.manual_seed(0)
model = augury.model("small_cnn", classes=2)
optimizer = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9)
pipeline = augury.pipeline("resized_crop+flip+trivialaugment+cutout")
worst = (-1.0, 0, 0)
for epoch in range(3):
    for rows in torch.randperm(len(ids)).split(12):
        batch = augury.Batch(images[rows], augury.Targets.of(labels[rows], 2), ids[rows])
        augmented, _ = pipeline.run(batch, augury.Noise.of(0, ids[rows], epoch=epoch))
        losses = augmented.targets.loss(model(augmented.images / 255 - 0.5))
        optimizer.zero_grad()
        losses.mean().backward()
        optimizer.step()
        worst = max(worst, (losses.max().item(), epoch, int(rows[losses.argmax()])))
loss, epoch, number = worst

# %%
# Seed, epoch and number are enough to make that image again, whatever batch it was in.
one = torch.tensor([number])
batch = augury.Batch(images[one], augury.Targets.of(labels[one], 2), one)
again, trace = pipeline.run(batch, augury.Noise.of(0, one, epoch=epoch))

figure, axes = plt.subplots(1, 2, figsize=(6, 3.3), layout="constrained")
for axis, image, title in ((axes[0], images[number], "original"), (axes[1], again.images[0], f"epoch {epoch}, loss {loss:.2f}")):
    axis.imshow(image.permute(1, 2, 0))
    axis.set_title(title)
    axis.axis("off")
print(pipeline.describe(trace, 0))

# %%
# The trace alone is enough too: applying it draws nothing.
assert pipeline.apply(batch, trace).images.equal(again.images)
