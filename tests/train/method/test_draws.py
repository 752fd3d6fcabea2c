"""With ids an image draws the same under any loader, and a training resumed in the middle of an epoch draws on."""

import copy
import io
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

import augury
from augury.core.errors import InputError

IMAGES = torch.randint(0, 256, (48, 3, 12, 12), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(48) % 4


def made(strategy: Any = "erm", augment: Any = "crop+flip+cutout(length=4)", **more: Any) -> augury.Method:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(432, 4))
    return augury.method(model, augment=augment, strategy=strategy, classes=4, mean=[0.5] * 3, std=[0.25] * 3, seed=3, **more)


def noting(seen: dict[tuple[int, int], Tensor], epoch: list[int]) -> Any:
    """Plain training that writes down what each id became."""

    def strategy(model: torch.nn.Module, views: augury.Views) -> Tensor:
        batch = views()
        for number, image in zip(batch.ids.tolist(), batch.images, strict=True):
            seen[epoch[0], number] = image.clone()
        assert batch.targets is not None
        return batch.targets.loss(model(batch.images)).mean()

    return strategy


def drawn(loader: Any, epochs: int = 2) -> dict[tuple[int, int], Tensor]:
    seen: dict[tuple[int, int], Tensor] = {}
    at = [0]
    method = made(noting(seen, at))
    for epoch in range(epochs):
        at[0] = epoch
        method.start_epoch(epoch, epochs)
        for images, labels, ids in loader:
            method(images, labels, ids=ids)
    return seen


@pytest.fixture(scope="module")
def expected() -> dict[tuple[int, int], Tensor]:
    return drawn(DataLoader(augury.with_ids(TensorDataset(IMAGES, LABELS)), 16))


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # more workers than a small machine has cores
@pytest.mark.parametrize(
    "options",
    [
        {"batch_size": 5, "shuffle": True},
        {"batch_size": 16, "num_workers": 2, "multiprocessing_context": "fork"},
        {"batch_size": 16, "num_workers": 4, "multiprocessing_context": "fork", "persistent_workers": True, "shuffle": True},
        {"batch_size": 7, "num_workers": 2, "multiprocessing_context": "spawn"},
    ],
    ids=["order", "fork", "persistent", "spawn"],
)
def test_draws_do_not_depend_on_the_loader(options: dict[str, Any], expected: dict[tuple[int, int], Tensor]) -> None:
    found = drawn(DataLoader(augury.with_ids(TensorDataset(IMAGES, LABELS)), **options))
    assert found.keys() == expected.keys() and all(torch.equal(found[key], expected[key]) for key in expected)
    assert not torch.equal(expected[0, 5], expected[1, 5]), "another epoch, another draw"


@pytest.mark.parametrize("strategy", ["erm", "ait", "uncertainty(candidates=2)", "adversarial_autoaugment(policies=2)"])
def test_a_training_resumed_in_the_middle_of_an_epoch_goes_on_bit_for_bit(strategy: str) -> None:
    """Catches a counter or a strategy's memory that is left out of the state."""

    def steps(method: augury.Method, optimizer: torch.optim.Optimizer, first: int, last: int) -> list[float]:
        losses = []
        for step in range(first, last):
            if step % 4 == 0:
                method.start_epoch(step // 4, epochs=3)
            rows = torch.arange(12) + 12 * (step % 4)
            # Without ids the place in the epoch stands in, which the state must hold.
            loss = method(IMAGES[rows], LABELS[rows]).loss
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        return losses

    def pair() -> tuple[augury.Method, torch.optim.Optimizer]:
        method = made(strategy)
        return method, torch.optim.SGD(method.parameters(), lr=0.1, momentum=0.9)

    with pytest.warns(UserWarning, match="with_ids"):
        whole, optimizer = pair()
        expected = steps(whole, optimizer, 0, 12)
        first, optimizer = pair()
        steps(first, optimizer, 0, 6)
        file = io.BytesIO()
        torch.save({"method": first.state_dict(), "optimizer": optimizer.state_dict()}, file)
        file.seek(0)
        state = torch.load(file, weights_only=True)
        second, optimizer = pair()
        second.load_state_dict(state["method"])
        optimizer.load_state_dict(state["optimizer"])
        assert steps(second, optimizer, 6, 12) == expected[6:]
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), second.parameters(), strict=True))
    assert second.counts == whole.counts


def test_an_id_that_comes_again_is_augmented_anew() -> None:
    seen: list[Tensor] = []

    def strategy(model: torch.nn.Module, views: augury.Views) -> Tensor:
        batch = views()
        assert batch.visits is not None
        seen.append(batch.visits)
        return model(batch.images).sum()

    method = made(strategy)
    method.start_epoch(0, 2)
    for ids in ([3, 3, 5, 3], [5, 7, 3, 3]):
        method(IMAGES[ids], LABELS[ids], ids=torch.tensor(ids))
    assert torch.cat(seen).tolist() == [0, 1, 0, 2, 1, 0, 3, 4]
    method.start_epoch(1, 2)
    method(IMAGES[:1], LABELS[:1], ids=torch.tensor([3]))
    assert seen[-1].tolist() == [0]


