"""What the adapters refuse, what travels through workers and checkpoints, and Hugging Face's rule about float labels."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset
from torchvision.transforms import v2

import augury
from augury.adapters import huggingface, lightning, timm
from augury.adapters.batches import arguments
from augury.adapters.torchvision import Collate
from augury.core.errors import InputError

IMAGES = torch.randint(0, 256, (24, 3, 12, 12), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(24) % 4
STATISTICS = ([0.5] * 3, [0.25] * 3)
pytestmark = pytest.mark.filterwarnings("ignore")  # the libraries' own


def made(model: nn.Module | None = None, **more: Any) -> augury.Method:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(432, 4)) if model is None else model
    options = {"augment": "crop+cutmix", "classes": 4, "mean": [0.5] * 3, "std": [0.25] * 3, "seed": 3, **more}
    return augury.method(model, **options)


def test_batches_of_all_kinds_are_a_methods_arguments() -> None:
    ids = torch.arange(24)
    expected = {"images": IMAGES, "labels": LABELS, "ids": ids}
    pair = torch.stack([LABELS, ids], 1)
    named = {"image": IMAGES, "label": LABELS, "id": ids}
    for batch in ((IMAGES, LABELS, ids), [IMAGES, pair], named, {"train": (IMAGES, LABELS, ids)}):
        found = arguments(batch)
        assert found.keys() == expected.keys() and all(torch.equal(found[name], expected[name]) for name in expected)
    assert "unlabelled" in arguments({**named, "unlabelled": (IMAGES, ids)})
    soft = torch.full((24, 2), 0.5)
    assert arguments((IMAGES, soft))["labels"] is soft, "two columns of floats are class probabilities"
    for batch, words in ((3, "expected"), ({"x": IMAGES}, "has no images"), ((), "tuple of 0")):
        with pytest.raises(InputError, match=words):
            arguments(batch)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_collate_function_draws_by_id_and_epoch_in_any_worker(workers: int) -> None:
    """Catches an epoch that workers which outlive it do not hear of, and draws that follow the batch."""
    pipeline = augury.pipeline("crop+cutout", normalize=STATISTICS, seed=3)
    collate = Collate(pipeline, 4)
    more = {"num_workers": workers, "persistent_workers": True} if workers else {}
    loader = DataLoader(augury.with_ids(TensorDataset(IMAGES, LABELS)), 8, collate_fn=collate, **more)
    for epoch in (0, 1):
        collate.start_epoch(epoch)
        values, labels = (torch.cat(parts) for parts in zip(*loader, strict=True))
        ids = torch.arange(24)
        expected, _ = pipeline.run(augury.Batch(IMAGES, None, ids), augury.Noise.of(3, ids, epoch=epoch))
        assert torch.equal(values, expected.images) and torch.equal(labels, LABELS)


def test_mixed_labels_are_targets_or_class_probabilities() -> None:
    pipeline = augury.pipeline("mixup", normalize=STATISTICS)
    items = list(augury.with_ids(TensorDataset(IMAGES, LABELS)))  # type: ignore[call-overload]
    values, targets = Collate(pipeline, 4)(items)
    _, dense = Collate(pipeline, 4, dense=True)(items)
    assert isinstance(targets, augury.Targets) and torch.equal(targets.dense(), dense) and dense.shape == (24, 4)
    assert nn.CrossEntropyLoss()(torch.zeros(24, 4), targets).isclose(torch.tensor(4.0).log())
    without = Collate(pipeline, 4)
    first, second = (without([item[:2] for item in items])[0] for _ in range(2))
    assert not torch.equal(first, second), "without ids every batch draws anew"
    with pytest.raises(InputError, match="needs maps of a network"):
        Collate(augury.pipeline("keep_cutout", normalize=STATISTICS), 4)


def test_a_pipeline_stands_in_a_compose_of_torchvision() -> None:
    compose = v2.Compose([v2.Pad(2), augury.pipeline("flip(p=1)"), v2.ToDtype(torch.float32, scale=True)])
    assert torch.allclose(compose(IMAGES[0]), v2.functional.pad(IMAGES[0], [2]).flip(-1) / 255)
    image, label = compose(Image.fromarray(IMAGES[0].permute(1, 2, 0).numpy()), 3)
    assert image.size == (16, 16) and label == 3


def test_a_mix_stands_where_timms_mixup_stands() -> None:
    mix = timm.Mix(augury.pipeline("mixup(alpha=0.8)", seed=1), num_classes=4, label_smoothing=0.1)
    values = augury.pipeline("normalize", normalize=STATISTICS)(IMAGES)
    pairs = torch.stack([LABELS, torch.arange(24)], 1)
    mixed, targets = mix(values, pairs)
    assert targets.shape == (24, 4) and torch.allclose(targets.sum(1), torch.ones(24)) and float(targets.min()) >= 0.025 - 1e-6
    assert len({round(float(row.max()), 5) for row in targets}) > 6, "every image has a weight of its own"
    assert not torch.equal(mixed, values)
    mix.mixup_enabled = False
    same, targets = mix(values, LABELS)
    assert same is values and torch.allclose(targets.amax(1), torch.full((24,), 0.925))
    with pytest.raises(InputError, match="crop takes pixels"):
        timm.Mix(augury.pipeline("crop+mixup"), num_classes=4)


def test_a_collator_takes_what_data_sets_hold() -> None:
    picture = Image.fromarray(IMAGES[0].permute(1, 2, 0).numpy())
    grey = Image.new("L", (12, 12), 7)
    batch = huggingface.Collator("x", "y", "n")([{"x": picture, "y": 1, "n": 9}, {"x": grey, "y": 2, "n": 8}])
    assert torch.equal(batch["images"][0], IMAGES[0]) and bool((batch["images"][1] == 7).all())
    assert batch["labels"].tolist() == [1, 2] and batch["ids"].tolist() == [9, 8]
    arrays = huggingface.Collator()([(np.zeros((4, 4, 3), np.uint8), 1), (np.zeros((4, 4, 3), np.uint8), 0)])
    assert arrays["images"].shape == (2, 3, 4, 4) and arrays.keys() == {"images", "labels"}
    with pytest.raises(InputError, match="several sizes, such as 4x4 and 5x5"):
        huggingface.stacked([torch.zeros(3, 4, 4), torch.zeros(3, 5, 5)])
    with pytest.raises(InputError, match="no 'image', only x"):
        huggingface.Collator()([{"x": picture}])
    with pytest.raises(InputError, match="mixes images of a batch"):
        huggingface.Transform(augury.pipeline("cutmix"))


def vit(**options: Any) -> nn.Module:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = transformers.ViTConfig(image_size=12, patch_size=6, num_labels=4, **sizes, **options)
    return transformers.ViTForImageClassification(config)


def trainer_of(method: Any, folder: Path, **options: Any) -> Any:
    from transformers import Trainer, TrainingArguments

    class MethodTrainer(huggingface.MethodTraining, Trainer):
        pass

    quiet = {"use_cpu": True, "report_to": [], "disable_tqdm": True, "per_device_train_batch_size": 8}
    arguments = TrainingArguments(str(folder), **{**quiet, "num_train_epochs": 2, "save_strategy": "no", **options})
    train = augury.with_ids(TensorDataset(IMAGES, LABELS))
    return MethodTrainer(method, arguments, huggingface.Collator(), train, TensorDataset(IMAGES, LABELS))


def test_mixed_labels_never_make_hugging_faces_networks_take_several_labels_at_once(tmp_path: Path) -> None:
    """Their rule: float labels mean binary cross-entropy per class. Catches labels that reach the network."""
    network = vit()
    soft = torch.full((24, 4), 0.25)
    values = augury.pipeline("normalize", normalize=STATISTICS)(IMAGES)
    assert network.config.problem_type is None
    network(pixel_values=values, labels=soft)
    assert network.config.problem_type == "multi_label_classification", "the rule that is guarded against"
    with pytest.raises(InputError, match="problem_type is multi_label_classification"):
        huggingface.Logits(network)
    network.config.problem_type = None
    method = made(huggingface.Logits(network), augment="none")
    trainer = trainer_of(method, tmp_path)
    trainer.state.num_train_epochs = 2
    loss = trainer.compute_loss(method, {"images": IMAGES, "labels": soft, "ids": torch.arange(24)})
    expected = nn.functional.cross_entropy(network(pixel_values=values).logits, soft)
    torch.testing.assert_close(loss, expected)
    assert network.config.problem_type is None
    trainer.train()
    found = trainer.predict(TensorDataset(IMAGES, LABELS))
    assert network.config.problem_type is None and found.predictions.shape == (24, 4)
    logits = network.eval()(pixel_values=values).logits
    assert found.metrics["test_loss"] == pytest.approx(float(nn.functional.cross_entropy(logits, LABELS)), rel=1e-5)
    assert np.allclose(found.predictions, logits.detach().numpy(), atol=1e-6)


def test_a_trainer_accumulates_and_resumes(tmp_path: Path) -> None:
    """Catches losses that are summed over accumulated batches in place of averaged, and a state that checkpoints lose."""
    pytest.importorskip("transformers")
    options = {"learning_rate": 0.1, "optim": "sgd", "lr_scheduler_type": "constant", "max_grad_norm": 0, "weight_decay": 0}
    whole, halves = made(augment="crop"), made(augment="crop")
    trainer_of(whole, tmp_path / "a", num_train_epochs=1, per_device_train_batch_size=24, **options).train()
    accumulated = {"num_train_epochs": 1, "per_device_train_batch_size": 12, "gradient_accumulation_steps": 2}
    trainer_of(halves, tmp_path / "b", **accumulated, **options).train()
    for a, b in zip(whole.parameters(), halves.parameters(), strict=True):
        torch.testing.assert_close(a, b)

    strategy = "adversarial_autoaugment(policies=2)"
    once = made(strategy=strategy)
    saving = {"save_strategy": "steps", "save_steps": 4, "num_train_epochs": 3, **options}
    trainer_of(once, tmp_path / "c", **saving).train()
    resumed = made(strategy=strategy)
    trainer_of(resumed, tmp_path / "c", **saving).train(resume_from_checkpoint=str(tmp_path / "c" / "checkpoint-4"))
    assert all(torch.equal(a, b) for a, b in zip(once.parameters(), resumed.parameters(), strict=True))
    assert resumed.counts == once.counts
    assert resumed.strategy.state_dict()["history"] == once.strategy.state_dict()["history"]


def test_what_a_trainer_cannot_do_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    with pytest.raises(InputError, match=r"expected what augury\.method"):
        trainer_of(nn.Linear(1, 1), tmp_path)
    with pytest.raises(InputError, match="the method makes the loss"):
        trainer_of(made(), tmp_path, label_smoothing_factor=0.1)


def classifier(**more: Any) -> Any:
    library = pytest.importorskip("lightning.pytorch")

    class Classifier(lightning.MethodTraining, library.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.method = made(**more)
            self.seen: list[Tensor] = []

        def validation_step(self, batch: Any, batch_idx: int) -> None:
            self.seen.append(batch[0])

        def configure_optimizers(self) -> Any:
            optimizer = torch.optim.SGD(self.method.parameters(), lr=0.1)
            return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)]

    return Classifier()


def fit(module: Any, folder: Path, checkpoint: Path | None = None, **options: Any) -> Any:
    from lightning.pytorch import Trainer

    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False, "enable_checkpointing": False}
    trainer = Trainer(**{"accelerator": "cpu", "devices": 1, "max_epochs": 3, "default_root_dir": str(folder), **quiet, **options})
    data = TensorDataset(IMAGES, LABELS)
    trainer.fit(module, DataLoader(augury.with_ids(data), 8), DataLoader(data, 24), ckpt_path=checkpoint, weights_only=False)
    return trainer


def test_lightning_validates_on_normalised_images_and_resumes(tmp_path: Path) -> None:
    strategy = "adversarial_autoaugment(policies=2)"
    whole = classifier(strategy=strategy)
    trainer = fit(whole, tmp_path)
    assert torch.equal(whole.seen[-1], whole.method.eval_transform(IMAGES)) and "train_loss" in trainer.callback_metrics
    first = classifier(strategy=strategy)
    fit(first, tmp_path, max_epochs=3, max_steps=3).save_checkpoint(tmp_path / "one.ckpt")
    second = classifier(strategy=strategy)
    fit(second, tmp_path, tmp_path / "one.ckpt")
    assert all(torch.equal(a, b) for a, b in zip(whole.method.parameters(), second.method.parameters(), strict=True))
    assert second.method.counts == whole.method.counts


def test_lightning_steps_schedules_of_strategies_that_update_in_turn(tmp_path: Path) -> None:
    torch.manual_seed(0)
    two = [nn.Sequential(nn.Flatten(), nn.Linear(432, 4)) for _ in range(2)]
    module = classifier(model=two, strategy="dml(updates=alternating)")
    trainer = fit(module, tmp_path)
    assert trainer.optimizers[0].param_groups[0]["lr"] == pytest.approx(0.1 * 0.5**3)
    with pytest.raises(InputError, match="max_epochs"):
        fit(classifier(), tmp_path, max_epochs=-1, max_steps=1)
