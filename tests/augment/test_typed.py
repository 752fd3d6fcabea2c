"""Text, YAML and objects build the same pipeline; pipelines behave like sequences."""

import base64
import io
import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from card_facts import forgetting_new_names
from PIL import Image
from torch import Tensor, nn

import augury
from augury.augment.typed import builder
from augury.core import registry
from augury.core.errors import InputError
from augury.core.grammar import show
from augury.core.laws import law_from, law_to_grammar
from augury.core.options import parse_spec

IMAGES = torch.randint(0, 256, (6, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(6)
# An option for each augmentation where one is needed, or where the interesting ones are: text, and the same from Python.
OPTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "rotate": ("degrees=uniform(-40, 40), interpolation=bilinear", {"degrees": (-40, 40), "interpolation": "bilinear"}),
    "shear_x": ("slope=0.2, p=0.7", {"slope": 0.2, "p": 0.7}),
    "translate_x": ("fraction=[-0.1, 0.25]", {"fraction": [-0.1, 0.25]}),
    "brightness": ("factor=log_uniform(0.5, 2)", {"factor": augury.LogUniform(0.5, 2)}),
    "mixup": ("weight=beta(0.4)", {"weight": augury.Beta(0.4, 0.4)}),
    "cutout": ("8", {"length": 8}),
    "randaugment": ("num_ops=1, spread=0.5", {"num_ops": 1, "spread": 0.5}),
    "tanda": ("functions=[flip, rotate(degrees=5)], length=3", {"functions": ("flip", "rotate(degrees=5)"), "length": 3}),
    "standard": ("policy=randaugment(num_ops=1)", {"policy": augury.pipeline("randaugment(num_ops=1)")}),
    "keep": ("cutout(8)+invert, tau=0.5", {"augment": augury.pipeline("cutout(8)+invert"), "tau": 0.5}),
    "inaugment": ("source=uniform(0.3, 1), policy=invert+flip", {"source": (0.3, 1), "policy": ["invert", "flip"]}),
}  # fmt: skip
FILES = {"fast_autoaugment": '[[("Rotate", 0.5, 0.9), ("Invert", 0.7, 0.1)]]', "pba": str([[3, [5, 6] * 30]])}
ENTRIES = [e for kind in registry.AUGMENTATIONS for e in registry.entries(kind)]


def made(pipeline: augury.Pipeline) -> list[Tensor]:
    """Everything that two calls give: images, and labels where they are mixed."""
    saliency = augury.saliency(Look(), mean=(0.5,) * 3, std=(0.25,) * 3)
    found = []
    for epoch in range(2):
        batch = augury.Batch(IMAGES, augury.Targets.of(LABELS, 6), torch.arange(6))
        done, traces = pipeline.run(batch, augury.Noise.of(pipeline.seed, batch.ids, epoch=epoch), saliency=saliency)
        assert done.targets is not None
        found += [done.images, done.targets.dense(), *(part for trace in traces if trace for part in trace.values())]
    return found


class Look(nn.Module):
    """A network whose gradient is the image's own brightness."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(6))

    def forward(self, images: Tensor) -> Tensor:
        return images.square().mean((1, 2, 3))[:, None] * self.scale


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda e: e.name)
def test_text_yaml_objects_pickles_and_reprs_are_one_thing(entry: registry.Registration, tmp_path: Path) -> None:
    # For every registered name. Catches a typed function that drops or renames an option, or writes a number short.
    if entry.name == "attentive_cutmix":
        pytest.skip("its saliency is another network's; test_salient_patches.py")
    if entry.name == "normalize":  # a place in a chain: refused without numbers for mean and deviation, whoever asks
        for build in (
            lambda: augury.presets.normalize(),
            lambda: augury.pipeline("normalize"),
            lambda: augury.pipeline(["normalize"]),
        ):
            with pytest.raises(augury.InputError, match=r"normalize needs numbers; pass normalize=\(mean, std\)"):
                build()
        statistics = ((0.5,) * 3, (0.25,) * 3)
        chains = ["crop+normalize+cutout", ["crop", "normalize", "cutout"], [augury.ops.crop(), "normalize", augury.ops.cutout()]]
        found = [made(augury.pipeline(chain, normalize=statistics, seed=4)) for chain in chains]
        assert all(len(each) == len(found[0]) and all(map(torch.equal, each, found[0])) for each in found)
        return
    text, options = OPTIONS.get(entry.name, ("", {}))
    if entry.name in FILES:
        (tmp_path / "file").write_text(FILES[entry.name], encoding="utf-8")
        text, options = f"file={tmp_path / 'file'}", {"file": str(tmp_path / "file")}
    text = f"{entry.name}({text})" if text else entry.name
    typed = builder(entry.kind, entry.name)(**options)
    expected = made(augury.pipeline(text, seed=4))
    as_yaml = yaml.safe_load(yaml.safe_dump(_mapping(text)))
    others = {
        "objects": augury.pipeline([typed], seed=4),
        "yaml": augury.pipeline(as_yaml, seed=4),
        "pickle": pickle.loads(pickle.dumps(augury.pipeline(typed, seed=4))),
        "repr": eval(repr(augury.pipeline(typed, seed=4)), {"augury": augury}),
        "keywords": augury.pipeline(entry.name, seed=4, **options),
        "pieces": augury.pipeline([typed[k] for k in range(len(typed))], seed=4),
    }
    for name, pipeline in others.items():
        found = made(pipeline)
        assert len(found) == len(expected) and all(map(torch.equal, found, expected)), name


def _mapping(text: str) -> Any:
    """A name with options as YAML says it: `{name: {option: value}}`."""
    spec = parse_spec(text, "test")
    if spec.first and not spec.options:
        return {spec.name: spec.first[0]}
    first = next(iter(k for k in builder(_kind(spec.name), spec.name).__signature__.parameters), None)  # type: ignore[attr-defined]
    options = {**({first: spec.first[0]} if spec.first else {}), **spec.options}
    return {spec.name: {k: [str(v) for v in value] if k == "functions" else _plain(value) for k, value in options.items()}}


def _kind(name: str) -> registry.Kind:
    return next(kind for kind in registry.AUGMENTATIONS if registry.has(kind, name))


def _plain(value: Any) -> Any:
    return value if isinstance(value, int | float | list) or value is None else str(value)


def test_pipelines_are_put_together_as_sequences_are() -> None:
    whole = augury.pipeline("crop+standard(policy=randaugment)+cutout(8)", seed=2)
    assert len(whole) == 5 and [repr(part) for part in whole][-1] == "augury.pipeline('cutout(8)', seed=2)"
    assert repr(whole[:2]) == "augury.pipeline('crop+crop', seed=2)" and repr(whole[-1]) == repr(whole[4])
    assert repr(augury.ops.flip() + "crop" + augury.ops.invert()) == "augury.pipeline('flip+crop+invert')"
    assert repr("flip" + augury.ops.crop(padding=2)) == "augury.pipeline('flip+crop(padding=2)')"
    assert repr(augury.pipeline("none") + "flip") == "augury.pipeline('flip')" and len(augury.pipeline("none")) == 0
    assert all(map(torch.equal, made(whole[:2] + whole[2:]), made(whole)))
    assert augury.pipeline([]).origin == "none" and bool(augury.pipeline("none"))
    with pytest.raises(IndexError, match="stage 5 of a pipeline of 5"):
        whole[5]


def test_seeds_of_parts_are_kept_or_asked_for() -> None:
    one, two = augury.pipeline("flip", seed=1), augury.pipeline("crop", seed=2)
    assert (one + "crop").seed == (augury.ops.crop() + one).seed == 1
    with pytest.raises(InputError, match=r"have different seeds \(1, 2\); pass seed"):
        one + two
    assert augury.pipeline([one, two], seed=3).seed == 3


def test_a_stage_of_ones_own_stands_beside_names() -> None:
    stage = augury.pipeline("invert").stages[0]
    assert isinstance(stage, augury.Stage)
    mixed = augury.pipeline([stage, "flip"])
    assert repr(mixed) == "<Pipeline of invert, flip; seed 0>" and len(mixed + "crop") == 3
    assert repr(mixed[1:]) == "augury.pipeline('flip')"
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(mixed)
    with pytest.raises(InputError, match="an unregistered stage cannot be"):
        augury.presets.keep(augment=mixed)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: augury.ops.rotate(degree=3), "unknown option of rotate 'degree'; did you mean 'degrees'"),
        (lambda: augury.ops.rotate(degrees=(1, 2, 3)), "a tuple is a range"),
        (lambda: augury.ops.rotate(degrees=(2, 1)), "must not be above"),
        (lambda: augury.policies.randaugment(num_ops=0.5), "num_ops=0.5"),
        (lambda: augury.pipeline(3), "augmentation=3"),
    ],
)
def test_wrong_options_are_refused_as_in_text(wrong: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        wrong()


@pytest.mark.parametrize(
    "law",
    [
        augury.Constant(0.1 + 0.2), augury.Uniform(-1 / 3, 2), augury.LogUniform(0.1, 3), augury.Choice((1.0, 2.5)),
        augury.Beta(0.2, 1), augury.Linear(0, 30, True, 1),
        augury.Stepped(0, 4, 0.5, True), augury.Ladder((0.0, 2.0, 7.5), True, 1.0),
    ],
    ids=lambda law: type(law).__name__,
)  # fmt: skip
def test_every_law_can_be_written_and_read_again(law: augury.Law) -> None:
    text = f"x(y={show(law_to_grammar(law))})"
    assert law_from(parse_spec(text, "test").options["y"], "test") == law


def test_a_plugin_is_built_by_its_typed_function() -> None:
    with forgetting_new_names():

        @augury.register("op", "mine_for_a_test")
        def mine_for_a_test(*, times: int = 1) -> augury.Op:
            """Inverted so many times."""
            return augury.Op("mine_for_a_test", "map", lambda images, values, size: images if times % 2 == 0 else 255 - images)

        assert augury.ops.mine_for_a_test(times=3)(IMAGES).equal(255 - IMAGES)  # type: ignore[attr-defined]
        assert "mine_for_a_test" in dir(augury.ops)


def test_a_notebook_shows_stages_options_and_samples() -> None:
    pipeline = augury.pipeline("rotate(degrees=uniform(-5, 5), p=0.25)+randaugment(num_ops=3)+mixup", seed=1)
    page = pipeline._repr_html_()
    for text in ("degrees=uniform(-5, 5), p=0.25", "-5 to 5 degrees, fires with p = 0.25", "3 of identity", "mixes labels"):
        assert text in page
    assert "fraction" not in augury.pipeline("cutout(length=8)")._repr_html_(), "the length stands in for it"
    assert "fraction 0.5 of the shorter side" in augury.pipeline("cutout")._repr_html_()
    before = pipeline._calls
    samples = pipeline.samples(IMAGES[:2], draws=3)
    assert samples._repr_html_().count("<img ") == 2 * 4 and pipeline._calls == before
    # The pictures are the first draws that a call makes.
    assert samples.after[0].equal(pipeline(IMAGES[:2], LABELS[:2])[0])


@pytest.mark.parametrize(
    ("channels", "heading"), [(1, "original<"), (2, "channel 1 of 2<"), (3, "original<"), (16, "channels 1-3 of 16<")]
)
def test_samples_of_any_number_of_channels_are_pictures(channels: int, heading: str) -> None:
    images = torch.arange(channels * 8 * 6, dtype=torch.uint8).reshape(1, channels, 8, 6)
    page = augury.pipeline("invert").samples(images, draws=1)._repr_html_()
    found = [Image.open(io.BytesIO(base64.b64decode(text))) for text in re.findall('base64,([^"]+)', page)]
    bands = 1 if channels < 3 else 3
    assert heading in page and [picture.mode for picture in found] == ["L" if bands == 1 else "RGB"] * 2
    for picture, expected in zip(found, (images, 255 - images), strict=True):
        assert np.array(picture).reshape(8, 6, bands).tolist() == expected[0, :bands].permute(1, 2, 0).tolist()
