"""TANDA as a search: a candidate is a way to train the generator, and its policy is a sample of the generator's sequences."""

from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from augury.augment.functions import function_space
from augury.augment.policies.file import PolicyFile, PolicyRow, write_policy
from augury.augment.policies.generators import SequenceGenerator
from augury.augment.policies.searched import entry_of
from augury.augment.policies.tanda import Tanda, save_generator
from augury.augment.sequences import Operations
from augury.augment.stages.normalize import Normalize
from augury.core.noise import Noise
from augury.core.options import Spec
from augury.core.plan import Space
from augury.train.data.dataset import Dataset
from augury.train.search.outcome import Decisions
from augury.train.search.spaces import Candidate
from augury.train.tanda.adversary import Adversary, Setup, figures
from augury.train.tanda.discriminator import Dcgan

# Settings of the released searches, by whether the images are grey: CIFAR-10 (False) and MNIST (True).
RELEASED_RATES = {False: (1e-5, 5e-5), True: (1e-5, 5e-6)}
RELEASED_DIVERSITIES = {False: (1e-3, 2.5e-3, 5e-3), True: (1e-4, 3e-5, 3e-4, 1e-3)}
RELEASED_LOGIT_RANGE = {False: 6.0, True: 4.0}


@dataclass(frozen=True)
class TandaSpace:
    """Distributions over sequences of `length` functions.

    A candidate's decisions are the generator's kind, the discriminator's learning rate and the weight of diversity, from the grids
    of the released experiments on colour images (CIFAR-10) and on grey ones (MNIST). Random search draws distributions at random,
    without any training: the first is uniform, and the others have independent steps with frequencies from a flat Dirichlet. steps,
    seconds: how long a generator is trained. sequences: how many of its sequences the policy file holds. width: of the
    discriminator's first layer. discriminator_lr: replaces the grid's rates. grey: whether the images are grey, which decides the
    grid and the range of the logits (6 for colour, 4 for grey, as released).
    """

    functions: tuple[str | Spec, ...]
    length: int = 10
    kind: str = "lstm"
    steps: int = 300
    seconds: float | None = None
    sequences: int = 200
    width: int = 16
    generator_lr: float = 1e-3
    discriminator_lr: float | None = None
    grey: bool = False
    device: str = "cpu"

    def __post_init__(self) -> None:
        for entry in self.space.entries:
            entry_of(entry, 1.0, 1.0)

    @property
    def space(self) -> Space:
        return function_space(self.functions)

    def candidates(self) -> list[Decisions]:
        """The grid; its first entry is the default."""
        kinds = [self.kind, *(kind for kind in ("lstm", "gru", "mean_field") if kind != self.kind)]
        rates = RELEASED_RATES[self.grey] if self.discriminator_lr is None else (self.discriminator_lr,)
        grid = product(kinds, rates, RELEASED_DIVERSITIES[self.grey])
        return [{"kind": kind, "discriminator_lr": lr, "diversity": diversity} for kind, lr, diversity in grid]

    def uniform(self, noise: Noise, number: int) -> Decisions:
        if number == 0:
            return {"kind": "uniform"}
        weights = -noise.uniform(len(self.functions)).double().clamp(min=2.0**-25).log()[0]
        return {"kind": "random", "frequencies": [round(w, 6) for w in (weights / weights.sum()).tolist()]}

    def candidate(self, decisions: Decisions, dataset: Dataset, seed: int) -> Candidate:
        policy, found = self.policy(decisions, dataset, seed)
        ids = torch.arange(self.sequences)
        actions = policy.generator.sample(Noise.of(seed, ids).fold("sequences").uniform(self.length))
        entries = [entry_of(entry, 1.0, 1.0) for entry in policy.space.entries]
        rows: tuple[PolicyRow, ...] = tuple(tuple(entries[k] for k in row) for row in actions.tolist())
        text = write_policy(PolicyFile("sequences of a TANDA generator", ((1.0, rows),)))
        return Candidate(rows, 1, found, {"safetensors": _bytes(policy, self.functions), "yaml": text.encode()})

    def policy(self, decisions: Decisions, dataset: Dataset, seed: int) -> tuple[Tanda, dict[str, float]]:
        """The policy that decisions describe, trained on the data's training part or random, and the figures of its training."""
        space = self.space
        if decisions["kind"] in ("uniform", "random"):
            generator = SequenceGenerator(len(space), kind="mean_field")
            if decisions["kind"] == "random":
                generator.logits.data = torch.tensor(decisions["frequencies"]).clamp(min=1e-9).log()
            return Tanda(space, self.length, generator), {}
        generator = SequenceGenerator(len(space), kind=decisions["kind"], logit_range=RELEASED_LOGIT_RANGE[self.grey], seed=seed)
        images, normalize = dataset.train.images.to(self.device), Normalize(dataset.mean, dataset.std)
        generator.to(self.device)
        setup = Setup(
            length=self.length, diversity=decisions["diversity"], generator_lr=self.generator_lr,
            discriminator_lr=decisions["discriminator_lr"], seed=seed,
        )  # fmt: skip
        critic = Dcgan(images.shape[1], *images.shape[2:], width=self.width, seed=seed).to(self.device)
        adversary = Adversary(generator, Operations(space), critic, setup, normalize.normalise)
        per_epoch = max(1, len(images) // setup.batch_size)
        rows = adversary.train(images, dataset.train.ids, epochs=max(1, -(-self.steps // per_epoch)), seconds=self.seconds)
        probe = torch.arange(min(64, len(images)))
        return Tanda(space, self.length, generator.cpu()), {
            **figures(rows), "steps": len(rows), "ratio": adversary.ratio(images[probe], dataset.train.ids[probe]),
        }  # fmt: skip

    def words(self, decisions: Decisions) -> str:
        if decisions["kind"] == "random":
            best = max(range(len(self.functions)), key=lambda k: decisions["frequencies"][k])
            return f"random frequencies, most often {self.functions[best]}"
        rest = ", ".join(f"{key} {value:g}" for key, value in decisions.items() if key != "kind")
        return f"{decisions['kind']}{', ' + rest if rest else ''}"

    @property
    def rgb(self) -> tuple[str, ...]:
        return self.space.rgb

    def without_rgb(self) -> "TandaSpace":
        others = zip(self.functions, self.space.entries, strict=True)
        return replace(self, functions=tuple(function for function, entry in others if not entry.op.rgb))


def _bytes(policy: Tanda, functions: tuple[str | Spec, ...]) -> bytes:
    with TemporaryDirectory() as folder:
        save_generator(Path(folder) / "x", policy, functions)
        return (Path(folder) / "x").read_bytes()
