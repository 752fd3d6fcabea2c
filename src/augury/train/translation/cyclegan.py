"""A CycleGAN between two subgroups and its training, which can be resumed, bit-identically on the CPU."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from augury.augment.pipeline import Pipeline
from augury.core.batch import Batch
from augury.core.errors import RunError
from augury.core.noise import Noise
from augury.core.plan import Clock
from augury.train.engine import checkpoint
from augury.train.engine.update import set_rate
from augury.train.translation.discriminator import Discriminator
from augury.train.translation.generator import TranslationGenerator
from augury.train.translation.losses import MASKED, PUBLISHED, GeneratorLosses, discriminator_loss, generator_losses, guided_losses
from augury.train.translation.replay import ReplayBuffer
from augury.train.translation.settings import TranslationSettings

_CAPACITY = 50
_BETAS = 0.5, 0.999
N = TypeVar("N", bound=nn.Module)
OnSteps = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Source:
    """Images of one subgroup: uint8 [N,C,H,W], ids int64 [N], and strata int64 [N] (classes), which are drawn equally often."""

    images: Tensor
    ids: Tensor
    strata: Tensor

    def rows(self, seed: int, step: int, count: int) -> tuple[Tensor, Tensor]:
        """(rows, visits), int64 [count] each, of a step: strata alternate, each in its own shuffled passes."""
        values = self.strata.unique()
        place = torch.arange(count) + step * count
        found = torch.empty(count, dtype=torch.int64)
        visits = torch.empty(count, dtype=torch.int64)
        for number, value in enumerate(values):
            own = (self.strata == value).nonzero()[:, 0]
            here = place % len(values) == number
            nth = place[here] // len(values)
            for turn in (nth // len(own)).unique().tolist():
                order = torch.argsort(Noise.of(seed, self.ids[own], epoch=turn).fold("order").bits(1)[:, 0], stable=True)
                mask = here.nonzero()[:, 0][nth // len(own) == turn]
                found[mask] = own[order[nth[nth // len(own) == turn] % len(own)]]
                visits[mask] = turn
        return found, visits


@dataclass
class CycleGan:
    """The training of generators to_b and to_a between subgroups a and b, and of a discriminator for each subgroup."""

    a: Source
    b: Source
    pipeline: Pipeline
    settings: TranslationSettings
    device: torch.device
    to_b: TranslationGenerator
    to_a: TranslationGenerator
    judge_a: Discriminator
    judge_b: Discriminator
    generator_optimizer: torch.optim.Optimizer
    judge_optimizer: torch.optim.Optimizer
    replay_a: ReplayBuffer
    replay_b: ReplayBuffer
    step: int = 0
    seconds: float = 0.0
    logs: list[dict[str, Any]] = field(default_factory=list)

    @staticmethod
    def prepare(a: Source, b: Source, pipeline: Pipeline, settings: TranslationSettings, device: torch.device) -> "CycleGan":
        """Initialise networks from the settings' seed. `pipeline` augments uint8 images and normalises them to [-1, 1]."""
        channels, height, width = a.images.shape[1:]
        with torch.random.fork_rng(devices=[]):
            torch.random.manual_seed(settings.seed)
            kind = {"masked": settings.generator != "published", "guided": settings.generator == "guided"}
            generators = [_placed(TranslationGenerator(channels, height, width, **kind), device) for _ in range(2)]
            judges = [_placed(Discriminator(channels, height, width), device) for _ in range(2)]
        rates = ((generators, settings.lr), (judges, settings.lr_discriminator))
        made, judged = (
            torch.optim.Adam([p for n in networks for p in n.parameters()], lr=lr, betas=_BETAS) for networks, lr in rates
        )
        capacity = max(_CAPACITY, settings.batch_size)
        return CycleGan(a, b, pipeline, settings, device, generators[0], generators[1], judges[0], judges[1], made, judged,
                        ReplayBuffer(capacity), ReplayBuffer(capacity))  # fmt: skip

    def run(self, folder: Path | None = None, on_steps: OnSteps | None = None, *, every: int = 200) -> None:
        """Train to the last step; log and save a checkpoint in the folder every `every` steps. `resume` goes on from one.

        Raises RunError if a loss is no longer finite.
        """
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            total = torch.zeros(4, device=self.device)
            since, last = self.step, time.perf_counter()
            while self.step < self.settings.steps:
                total += self.train_step()
                if self.step % every == 0 or self.step == self.settings.steps:
                    self._log(total / (self.step - since))
                    total, since = torch.zeros_like(total), self.step
                    last, before = time.perf_counter(), last
                    self.seconds += last - before
                    if folder is not None:
                        self.save(folder)
                    if on_steps is not None:
                        on_steps(self.logs[-1])

    def train_step(self) -> Tensor:
        """One update of the generators, then one of the discriminators; the four losses, detached [4]."""
        generator = torch.Generator().manual_seed(self._seed())
        torch.random.manual_seed(self._seed())
        a, b = self._batch(self.a, "a"), self._batch(self.b, "b")
        rates = (self.generator_optimizer, self.settings.lr), (self.judge_optimizer, self.settings.lr_discriminator)
        for optimizer, rate in rates:
            set_rate(optimizer, rate * self.settings.share(self.step))
        # The generators' step needs no gradients of the discriminators' weights, which would be a fifth of its work.
        self._judging(False)
        losses = self._losses(a, b)
        self.generator_optimizer.zero_grad(set_to_none=True)
        losses.total.backward()
        self.generator_optimizer.step()
        self._judging(True)
        # The generators' step comes first: the buffers must hold a batch before one is drawn from them.
        self.replay_a.add(losses.fake_a, generator)
        self.replay_b.add(losses.fake_b, generator)
        judged = discriminator_loss(self.judge_a, a, self.replay_a.draw(len(a), generator))
        judged = judged + discriminator_loss(self.judge_b, b, self.replay_b.draw(len(b), generator))
        self.judge_optimizer.zero_grad(set_to_none=True)
        judged.backward()
        self.judge_optimizer.step()
        self.step += 1
        return torch.stack([losses.adversarial, losses.cycle, losses.identity, judged]).detach()

    def save(self, folder: Path) -> None:
        """Write the checkpoint of the steps done so far."""
        tensors = {f"{name}.{key}": value for name, part in self._networks() for key, value in part.state_dict().items()}
        for name, optimizer in self._optimizers():
            tensors |= {f"{name}.{key}": value for key, value in checkpoint.optimizer_tensors(optimizer).items()}
        tensors |= {"replay_a.images": self.replay_a.images, "replay_b.images": self.replay_b.images}
        checkpoint.save_checkpoint(folder, tensors, {"step": self.step, "seconds": self.seconds, "logs": self.logs})

    def resume(self, folder: Path) -> None:
        """Restore the folder's checkpoint, if it has one."""
        found = checkpoint.load_checkpoint(folder)
        if found is None:
            return
        tensors, state = found

        def part(name: str) -> dict[str, Tensor]:
            return {key[len(name) + 1 :]: value for key, value in tensors.items() if key.startswith(f"{name}.")}

        for name, network in self._networks():
            network.load_state_dict(part(name))
        for name, optimizer in self._optimizers():
            checkpoint.restore_optimizer(optimizer, part(name))
        self.replay_a.images = tensors["replay_a.images"].to(self.device)
        self.replay_b.images = tensors["replay_b.images"].to(self.device)
        self.step, self.seconds, self.logs = state["step"], state["seconds"], state["logs"]

    def _batch(self, source: Source, name: str) -> Tensor:
        rows, visits = source.rows(self.settings.seed, self.step, self.settings.batch_size)
        ids = source.ids[rows]
        noise = Noise.of(self.settings.seed, ids, epoch=self.step, visits=visits).fold(name)
        batch = Batch(source.images[rows].to(self.device), None, ids.to(self.device))
        # An image of a small subgroup may occur twice in a step; the place in the batch makes its draws differ.
        noise = Noise(noise.key + torch.arange(len(rows)) * 2)
        done, _ = self.pipeline.run(batch, Noise(noise.key.to(self.device)), clock=Clock(self.step, self.settings.steps, self.step))
        return done.images

    def _losses(self, a: Tensor, b: Tensor) -> GeneratorLosses:
        networks = self.to_b, self.to_a, self.judge_a, self.judge_b
        if self.settings.generator == "guided":
            return guided_losses(*networks, a, b)
        return generator_losses(*networks, a, b, MASKED if self.settings.generator == "masked" else PUBLISHED)

    def _judging(self, on: bool) -> None:
        """Set whether the discriminators' weights get gradients."""
        for judge in (self.judge_a, self.judge_b):
            judge.requires_grad_(on)

    def _seed(self) -> int:
        bits = Noise.of(self.settings.seed, torch.zeros(1, dtype=torch.int64), epoch=self.step).fold("cyclegan").bits(1)
        return int(bits) & (2**63 - 1)

    def _log(self, mean: Tensor) -> None:
        values = mean.tolist()
        if not all(map(_finite, values)):
            raise RunError(f"translation: a loss is no longer finite at step {self.step}; a smaller --translate-lr usually helps")
        keys = ("adversarial", "cycle", "identity", "discriminator")
        self.logs.append({"step": self.step, **dict(zip(keys, values, strict=True))})

    def _networks(self) -> list[tuple[str, nn.Module]]:
        return [("to_b", self.to_b), ("to_a", self.to_a), ("judge_a", self.judge_a), ("judge_b", self.judge_b)]

    def _optimizers(self) -> list[tuple[str, torch.optim.Optimizer]]:
        return [("generator_optimizer", self.generator_optimizer), ("judge_optimizer", self.judge_optimizer)]


