"""
KeepAugment in your own loop
============================

KeepAugment asks the network that is being trained which part of an image matters, and places cuts elsewhere. ``augury.method``
computes the saliency map inside; with a pipeline alone, pass ``saliency=``.
"""

import matplotlib.pyplot as plt
import torch
from sklearn.datasets import load_sample_images

import augury

photographs = [torch.from_numpy(image[:420, :420].copy()).permute(2, 0, 1).float() for image in load_sample_images().images]
small = [torch.nn.functional.interpolate(photo[None], size=64, mode="area")[0].byte() for photo in photographs]
images, labels = torch.stack(small).repeat(8, 1, 1, 1), torch.tensor([0, 1]).repeat(8)
ids = torch.arange(16)
mean, std = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)

# %%
# A plain loop. The method computes views, saliency and loss; the optimiser is yours.
torch.manual_seed(0)
model = augury.model("small_cnn", classes=2)
method = augury.method(model, augment="flip+keep(cutout)", classes=2, mean=mean, std=std)
optimizer = torch.optim.SGD(method.parameters(), lr=0.05, momentum=0.9)
losses = []
for epoch in range(8):
    method.start_epoch(epoch, epochs=8)
    loss = method(images, labels, ids=ids).loss
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
print("loss", [round(value, 2) for value in losses])

# %%
# The same stage as a pipeline, beside plain Cutout with the same noise.
batch, noise = augury.Batch(images, augury.Targets.of(labels, 2), ids), augury.Noise.of(0, ids)
kept, trace = augury.pipeline("keep(cutout)").run(batch, noise, saliency=augury.saliency(model.eval(), mean=mean, std=std))
plain, _ = augury.pipeline("cutout").run(batch, noise)

figure, axes = plt.subplots(2, 6, figsize=(9, 3.2), layout="constrained")
for row, (title, pictures) in enumerate((("keep(cutout)", kept.images), ("cutout", plain.images))):
    for column in range(6):
        axes[row, column].imshow(pictures[column].permute(1, 2, 0))
        axes[row, column].axis("off")
    axes[row, 0].set_title(title)

assert losses[-1] < losses[0]
assert augury.pipeline("keep(cutout)").apply(batch, trace).images.equal(kept.images)  # a replay needs no network
