"""TANDA's sequence generators: distributions over sequences of K transformation functions."""

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from augury.core.errors import InputError

GeneratorKind = Literal["mean_field", "lstm", "gru"]


class SequenceGenerator(nn.Module):
    """p(tau_1 .. tau_T) over `functions` transformation functions; an action is a function's number.

    mean_field: one trainable logit per function, shared by all steps; starts at zero, which is uniform. lstm, gru: one
    layer whose hidden size is the number of functions and whose output *is* the logits, rescaled to a range of
    `logit_range`; each step reads the one-hot action before it, the first one a trainable vector; the state starts at
    zero. Weights start uniform in [-0.1, 0.1], so that the first policy is close to uniform.

    Source: Ratner et al. 2017 (TANDA, arXiv:1709.01643), section 4 and released code. The released GRU shifts its logits
    by a constant, which the softmax drops; here both networks' logits are centred. Raises InputError for fewer than two
    functions.
    """

    def __init__(self, functions: int, *, kind: GeneratorKind = "lstm", logit_range: float = 4.0, seed: int = 0) -> None:
        super().__init__()
        if functions < 2:
            raise InputError("functions: name at least two functions to choose from")
        self.functions, self.kind, self.logit_range = functions, kind, logit_range
        if kind == "mean_field":
            self.logits = nn.Parameter(torch.zeros(functions, device="cpu"))
            return
        # PyTorch's layers draw initial values from the global generator, which is restored.
        with torch.random.fork_rng(devices=[]):
            self.cell = (nn.LSTM if kind == "lstm" else nn.GRU)(functions, functions, batch_first=True, device="cpu")
        self.first = nn.Parameter(torch.zeros(functions, device="cpu"))
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.uniform_(-0.1, 0.1, generator=generator)

    @torch.no_grad()
    def sample(self, u: Tensor) -> Tensor:
        """Sequences int64 [N,T] from uniforms float [N,T] in [0, 1)."""
        actions: list[Tensor] = []
        token, state = (None, None) if self.kind == "mean_field" else (self.first.expand(len(u), 1, -1), None)
        for step in range(u.shape[1]):
            if token is None:
                logits = self.logits.expand(len(u), -1)
            else:
                out, state = self.cell(token, state)
                logits = self._scaled(out[:, 0])
            cumulative = logits.double().softmax(1).cumsum(1)
            threshold = (u[:, step].double() * cumulative[:, -1])[:, None]
            actions.append((cumulative <= threshold).sum(1).clamp(max=self.functions - 1))
            if token is not None:
                token = functional.one_hot(actions[-1], self.functions).to(u.dtype)[:, None]
        return torch.stack(actions, 1) if actions else torch.zeros(len(u), 0, dtype=torch.int64, device=u.device)

    def log_prob(self, actions: Tensor) -> Tensor:
        """log-probability of each action given those before it, float [N,T], nats."""
        return self.distribution(actions).gather(2, actions[..., None])[..., 0]

    def distribution(self, actions: Tensor) -> Tensor:
        """log-probabilities of all functions at every step, given the actions before it, float [N,T,K]."""
        if self.kind == "mean_field":
            return functional.log_softmax(self.logits, 0).expand(*actions.shape, -1)
        before = functional.one_hot(actions[:, :-1], self.functions).to(self.first.dtype)
        out, _ = self.cell(torch.cat([self.first.expand(len(actions), 1, -1), before], 1))
        return functional.log_softmax(self._scaled(out), 2)

    @torch.no_grad()
    def frequencies(self, u: Tensor) -> Tensor:
        """How often each function is drawn over the sequences of these uniforms [N,T], float [K], sums to 1."""
        return torch.bincount(self.sample(u).flatten(), minlength=self.functions).double() / u.numel()

    @property
    def highest_entropy(self) -> float:
        """Of one step, nats."""
        return math.log(self.functions)

    def _scaled(self, output: Tensor) -> Tensor:
        """The cell's output, in (-1, 1), as logits: the LSTM's span logit_range, the GRU's twice that, as released."""
        return output * (self.logit_range * (0.5 if self.kind == "lstm" else 1.0))
