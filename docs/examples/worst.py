"""
Replaying the worst sample
==========================

A draw depends on seed, epoch and the number of the image, and on nothing else. So the image that a network got most wrong can be
shown as it was at the time, and again next week.
"""

# %%
# A training with three wrong labels
# ----------------------------------
# A loop of your own on handwritten digits; three labels are changed, as they are wrong in every large data set.

import matplotlib.pyplot as plt
import torch
from sklearn.datasets import load_digits

import augury

digits = load_digits()
images = torch.tensor(digits.images * 15.9375).to(torch.uint8)[:600, None].repeat_interleave(2, -1).repeat_interleave(2, -2)
labels = torch.tensor(digits.target[:600])
wrong = [17, 230, 512]
labels[wrong] = (labels[wrong] + 5) % 10

torch.manual_seed(0)
pipeline = augury.pipeline("crop(padding=2)+rotate(degrees=uniform(-15, 15), p=0.5)", normalize=([0.3], [0.35]))
model = augury.model("small_cnn", classes=10, channels=1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
losses = torch.zeros(8, 600)
for epoch in range(8):
    for ids in torch.randperm(600).split(50):
        batch = augury.Batch(images[ids], None, ids)
        augmented, _ = pipeline.run(batch, augury.Noise.of(0, ids, epoch=epoch))
        loss = torch.nn.functional.cross_entropy(model(augmented.images), labels[ids], reduction="none")
        optimizer.zero_grad()
        loss.mean().backward()
        optimizer.step()
        losses[epoch, ids] = loss.detach()

# %%
# The six highest losses
# ----------------------
# On the mean over the later epochs, since in a single one a hard draw counts as much as a wrong label. The network saw the images
# in batches of fifty; here six are drawn again, alone, and get the draws that they had in the last epoch.

mean = losses[3:].mean(0)
worst = mean.argsort(descending=True)[:6]
shown = augury.pipeline("crop(padding=2)+rotate(degrees=uniform(-15, 15), p=0.5)")
batch = augury.Batch(images[worst], None, worst)
seen, trace = shown.run(batch, augury.Noise.of(0, worst, epoch=7))

figure, axes = plt.subplots(1, 6, figsize=(9, 2.2))
for place, axis in enumerate(axes):
    number = int(worst[place])
    axis.imshow(seen.images[place, 0], cmap="gray")
    axis.set_title(f"image {number}\nlabel {labels[number]}, loss {mean[number]:.1f}", fontsize=8)
    axis.axis("off")
figure.tight_layout()
print(shown.describe(trace, 0))

# %%
# The changed labels are among them. For a run of ``augury train``, ``augury preview --worst RUN --output worst.html`` makes this
# page, with the names of the files.

assert set(wrong) <= set(worst.tolist())