class Stream(IterableDataset[Any]):
    def __iter__(self) -> Any:
        yield from ((image, int(label)) for image, label in zip(IMAGES, LABELS, strict=True))


def test_ids_of_iterable_data_sets() -> None:
    ids = [int(item[-1]) for item in augury.with_ids(Stream())]
    assert ids == list(range(48))
    two = torch.cat([batch[-1] for batch in DataLoader(augury.with_ids(Stream()), 8, num_workers=2)])
    assert len(set(two.tolist())) == 96, "each worker reads all items here, and no two have one number"
    named = [int(item[-1]) for item in augury.with_ids(Stream(), key=lambda item: f"class {item[1]}")]
    assert len(set(named)) == 4 and min(named) >= 0
    assert augury.with_ids([{"image": 1}])[0] == {"image": 1, "id": 0}  # type: ignore[index]
    with pytest.raises(InputError, match="have a key 'id'"):
        augury.with_ids([{"id": 1}])[0]  # type: ignore[index]


def test_a_copy_of_a_method_trains_on_its_own() -> None:
    """Catches a pipeline shared by both, whose stages a strategy teaches."""
    method = made("adversarial_autoaugment(policies=2)")
    twin = copy.deepcopy(method)
    before = method.strategy.state_dict()["history"]
    for epoch in range(2):
        twin.start_epoch(epoch, 2)
        twin(IMAGES, LABELS, ids=torch.arange(48))
    assert method.strategy.state_dict()["history"] == before and len(twin.strategy.state_dict()["history"]) == 2
    placed = {id(stage) for pipeline in twin.pipelines for stage in pipeline.stages}
    assert all(id(stage) in placed for stage in twin.strategy.stages)


@pytest.mark.parametrize(
    ("options", "call", "words"),
    [
        ({"strategy": "multi_ait"}, {}, "trains 2 networks, not 1"),
        ({"strategy": "group_dro"}, {}, "needs the data's groups"),
        ({"strategy": "uda"}, {"ids": torch.arange(4)}, "needs unlabelled images"),
        ({}, {"unlabelled": IMAGES[:4]}, "reads no stream 'unlabelled'"),
        ({}, {"ids": torch.arange(3)}, r"ids: expected whole numbers \[4\]"),
        ({"smoothing": 0.1, "strategy": "erm(smoothing=0.1)"}, {}, "leave one out"),
        ({"augment2": "crop"}, {}, "no second view"),
        ({"augment": "keep(cutout"}, {}, "augment"),
        ({"strategy": "reid"}, {}, "BNNeck"),
        ({"strategy": "erm+ait"}, {}, "strategy"),
    ],
)
def test_what_a_strategy_lacks_is_refused_in_one_line(options: dict[str, Any], call: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        method = made(**options)
        method.start_epoch(0, 1)
        method(IMAGES[:4], LABELS[:4], **call)
    assert "\n" not in str(caught.value)


def test_how_it_is_called_is_checked() -> None:
    method = made()
    with pytest.raises(InputError, match="start_epoch"):
        method(IMAGES[:4], LABELS[:4])
    method.start_epoch(0, 1)
    ids = torch.arange(4)
    with pytest.raises(InputError, match="needs labels"):
        method(IMAGES[:4], ids=ids)
    with pytest.raises(InputError, match="image_range"):
        method(IMAGES[:4] / 255, LABELS[:4], ids=ids)
    with pytest.raises(InputError, match="evaluation mode"):
        method.eval()(IMAGES[:4], LABELS[:4], ids=ids)
    with pytest.raises(InputError, match="must be 0 to 0"):
        method.start_epoch(1, 1)
    with pytest.raises(InputError, match="mean="):
        augury.method(torch.nn.Linear(1, 1), classes=2)
    floats, method = made(image_range=(0, 1)), made()
    for each in (floats, method):
        each.start_epoch(0, 1)
    assert torch.equal(floats(IMAGES[:4] / 255, LABELS[:4], ids=ids).loss, method(IMAGES[:4], LABELS[:4], ids=ids).loss)
    with pytest.raises(InputError, match="beyond image_range"):
        floats(IMAGES[:4].float(), LABELS[:4], ids=ids)
    turns = augury.method([torch.nn.Linear(1, 1)] * 2, strategy="dml(updates=alternating)", classes=2, mean=[0], std=[1])
    with pytest.raises(InputError, match=r"method\.turns"):
        turns(IMAGES[:4], LABELS[:4])


def test_refinement_switches_intensive_stages_off() -> None:
    method = made(augment="invert(p=1)+flip(p=1)", refine_epochs=1)
    seen: list[Tensor] = []
    method.register_forward_hook(lambda *_: None)
    plain = method.eval_transform(IMAGES[:4])
    for epoch in range(2):
        method.start_epoch(epoch, 2)
        views = method.views(method.inputs.sources(IMAGES[:4], LABELS[:4], torch.arange(4), None, None, {}), method.clock, 4)
        seen.append(views().images)
    assert torch.allclose(seen[0], method.eval_transform(255 - IMAGES[:4]).flip(-1)) and torch.equal(seen[1], plain.flip(-1))
