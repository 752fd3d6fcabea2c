"""A training's pipeline outside a training: `normalize` in chains, targets as labels, pipelines as layers, compiled."""

import copy
import pickle

import pytest
import torch
from torch import Tensor, nn

import augury
from augury.core.errors import InputError

IMAGES = torch.randint(0, 256, (6, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
LABELS = torch.arange(6)
STATISTICS = ([0.5, 0.4, 0.3], [0.2, 0.25, 0.3])


def test_it_is_the_pipeline_of_a_training() -> None:
    """Catches a region that is filled before normalising, where a training fills normalised values with 0."""
    made = augury.pipeline("crop+flip+cutout(length=6)", normalize=STATISTICS)
    network = nn.Sequential(nn.Flatten(), nn.Linear(768, 6))
    method = augury.method(network, augment="crop+flip+cutout(length=6)", classes=6, mean=STATISTICS[0], std=STATISTICS[1])
    assert [stage.name for stage in made.stages] == [stage.name for stage in method.pipelines[0].stages]
    batch = augury.Batch(IMAGES, None, torch.arange(6))
    noise = augury.Noise.of(0, batch.ids)
    assert torch.equal(made.run(batch, noise)[0].images, method.pipelines[0].run(batch, noise)[0].images)
    named = augury.pipeline("crop+flip+normalize+cutout(length=6)", normalize=STATISTICS)
    assert [stage.name for stage in named.stages] == ["crop", "flip", "normalize", "cutout"]
    assert torch.equal(made(IMAGES), named(IMAGES))
    written = augury.pipeline("crop+flip+normalize(mean=[0.5, 0.4, 0.3], std=[0.2, 0.25, 0.3])+cutout(length=6)")
    assert [stage.name for stage in written.stages] == [stage.name for stage in named.stages]
    values = (IMAGES.double() / 255 - torch.tensor(STATISTICS[0])[:, None, None]) / torch.tensor(STATISTICS[1])[:, None, None]
    torch.testing.assert_close(method.eval_transform(IMAGES).double(), values, rtol=0, atol=1e-6)
    assert torch.equal(method.eval_transform(IMAGES[0]), method.eval_transform(IMAGES)[0])


def test_layout_and_pickling() -> None:
    made = augury.pipeline("flip", normalize=STATISTICS, dtype=torch.bfloat16, channels_last=True)
    first = made(IMAGES)
    assert first.dtype == torch.bfloat16 and first.is_contiguous(memory_format=torch.channels_last)
    again = pickle.loads(pickle.dumps(made))
    assert torch.equal(again(IMAGES), copy.deepcopy(made)(IMAGES)) and again(IMAGES).dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("chain", "options", "words"),
    [
        ("crop+normalize", {}, "needs numbers"), ("crop", {"dtype": torch.float16}, "normalize="),
        ("crop", {"normalize": STATISTICS, "dtype": torch.int32}, "dtype must be float32"),
        ("crop", {"normalize": ([0.5], [0.0])}, "above 0"),
        ("normalize+equalize", {"normalize": STATISTICS}, "put it before normalize"),
    ],
)  # fmt: skip
def test_refusals(chain: str, options: dict, words: str) -> None:
    with pytest.raises(InputError, match=words):
        augury.pipeline(chain, **options)(IMAGES)


def test_targets_go_where_labels_go() -> None:
    images, targets = augury.pipeline("mixup")(IMAGES, LABELS, classes=6)
    logits = torch.randn(6, 6, generator=torch.Generator().manual_seed(0), requires_grad=True)
    loss = nn.CrossEntropyLoss()(logits, targets)
    torch.testing.assert_close(loss, targets.loss(logits).mean())
    torch.testing.assert_close(nn.functional.cross_entropy(logits, target=targets), loss)
    smoothed = nn.CrossEntropyLoss(label_smoothing=0.1)(logits, targets)
    torch.testing.assert_close(smoothed, targets.loss(logits, 0.1).mean())
    loss.backward()
    assert logits.grad is not None and images.shape == IMAGES.shape


def test_a_pipeline_is_a_layer() -> None:
    layer = augury.pipeline("crop+flip", normalize=STATISTICS).module()
    network = nn.Sequential(layer, nn.Flatten(), nn.Linear(768, 2))
    first = layer(IMAGES)
    assert not torch.equal(first, layer(IMAGES))
    other = augury.pipeline("crop+flip", normalize=STATISTICS).module()
    other.load_state_dict(layer.state_dict())
    assert torch.equal(other(IMAGES), layer(IMAGES)), "a state dict goes on where it was"
    plain = augury.pipeline("normalize", normalize=STATISTICS)(IMAGES)
    assert torch.equal(network.eval()[0](IMAGES), plain)
    passed = augury.pipeline("crop+cutmix").module().eval()
    assert torch.equal(passed(IMAGES), IMAGES) and passed(IMAGES, LABELS)[1].loss(torch.zeros(6, 6)).shape == (6,)


class Holds(nn.Module):
    """A network that holds a pipeline as a plain attribute."""

    def __init__(self, chain: str) -> None:
        super().__init__()
        self.augment = augury.pipeline(chain)
        self.head = nn.Linear(768, 2)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.augment(images).float().flatten(1))


@pytest.mark.parametrize("kind", ["crop+flip+randaugment", "augmix", "rotate(degrees=beta(0.5, 0.5))", "layer"])
def test_a_compiled_network_is_not_compiled_again_for_every_call(kind: str) -> None:
    """Catches a number of calls that is baked into the graph, and tables of a law that the compiler takes for constants."""
    network = Holds(kind) if kind != "layer" else nn.Sequential(augury.pipeline("crop+flip").module(), nn.Flatten())
    graphs = []

    def backend(graph: torch.fx.GraphModule, inputs: list[Tensor]) -> torch.fx.GraphModule:
        graphs.append(graph)
        return graph

    torch._dynamo.reset()
    compiled, eager = torch.compile(network, fullgraph=True, backend=backend), copy.deepcopy(network)
    found = [compiled(IMAGES) for _ in range(12)]
    assert len(graphs) <= 2
    assert all(torch.equal(a, eager(IMAGES)) for a in found), "compiled calls draw what eager ones draw, each anew"
