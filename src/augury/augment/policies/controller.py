"""The LSTM controller of AutoAugment: a distribution over sequences of decisions that learns from rewards.

A decision is of a *kind* (which operation, how likely, how strong) with a fixed number of choices. AutoAugment's policy
is 5 sub-policies of 2 operations, (operation, probability, magnitude) each: 30 decisions. Adversarial AutoAugment leaves
the probability out: 20.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from augury.core.errors import InputError
from augury.core.noise import Noise

UpdateRule = Literal["ppo", "reinforce"]
PROBABILITIES = 11
MAGNITUDES = 10


class Controller(nn.Module):
    """A one-layer LSTM that makes one decision per step; each decision's embedding is the next step's input.

    sizes: choices of every kind. pattern: the kind of every decision, in order. All kinds share one embedding table with
    a row per choice of each; the first input is zero; every kind has its own linear head. Weights and embeddings start
    uniform in [-0.1, 0.1], the heads' biases at 0. With sizes (16, 10) and 20 decisions it has 57,058 parameters.

    temperature divides the logits; tanh bounds them to +-tanh first (both are ENAS's, off by default). Sources: Cubuk et
    al. 2019 (arXiv:1805.09501), section 3; Zhang et al. 2020 (arXiv:1912.11188), section 4.1 (embedding 32, hidden 100).
    The state runs through all decisions, as the text says; a widely used re-implementation resets it per sub-policy.
    Raises InputError for a kind with a single choice and for an unknown kind in the pattern.
    """

    def __init__(
        self, sizes: Sequence[int], pattern: Sequence[int], *, embedding: int = 32, hidden: int = 100,
        temperature: float = 1.0, tanh: float | None = None, seed: int = 0,
    ) -> None:  # fmt: skip
        super().__init__()
        if not pattern or min(pattern) < 0 or max(pattern) >= len(sizes):
            raise InputError(f"controller: the pattern {list(pattern)} names kinds other than 0 .. {len(sizes) - 1}")
        if min(sizes[kind] for kind in pattern) < 2:
            raise InputError("controller: every kind of decision needs at least two choices")
        self.sizes, self.pattern = tuple(sizes), tuple(pattern)
        self.temperature, self.tanh = temperature, tanh
        self.offsets = [sum(self.sizes[:kind]) for kind in range(len(self.sizes))]
        # PyTorch's layers draw initial values from the global generator, which is restored; `reset` draws the real ones.
        with torch.random.fork_rng(devices=[]):
            self.embedding = nn.Embedding(sum(self.sizes), embedding)
            self.lstm = nn.LSTM(embedding, hidden, batch_first=True)
            self.heads = nn.ModuleList(nn.Linear(hidden, size) for size in self.sizes)
        self.reset(seed)

    @torch.no_grad()
    def reset(self, seed: int) -> None:
        """Draw the initial weights from a seed."""
        generator = torch.Generator().manual_seed(seed)
        for parameter in self.parameters():
            parameter.uniform_(-0.1, 0.1, generator=generator)
        for head in self.heads:
            assert isinstance(head, nn.Linear)
            head.bias.zero_()

    @property
    def decisions(self) -> int:
        return len(self.pattern)

    @property
    def space_size(self) -> int:
        """The exact number of sequences."""
        return math.prod(self.sizes[kind] for kind in self.pattern)

    @property
    def highest_entropy(self) -> float:
        """The entropy of deciding uniformly, nats."""
        return sum(math.log(self.sizes[kind]) for kind in self.pattern)

    @torch.no_grad()
    def sample(self, u: Tensor) -> Tensor:
        """Sequences int64 [N,D] from uniforms float [N,D] in [0, 1): a pure function of both and of the weights."""
        token = torch.zeros(len(u), 1, self.embedding.embedding_dim, device=u.device)
        state, actions = None, []
        for step, kind in enumerate(self.pattern):
            out, state = self.lstm(token, state)
            action = _inverse(self._logits(out[:, 0], kind), u[:, step])
            actions.append(action)
            token = self.embedding(action + self.offsets[kind])[:, None]
        return torch.stack(actions, 1)

    def likelihood(self, actions: Tensor) -> tuple[Tensor, Tensor]:
        """log-probability and entropy of each decision given those before it, both float [N,D], in nats."""
        hidden, _ = self.lstm(self._tokens(actions))
        log_prob, entropy = [], []
        for step, kind in enumerate(self.pattern):
            each = functional.log_softmax(self._logits(hidden[:, step], kind), 1)
            log_prob.append(each.gather(1, actions[:, step, None])[:, 0])
            entropy.append(-(each.exp() * each).sum(1))
        return torch.stack(log_prob, 1), torch.stack(entropy, 1)

    @torch.no_grad()
    def probabilities(self, actions: Tensor) -> list[Tensor]:
        """Of every kind the mean probability of its choices, float [sizes[kind]], over its decisions in sequences int64 [N,D].

        Each decision's distribution given those before it, so that the means over sampled sequences estimate how often the
        controller makes each choice, with less noise than counting what it chose.
        """
        hidden, _ = self.lstm(self._tokens(actions))
        found = [torch.zeros(size, device=actions.device) for size in self.sizes]
        for step, kind in enumerate(self.pattern):
            found[kind] += self._logits(hidden[:, step], kind).softmax(1).mean(0)
        return [total / max(1, self.pattern.count(kind)) for kind, total in enumerate(found)]

    def _tokens(self, actions: Tensor) -> Tensor:
        """The inputs [N,D,E] of decisions int64 [N,D]: zero, then each decision's embedding."""
        offsets = torch.tensor([self.offsets[kind] for kind in self.pattern], device=actions.device)
        return functional.pad(self.embedding((actions + offsets)[:, :-1]), (0, 0, 1, 0))

    def _logits(self, hidden: Tensor, kind: int) -> Tensor:
        logits: Tensor = self.heads[kind](hidden) / self.temperature
        return logits if self.tanh is None else self.tanh * torch.tanh(logits)


def _inverse(logits: Tensor, u: Tensor) -> Tensor:
    """The choice int64 [N] at which the cumulative probability passes u."""
    cumulative = logits.double().softmax(1).cumsum(1)
    chosen = (cumulative <= (u.double() * cumulative[:, -1])[:, None]).sum(1)
    return chosen.clamp(max=logits.shape[1] - 1)


def autoaugment_controller(operations: int, *, sub_policies: int = 5, per_sub_policy: int = 2, seed: int = 0) -> Controller:
    """AutoAugment's: (operation, probability of 11, magnitude of 10) for each of 5 x 2 operations, 30 decisions."""
    return Controller((operations, PROBABILITIES, MAGNITUDES), (0, 1, 2) * (sub_policies * per_sub_policy), seed=seed)


def adversarial_controller(operations: int = 16, *, sub_policies: int = 5, per_sub_policy: int = 2, seed: int = 0) -> Controller:
    """Adversarial AutoAugment's: (operation, magnitude of 10) for each of 5 x 2 operations, 20 decisions."""
    return Controller((operations, MAGNITUDES), (0, 1) * (sub_policies * per_sub_policy), seed=seed)


def z_scores(values: Tensor) -> Tensor:
    """(value - mean) / (unbiased standard deviation + 1e-5), float [N]; zeros where all agree or there is one.

    Zhang et al. 2020 (arXiv:1912.11188), equation 9: the reward is normalised among the policies of an epoch.
    """
    if len(values) < 2:
        return torch.zeros_like(values)
    centred = values - values.mean()
    spread = centred.square().sum().div(len(values) - 1).sqrt()
    return centred / (spread + 1e-5)


@dataclass
class Baseline:
    """The exponential moving average of all rewards so far; AutoAugment's weight is 0.95."""

    weight: float = 0.95
    value: float | None = None

    def advantage(self, rewards: Tensor) -> Tensor:
        """Rewards minus the average so far, float [N]; updates the average afterwards. The first batch starts the average."""
        mean = float(rewards.mean())
        before = mean if self.value is None else self.value
        self.value = self.weight * before + (1 - self.weight) * mean
        return rewards - before


@dataclass
class Learner:
    """A controller with its optimiser: Adam on PPO's clipped objective or on REINFORCE, plus an entropy bonus.

    lr 3.5e-4 and entropy 1e-5 are AutoAugment's. Its PPO details are unpublished: clip 0.2 and 5 inner epochs, over one
    ratio per decision, are what re-implementations use. Adam makes the step independent of the scale of the rewards.
    """

    controller: Controller
    rule: UpdateRule = "ppo"
    lr: float = 3.5e-4
    entropy_weight: float = 1e-5
    clip: float = 0.2
    inner_epochs: int = 5
    optimizer: torch.optim.Adam = field(init=False)

    def __post_init__(self) -> None:
        self.optimizer = torch.optim.Adam(self.controller.parameters(), lr=self.lr)

    def sample(self, noise: Noise) -> Tensor:
        """One sequence per row of the noise, int64 [N,D]."""
        return self.controller.sample(noise.uniform(self.controller.decisions))

    def update(self, actions: Tensor, advantage: Tensor) -> None:
        """Make sequences int64 [N,D] with a positive advantage float [N] likelier, the others less likely."""
        gain = advantage.detach().to(torch.float32)[:, None]
        with torch.no_grad():
            old, _ = self.controller.likelihood(actions)
        for _ in range(self.inner_epochs if self.rule == "ppo" else 1):
            log_prob, entropy = self.controller.likelihood(actions)
            if self.rule == "ppo":
                ratio = (log_prob - old).exp()
                clipped = ratio.clamp(1 - self.clip, 1 + self.clip)
                objective = torch.minimum(ratio * gain, clipped * gain).sum(1)
            else:
                objective = (log_prob * gain).sum(1)
            loss = -(objective + self.entropy_weight * entropy.sum(1)).mean()
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self.optimizer.step()

    def state_dict(self) -> dict[str, Any]:
        return {"controller": self.controller.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.controller.load_state_dict(state["controller"])
        self.optimizer.load_state_dict(state["optimizer"])
