"""Adversarial training of a sequence generator, on images or on any other tensors."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from augury.augment.policies.generators import SequenceGenerator
from augury.augment.sequences import Functions
from augury.core.errors import InputError, RunError
from augury.core.noise import Noise
from augury.train.tanda.rewards import advantages, diversity_costs, realism_costs

OnStep = Callable[[dict[str, float]], None]


@dataclass(frozen=True)
class Setup:
    """How to train a generator. The defaults are the released CIFAR-10 settings, except for floor (1e-6 there).

    length: steps per sequence. sequences: per sample and training step. discount: of future costs. diversity: weight of the term
    that penalises unchanged data (0 leaves it out); floor: bounds that term. generator_lr: of SGD; discriminator_lr: of Adam.
    batch_size: samples per step.
    """

    length: int = 10
    sequences: int = 5
    discount: float = 0.5
    diversity: float = 1e-3
    floor: float = 1e-3
    generator_lr: float = 1e-4
    discriminator_lr: float = 1e-5
    batch_size: int = 32
    seed: int = 0


@dataclass
class Adversary:
    """A generator, the functions that its actions select, and the discriminator that it has to deceive.

    prepare: converts data from the functions' format to the discriminator's input (normalising images; nothing by default).
    learn_discriminator: False for a discriminator that needs no training (an oracle).
    """

    generator: SequenceGenerator
    functions: Functions
    discriminator: nn.Module
    setup: Setup = field(default_factory=Setup)
    prepare: Callable[[Tensor], Tensor] = lambda data: data
    learn_discriminator: bool = True

    def __post_init__(self) -> None:
        if self.generator.functions != len(self.functions.names):
            raise InputError(
                f"functions: {len(self.functions.names)} given, but the generator chooses among {self.generator.functions}"
            )
        self._policy = torch.optim.SGD(self.generator.parameters(), lr=self.setup.generator_lr)
        trained = [p for p in self.discriminator.parameters() if p.requires_grad] if self.learn_discriminator else []
        self._critic = torch.optim.Adam(trained, lr=self.setup.discriminator_lr, betas=(0.5, 0.999)) if trained else None

    def train(
        self, data: Tensor, ids: Tensor | None = None, *, epochs: int = 1, seconds: float | None = None,
        on_step: OnStep | None = None,
    ) -> list[dict[str, float]]:  # fmt: skip
        """Alternates updates of discriminator and generator for `epochs` passes through the data, or for `seconds` if given.

        data: [N, ...], untransformed; ids int64 [N], 0 .. N-1 by default. Returns each step's figures. Raises InputError if a
        user's function misbehaves, RunError if a loss is no longer finite.
        """
        numbers = torch.arange(len(data)) if ids is None else ids.cpu()
        started, rows, epoch = time.perf_counter(), [], 0
        # A discriminator may have dropout: its draws are seeded, and the caller's random state is restored.
        with torch.random.fork_rng(devices=[]):
            torch.random.manual_seed(self.setup.seed)
            while epoch < epochs or seconds is not None:
                for chosen in self._batches(numbers, epoch):
                    rows.append(self.step(data[chosen.to(data.device)], numbers[chosen].to(data.device), epoch))
                    if on_step:
                        on_step(rows[-1])
                    if seconds is not None and time.perf_counter() - started >= seconds:
                        return rows
                epoch += 1
        return rows

    def step(self, data: Tensor, ids: Tensor, epoch: int = 0) -> dict[str, float]:
        """One update of the discriminator and one of the generator."""
        actions, states = self.sequences(data, ids, epoch)
        loss = self._teach_discriminator(self.prepare(data), states[-1])
        costs = self.costs(states)
        gain = advantages(costs, self.setup.discount)
        log_prob = self.generator.log_prob(actions)
        policy = (log_prob * gain).sum()
        if not bool(torch.isfinite(policy)):
            raise RunError("tanda: the generator's loss is no longer finite; a larger floor or a smaller generator_lr helps")
        self._policy.zero_grad(set_to_none=True)
        policy.backward()
        self._policy.step()
        return {
            "discriminator_loss": loss, "cost_start": costs[:, 0].mean().item(), "cost_end": costs[:, -1].mean().item(),
            "log_prob": log_prob.detach().mean().item(),
        }  # fmt: skip

    def sequences(self, data: Tensor, ids: Tensor, epoch: int, uniform: bool = False) -> tuple[Tensor, list[Tensor]]:
        """Actions int64 [N n, T] and the prepared data after 0 .. T steps, [N n, ...] each; n sequences per sample."""
        count = self.setup.sequences
        noise = Noise.of(
            self.setup.seed, ids.repeat_interleave(count), epoch=epoch,
            visits=torch.arange(count, device=ids.device).repeat(len(ids)),
        )  # fmt: skip
        draws = noise.fold("sequence")
        if uniform:
            actions = draws.integers(self.setup.length, self.generator.functions)
        else:
            actions = self.generator.sample(draws.uniform(self.setup.length))
        states = self.functions.states(data.repeat_interleave(count, 0), actions, noise.fold("functions"))
        return actions, [self.prepare(state) for state in states]

    @torch.no_grad()
    def costs(self, states: list[Tensor]) -> Tensor:
        """The realism and diversity costs of prepared states, summed, float [N,T+1]; the discriminator does not learn from them."""
        training = self.discriminator.training
        self.discriminator.eval()
        logits, features = zip(*(self.discriminator(state) for state in states), strict=True)
        self.discriminator.train(training)
        found = realism_costs(logits)
        if self.setup.diversity:
            found = found + diversity_costs(features, self.setup.diversity, self.setup.floor)
        return found

    def ratio(self, data: Tensor, ids: Tensor | None = None) -> float:
        """The mean final cost of the generator's sequences over that of uniformly random ones; below 1 means it has learned."""
        numbers = torch.arange(len(data), device=data.device) if ids is None else ids
        ends = [self.costs(self.sequences(data, numbers, 0, uniform)[1])[:, -1].mean() for uniform in (False, True)]
        return float(ends[0] / ends[1])

    def _teach_discriminator(self, real: Tensor, made: Tensor) -> float:
        if self._critic is None:
            return 0.0
        self.discriminator.train()
        on_real, on_made = self.discriminator(real)[0], self.discriminator(made)[0]
        loss = 0.5 * (functional.softplus(-on_real).mean() + functional.softplus(on_made).mean())
        self._critic.zero_grad(set_to_none=True)
        loss.backward()
        self._critic.step()
        return loss.item()

    def _batches(self, ids: Tensor, epoch: int) -> Iterator[Tensor]:
        order = torch.argsort(Noise.of(self.setup.seed, ids, epoch=epoch).fold("order").bits(1)[:, 0], stable=True)
        for rows in order.split(self.setup.batch_size):
            if len(rows) > 1 or len(order) == 1:
                yield rows


def figures(rows: list[dict[str, float]]) -> dict[str, Any]:
    """The figures of a training, averaged over the last tenth of its steps."""
    last = rows[-max(1, len(rows) // 10) :]
    return {key: sum(row[key] for row in last) / len(last) for key in last[0]} if rows else {}