def _placed(network: N, device: torch.device) -> N:
    return network.to(device).to(memory_format=torch.channels_last)


def _finite(value: float) -> bool:
    return value == value and abs(value) != float("inf")


@dataclass(frozen=True)
class Example:
    """The guides of a translation. images: uint8 [N,C,H,W], one of the target subgroup for each image to translate. out: the
    generator that translates them out of the target subgroup."""

    images: Tensor
    out: TranslationGenerator


@torch.no_grad()
def translate(
    generator: TranslationGenerator, images: Tensor, *, seed: int, batch_size: int = 64, example: Example | None = None
) -> Tensor:
    """Translate uint8 [N,C,H,W] in batches, with the batch's own statistics and active dropout, as in the published code.

    The last batch is never a single image, which would have no statistics. Deterministic given `seed`. example: optional,
    for guided generators.
    """
    device = next(generator.parameters()).device
    networks = [generator] if example is None else [generator, example.out]
    was = [network.training for network in networks]
    for network in networks:
        network.train()
    parts = []
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.random.manual_seed(seed)
        examples = _chunks(images if example is None else example.images, batch_size)
        for chunk, shown in zip(_chunks(images, batch_size), examples, strict=True):
            values, guide = _values(chunk, device), None
            if example is not None:
                guide = _values(shown, device)
                guide = guide - example.out(guide)
            made = generator(values, guide)[: len(chunk)]
            parts.append(((made + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).cpu())
    for network, training in zip(networks, was, strict=True):
        network.train(training)
    return torch.cat(parts) if parts else images.clone()


def _values(images: Tensor, device: torch.device) -> Tensor:
    """float32 in [-1, 1]; a single image is repeated, since a batch of one has no statistics."""
    values = images.to(device).to(torch.float32) / 127.5 - 1
    return torch.cat([values, values]) if len(values) == 1 else values


def _chunks(images: Tensor, batch_size: int) -> list[Tensor]:
    chunks = list(images.split(batch_size)) if len(images) else []
    if len(chunks) > 1 and len(chunks[-1]) == 1:
        chunks[-2:] = [torch.cat(chunks[-2:])]
    return chunks
