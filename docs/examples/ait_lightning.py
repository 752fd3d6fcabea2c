"""
Augmentation invariant training with Lightning
==============================================

A strategy decides how often an image is augmented and what the loss is. ``ait`` wants two views of every image, whose predictions
and features are to agree. With a method, a LightningModule has nothing to do for it.
"""

# %%
import logging
import warnings

import lightning
import matplotlib.pyplot as plt
import torch
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader, TensorDataset

import augury
from augury.adapters.lightning import MethodTraining

logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
warnings.filterwarnings("ignore", module="lightning")  # hints about workers and loggers

digits = load_digits()
images = torch.tensor(digits.images * 15.9375).to(torch.uint8)[:, None]
labels = torch.tensor(digits.target)
train = augury.with_ids(TensorDataset(images[:300], labels[:300]))  # (image, label, id): draws follow the image
test = TensorDataset(images[300:], labels[300:])


# %%
# The module
# ----------
# Augmentation, strategy and network are one object, ``self.method``; optimiser and validation are yours.


class Classifier(MethodTraining, lightning.LightningModule):
    def __init__(self, strategy: str) -> None:
        super().__init__()
        model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 128), torch.nn.ReLU(), torch.nn.Linear(128, 10))
        self.method = augury.method(
            model, augment="crop(padding=1)+cutout(length=2)", strategy=strategy, classes=10, mean=[0.3], std=[0.38]
        )

    def validation_step(self, batch, batch_idx):
        images, labels = batch  # normalised already
        self.log("accuracy", (self(images).argmax(1) == labels).float().mean())

    def configure_optimizers(self):
        return torch.optim.SGD(self.method.parameters(), lr=0.05, momentum=0.9)


# %%
# Two strategies
# --------------

accuracies = {}
for strategy in ("erm", "ait"):
    lightning.seed_everything(0, verbose=False)
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = lightning.Trainer(max_epochs=12, accelerator="cpu", **quiet)
    trainer.fit(Classifier(strategy), DataLoader(train, 50, shuffle=True), DataLoader(test, 500))
    accuracies[strategy] = float(trainer.callback_metrics["accuracy"])
print(accuracies)
assert min(accuracies.values()) > 0.6

# %%
# One seed proves nothing; ``augury compare digits --strategy erm,ait --seeds 3`` trains several and gives an interval.

figure, axis = plt.subplots(figsize=(4, 1.6))
axis.barh(list(accuracies), [100 * value for value in accuracies.values()], color="#0b5c8a")
axis.set_xlabel("accuracy, %")
figure.tight_layout()
