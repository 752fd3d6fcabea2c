"""Features that approximate kernels, kernels averaged over transformations, and the alignment of kernels with labels."""

import torch
from torch import Tensor, nn

from augury.core.noise import Noise


def fourier_features(inputs: Tensor, gamma: float, pairs: int, seed: int) -> Tensor:
    """float64 [N, 2 * pairs]: random Fourier features, whose inner products approximate exp(-gamma |x - x'|^2).

    Rahimi and Recht 2007: sines and cosines divided by sqrt(pairs), with normal frequencies of variance 2 gamma.
    """
    uniform = Noise.of(seed, torch.arange(inputs.shape[1])).fold("fourier").uniform(2 * pairs).double()
    radius = (-2 * torch.log1p(-uniform[:, :pairs])).sqrt()
    normal = radius * (2 * torch.pi * uniform[:, pairs:]).cos()
    angle = inputs @ (normal * (2 * gamma) ** 0.5)
    return torch.cat([angle.sin(), angle.cos()], 1) / pairs**0.5


def averaged_kernel(left: Tensor, right: Tensor, gamma: float) -> Tensor:
    """float64 [B,M]: the mean over s and t of exp(-gamma |h_s x - h_t x'|^2) for inputs [B,T,D] and [M,T,D], term by term."""
    count = left.shape[1]
    total = torch.zeros(len(left), len(right), dtype=torch.float64)
    for s in range(count):
        for t in range(right.shape[1]):
            total += (-gamma * torch.cdist(left[:, s], right[:, t]).square()).exp()
    return total / (count * right.shape[1])


def alignment(features: Tensor, labels: Tensor) -> float:
    """The kernel target alignment <K, Y> / (|K|_F |Y|_F), in [0, 1] for kernels without negative entries.

    Y is 1 for pairs of the same class, else 0 (Cristianini et al. 2001, with Dao et al.'s target). features: [N,D].
    """
    kernel = features @ features.T
    same = (labels[:, None] == labels[None, :]).double()
    return ((kernel * same).sum() / (kernel.norm() * same.norm()).clamp(min=1e-300)).item()


class LeNet(nn.Module):
    """LeNet for 32x32 (LeCun et al. 1998): 6 and 16 maps, 120 and 84 features; `features` returns the head's inputs."""

    def __init__(self, classes: int, seed: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 6, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
            nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(),
        )  # fmt: skip
        self.head = nn.Linear(84, classes)
        generator = torch.Generator().manual_seed(seed)
        for parameter in self.parameters():
            fan_in = parameter[0].numel() if parameter.ndim > 1 else 0
            bound = (6 / fan_in) ** 0.5 if fan_in else 0.0
            nn.init.uniform_(parameter, -bound, bound, generator=generator)

    def features(self, images: Tensor) -> Tensor:
        """float32 [N,84] from float32 [N,1,32,32]."""
        found: Tensor = self.body(images)
        return found

    def forward(self, images: Tensor) -> Tensor:
        found: Tensor = self.head(self.features(images))
        return found


def trained_lenet(images: Tensor, labels: Tensor, classes: int, seed: int, epochs: int = 15) -> LeNet:
    """A LeNet trained on float32 [N,1,32,32]: batches of 64, SGD with momentum 0.9, rate 0.02 decaying to 0, weight decay 1e-3."""
    network = LeNet(classes, seed)
    optimiser = torch.optim.SGD(network.parameters(), lr=0.02, momentum=0.9, weight_decay=1e-3)
    for epoch in range(epochs):
        for group in optimiser.param_groups:
            group["lr"] = 0.02 * (1 - epoch / epochs)
        order = Noise.of(seed, torch.arange(len(labels)), epoch=epoch).fold("order").bits(1)[:, 0].argsort()
        for rows in order.split(64):
            optimiser.zero_grad()
            nn.functional.cross_entropy(network(images[rows]), labels[rows]).backward()
            optimiser.step()
    return network.eval()
