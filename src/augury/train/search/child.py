"""A child: one short training that measures a candidate on the validation part."""

import math
import time
from dataclasses import dataclass, replace
from typing import Any

import torch

from augury.augment.names import normalising, policy_stage, stages_of
from augury.augment.pipeline import Pipeline
from augury.augment.policies.file import PolicyFile
from augury.core.noise import Noise
from augury.core.options import parse_chain
from augury.train.data.dataset import Dataset
from augury.train.engine.metrics import metric_of
from augury.train.engine.prepare import prepare
from augury.train.engine.run import Trainer
from augury.train.engine.settings import Settings
from augury.train.pools.pool import Tell, in_words, unheard
from augury.train.search.outcome import Job, Outcome
from augury.train.search.spaces import Candidate, SearchSpace


@dataclass(frozen=True)
class ChildRunner:
    """Everything a child needs besides its decisions; picklable, so that children can run in any process.

    dataset: the proxy, whose test part is never read. settings.augment: the augmentation that is applied before the policy.
    """

    settings: Settings
    dataset: Dataset
    space: SearchSpace

    def run(self, job: Job, tell: Tell = unheard) -> Outcome:
        """Trains one child."""
        started = time.perf_counter()
        made = self.space.candidate(job.decisions, self.dataset, job.seed)
        accuracy, epochs, pruned = self._train(job, made)
        return Outcome(
            job.arm, job.number, job.decisions, job.seed, accuracy, round(time.perf_counter() - started, 4), epochs, pruned,
            figures={name: value for name, value in made.figures.items() if math.isfinite(value)}, files=made.files,
        )  # fmt: skip

    def broken(self, job: Job, error: Exception, seconds: float) -> Outcome:
        """The outcome of a child that failed twice."""
        return Outcome(job.arm, job.number, job.decisions, job.seed, None, round(seconds, 4), error=in_words(error))

    def _train(self, job: Job, made: Candidate) -> tuple[float, int, bool]:
        settings = replace(self.settings, seed=job.seed, **refined_from(self.settings.epochs, made.refine_share))
        training = prepare(settings, self.dataset)
        trainer = Trainer(training)
        training.method.pipelines = (searched_pipeline(settings.augment, made, self.dataset), *training.method.pipelines[1:])
        accuracy, metric = 0.0, metric_of(settings.metric)
        with torch.random.fork_rng(devices=[training.device] if training.device.type == "cuda" else []):
            for epoch in range(settings.epochs):
                ends = epoch + 1 == settings.epochs
                row = trainer.train_epoch(evaluated=ends or job.report is not None)
                if row:
                    accuracy = metric.score(row[metric.key])
                if job.report is not None and job.report(epoch, accuracy) and not ends:
                    return accuracy, epoch + 1, True
        return accuracy, settings.epochs, False


def refined_from(epochs: int, share: float) -> dict[str, Any]:
    """Settings for a training without intensive stages in the last `share` of its epochs, at least one and not all."""
    return {"refine_at": min(max(1, round(epochs * (1 - share))), epochs - 1)} if share and epochs > 1 else {}


def searched_pipeline(base: str, made: Candidate, dataset: Dataset) -> Pipeline:
    """The base augmentation and the candidate's policy, built as in the final training from the policy's file."""
    policy = policy_stage("policy", PolicyFile("candidate", ((1.0, made.rows),), repeat=made.repeat))
    return normalising([*stages_of(parse_chain(base, "--augment"), "--augment"), policy], (dataset.mean, dataset.std))


def proxy(dataset: Dataset, images: int, seed: int) -> Dataset:
    """The data set with at most `images` training images, stratified by class, and without test images.

    Leaving out the test part makes it impossible to select by it.
    """
    train, empty = dataset.train, torch.zeros(0, dtype=torch.int64)
    if len(train.ids) > images:
        key = Noise.of(seed, train.ids).fold("proxy").uniform(1)[:, 0].double()
        rank = torch.zeros(len(key), dtype=torch.float64)
        for label in train.labels.unique():
            rows = (train.labels == label).nonzero()[:, 0]
            order = rows[key[rows].argsort(stable=True)]
            rank[order] = (torch.arange(len(rows), dtype=torch.float64) + 0.5) / len(rows)
        train = train[rank.argsort(stable=True)[:images].sort().values]
    return replace(dataset, train=train, test=dataset.test[empty], notes=())
