"""Pipelines that end in what the network reads: memory layout, `out`, in-place calls and reused buffers."""

import _thread
import operator
import os
import pickle
import signal
import time

import pytest
import torch
from PIL import Image
from samples import batch_of, noise_of, noisy

import augury
from augury.augment.forms import threads
from augury.augment.pipeline import Pipeline
from augury.core.batch import Batch
from augury.core.errors import InputError
from augury.core.noise import Noise
from augury.core.targets import Targets

STATISTICS = ((0.49, 0.48, 0.45), (0.25, 0.24, 0.26))
CHAIN = "crop+flip+randaugment+random_erasing"


@pytest.fixture(autouse=True)
def _together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUGURY_FUSE", "1")


def pair(text: str = CHAIN, **options: object) -> tuple[Pipeline, Pipeline]:
    """The same pipeline twice, as each call draws anew."""
    return augury.pipeline(text, **options), augury.pipeline(text, **options)


def test_a_result_that_is_held_is_never_written_to() -> None:
    # Catches a buffer that is handed out while a tensor, a view or an array of it is alive.
    pipeline, images = augury.pipeline(CHAIN, normalize=STATISTICS), noisy(16, height=32, width=32)
    held, views, copies = [], [], []
    for number in range(12):
        result = pipeline(images)
        copies.append(result.clone())
        if number % 3 == 0:
            held.append(result)
        elif number % 3 == 1:
            views.append(result[3:5, 1])
        else:
            views.append(torch.from_numpy(result[3:5, 1].numpy()))
        del result
    for number, copy in enumerate(copies):
        kept = held[number // 3] if number % 3 == 0 else views[number - number // 3 - 1]
        assert torch.equal(kept, copy if number % 3 == 0 else copy[3:5, 1])


@pytest.mark.parametrize("options", [{}, {"dtype": torch.bfloat16}, {"channels_last": True}])
def test_results_begin_where_a_line_of_the_caches_does(options: dict[str, object]) -> None:
    """Wide writes that cross lines take a third longer; the system's memory begins anywhere within one."""
    held = []
    for height in range(20, 40):
        held.append(augury.pipeline("flip", normalize=STATISTICS, **options)(noisy(3, height=height, width=11)))
        assert held[-1].data_ptr() % 64 == 0
        assert held[-1].shape == (3, 3, height, 11)


def test_an_interrupt_that_comes_while_memory_returns_is_raised() -> None:
    """Python runs nothing between the two calls, as nothing runs between a kernel's end and the release of what it read."""
    held = [augury.pipeline("flip", normalize=STATISTICS)(noisy(8, height=32, width=32))]
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)  # processes of a parallel test run ignore it
    try:
        with pytest.raises(KeyboardInterrupt):
            tuple(map(operator.call, (_thread.interrupt_main, held.clear)))
    finally:
        signal.signal(signal.SIGINT, handler)


def test_memory_that_nobody_holds_is_used_again() -> None:
    pipeline, images = augury.pipeline("flip", normalize=STATISTICS), noisy(8, height=32, width=32)
    last = [pipeline(images) for _ in range(100)][-1].data_ptr()
    places = {last}  # of 100 that were held and are gone, the last ones' memory is kept
    for _ in range(20):
        result = pipeline(images)
        places.add(result.data_ptr())
    assert len(places) <= 2


@pytest.mark.parametrize("options", [{}, {"normalize": STATISTICS}, {"normalize": STATISTICS, "dtype": torch.bfloat16}])
@pytest.mark.parametrize("channels_last", [False, True])
def test_out_takes_the_result(options: dict[str, object], channels_last: bool) -> None:
    one, other = pair(channels_last=channels_last, **options)
    images = noisy(9, height=20, width=24)
    wanted = one(images)
    out = torch.empty_like(wanted)
    assert other(images, out=out) is out and torch.equal(out, wanted)


@pytest.mark.parametrize("text", [CHAIN, f"{CHAIN}+mixup", f"{CHAIN}+cutmix(p=1)", "flip+posterize"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("channels_last", [False, True])
def test_what_is_written_past_the_caches_is_the_same(
    text: str, dtype: torch.dtype, channels: int, channels_last: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain = pytest.importorskip("augury.augment.forms.chain")
    statistics = ((0.5,) * channels, (0.25,) * channels)
    text = text.replace("randaugment", "rotate+posterize") if channels == 1 else text
    images = torch.randint(0, 256, (5, channels, 70, 67), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    ids, found, never = torch.arange(5), [], 1 << 40
    for backend, far, alone in (
        ("plain", 0, 0),
        ("numba", 0, 0),
        ("numba", 0, never),
        ("numba", never, 0),
        ("numba", never, never),
    ):
        monkeypatch.setenv("AUGURY_BACKEND", backend)
        monkeypatch.setattr(chain, "FAR_BYTES", far)
        monkeypatch.setattr(chain, "ALONE_BYTES", alone)
        pipeline = augury.pipeline(text, seed=3, normalize=statistics, dtype=dtype, channels_last=channels_last)
        batch = Batch(images, Targets.of(ids, 5), ids)
        found.append([pipeline.run(batch, Noise.of(3, ids, epoch=epoch))[0].images for epoch in range(4)])
    for other in found[1:]:
        assert all(map(torch.equal, found[0], other))


@pytest.mark.parametrize("count", [1, 2, 3, 8])
@pytest.mark.parametrize("text", ["crop+rotate(p=1)+mixup", "resized_crop+posterize+random_erasing+cutmix(p=1)"])
def test_images_mixed_in_turn_are_the_same_on_threads_and_for_other_partners(
    text: str, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain = pytest.importorskip("augury.augment.forms.chain")
    for name in ("SMALLEST_SHARE_BYTES", "SMALLEST_PIECE_BYTES"):
        monkeypatch.setattr(threads, name, 1)
    monkeypatch.setattr(chain, "TURNS", 1)
    images, ids, before = noisy(count, height=20, width=24), torch.arange(count), torch.get_num_threads()
    pipeline, found = augury.pipeline(text, normalize=STATISTICS), []
    batch, noise = Batch(images, Targets.of(ids, count), ids), Noise.of(3, ids)
    traces = pipeline.run(batch, noise)[1]
    assert traces[-1] is not None
    for turn in (0, 1):  # one cycle; then everyone's partner is the last, or itself
        if turn:
            traces[-1]["partner"] = torch.full_like(traces[-1]["partner"], count - 1)
        for number, alone in ((1, 1 << 40), (1, 0), (2, 0)):
            monkeypatch.setattr(chain, "ALONE_BYTES", alone)
            try:
                torch.set_num_threads(number)
                found.append(pipeline.apply(batch, traces).images)
            finally:
                torch.set_num_threads(before)
    for turn in (0, 3):
        assert torch.equal(found[turn], found[turn + 1]) and torch.equal(found[turn], found[turn + 2])


def test_partners_make_a_cycle_or_none() -> None:
    chain = pytest.importorskip("augury.augment.forms.chain")
    for partner, cycle in (
        ([0], [0]),
        ([2, 0, 1], [0, 2, 1]),
        ([1, 0, 2], None),
        ([1, 1], None),
        ([1, 2, 1], None),
        ([0, 0], None),
    ):
        found = chain._cycle(torch.tensor(partner).numpy())
        assert found == cycle


@pytest.mark.parametrize("text", [CHAIN, "cutout", "cutmix", "resized_crop+cutmix", "elastic", "cutout+rotate(p=1)"])
def test_images_are_augmented_in_place(text: str) -> None:
    one, other = pair(text)
    images, labels = noisy(9, height=20, width=24), torch.arange(9)
    wanted, targets = one(images, labels)
    found, again = other(images, labels, out=images)
    assert found is images and torch.equal(images, wanted)
    assert torch.equal(targets.dense(), again.dense()) if one.mixes else torch.equal(targets, again)


@pytest.mark.parametrize("backend", ["plain", "numba"])
@pytest.mark.parametrize(
    "text", ["cutout(p=1)", "random_erasing(p=1)", "grid_mask(p=1)", "cutout+random_erasing(p=1)", "cutmix", "mixup"]
)
def test_normalised_values_are_augmented_in_place(text: str, backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUGURY_BACKEND", backend)
    values, ids = noisy(9, height=20, width=24).float() / 64 - 2, torch.arange(9)
    batch = Batch(values, Targets.of(ids, 9), ids)
    pipeline, noise = augury.pipeline(text), Noise.of(3, ids)
    wanted = pipeline.run(batch.replace(images=values.clone()), noise)[0]
    found = pipeline.run(batch, noise, out=values)[0]
    assert found.images.data_ptr() == values.data_ptr() and torch.equal(values, wanted.images)
    assert found.targets is not None and wanted.targets is not None
    assert torch.equal(found.targets.dense(), wanted.targets.dense())


def test_nothing_is_written_in_place_before_a_stage_is_refused() -> None:
    values, ids = noisy(9).float() / 64 - 2, torch.arange(9)
    before = values.clone()
    with pytest.raises(InputError, match="rotate takes"):
        augury.pipeline("random_erasing(p=1)+rotate").run(Batch(values, None, ids), Noise.of(3, ids), out=values)
    assert torch.equal(values, before)


def test_out_that_cannot_take_the_result_is_refused_by_name() -> None:
    images = noisy(4)
    pixels, values = augury.pipeline("flip"), augury.pipeline("flip", normalize=STATISTICS)
    whole = torch.empty(6, 3, 16, 12, dtype=torch.uint8)
    overlapping = torch.empty(5 * 3 * 16 * 12, dtype=torch.uint8)
    cases = [
        (pixels, images, torch.empty(3, 3, 16, 12, dtype=torch.uint8), r"out: has the shape \[3, 3, 16, 12\]"),
        (pixels, images, torch.empty(4, 3, 16, 12), "out: is torch.float32"),
        (values, images, torch.empty(4, 3, 16, 12, dtype=torch.bfloat16), "out: is torch.bfloat16"),
        (pixels, images, torch.empty(4, 3, 16, 24, dtype=torch.uint8)[..., ::2], "out: its memory layout differs"),
        (values, images, torch.empty(4, 16, 12, 3).permute(0, 3, 1, 2), "out: its memory layout differs"),
        (pixels, overlapping[:2304].view(4, 3, 16, 12), overlapping[100:2404].view(4, 3, 16, 12), "out: overlaps the images"),
        (pixels, images.float() / 255, torch.empty(4, 3, 16, 12), "out: float images"),
        (pixels, images[0], whole[:1], "out: has the shape"),
        (augury.pipeline("batch_augment(2)+flip"), images, whole[:4], r"but the result has \[8, 3, 16, 12\]"),
    ]
    for pipeline, given, out, message in cases:
        with pytest.raises(InputError, match=message):
            pipeline(given, out=out)


def test_a_pipeline_gives_what_the_network_reads() -> None:
    pipeline = augury.pipeline("crop+cutout", normalize=STATISTICS, dtype=torch.bfloat16, channels_last=True)
    assert [stage.name for stage in pipeline.stages] == ["crop", "normalize", "cutout"]
    assert pipeline(noisy(4)).dtype == torch.bfloat16
    assert pipeline(noisy(4)[0]).shape == (3, 16, 12)
    image = Image.fromarray(noisy(1)[0].permute(1, 2, 0).numpy())
    found = pipeline(image)
    assert isinstance(found, torch.Tensor) and found.shape == (3, 16, 12)
    again = pickle.loads(pickle.dumps(pipeline))
    images = noisy(4)
    assert torch.equal(again(images), pipeline(images)) and again(images).is_contiguous(memory_format=torch.channels_last)


def test_normalize_stands_where_the_chain_names_it() -> None:
    names = lambda text: [stage.name for stage in augury.pipeline(text, normalize=STATISTICS).stages]  # noqa: E731
    assert names("crop+cutout+normalize+cutmix") == ["crop", "cutout", "normalize", "cutmix"]
    with_numbers = augury.pipeline("crop+normalize(mean=[0.49,0.48,0.45],std=[0.25,0.24,0.26])+cutout")
    batch = batch_of(noisy(4))
    named = augury.pipeline("crop+normalize+cutout", normalize=STATISTICS)
    assert torch.equal(with_numbers.run(batch, noise_of(batch))[0].images, named.run(batch, noise_of(batch))[0].images)


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("crop+normalize", {}, "normalize needs numbers"),
        ("normalize+crop", {"normalize": STATISTICS}, "crop needs pixels; put it before normalize"),
        ("normalize+normalize", {"normalize": STATISTICS}, "once and without numbers"),
        ("crop", {"normalize": ((0.5,), (0.0,))}, "deviations above 0"),
        ("crop", {"normalize": ((0.5, 0.5), (0.2,))}, "2 means and 1 deviations"),
        ("crop", {"normalize": ((120.0,) * 3, (60.0,) * 3)}, "divide those of 0..255 by 255"),
        ("crop", {"normalize": (("a",), (1,))}, "a number per channel"),
        ("crop", {"dtype": torch.float16}, "requires normalize"),
        ("crop", {"normalize": STATISTICS, "dtype": torch.float64}, "float32, bfloat16 or float16"),
        ("normalize(mean=0.5)", {}, "both mean and std"),
    ],
)
def test_what_cannot_be_normalised_is_refused(text: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        augury.pipeline(text, **options)


def test_another_number_of_channels_is_refused() -> None:
    with pytest.raises(InputError, match="3 channels, and the images have 1"):
        augury.pipeline("crop", normalize=STATISTICS)(noisy(4, channels=1))


def test_every_row_is_done_once_by_any_number_of_threads() -> None:
    before = torch.get_num_threads()
    try:
        for count in (1, 2, 3, 7, 64):
            for number in (1, 2, 5):
                torch.set_num_threads(number)
                done = torch.zeros(count, dtype=torch.int64)

                def rows(start: int, stop: int, done: torch.Tensor = done) -> None:
                    done[start:stop] += 1

                threads.in_parts(rows, count, 1 << 22)
                assert bool((done == 1).all())
    finally:
        torch.set_num_threads(before)


def test_threads_that_do_not_help_stay_away_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    before, pieces = torch.get_num_threads(), []
    monkeypatch.setattr(threads, "SHORTEST_ABSENCE_SECONDS", 60)
    threads._helpers.cache_clear()

    def stopped(start: int, stop: int) -> None:  # as the calling thread is by a helper on its own core
        pieces.append(stop - start)
        time.sleep(0.001)

    try:
        torch.set_num_threads(2)
        threads.in_parts(stopped, 64, 1 << 22)
        assert len(pieces) > 1 and sum(pieces) == 64
        pieces.clear()
        threads.in_parts(stopped, 64, 1 << 22)
        assert pieces == [64]
        helpers = threads._helpers(os.getpid(), 2)
        helpers._back_at = 0.0
        helpers.met(helped=True)
        assert not helpers.away()
        helpers.met(helped=False)
        assert helpers.away()
    finally:
        torch.set_num_threads(before)
        threads._helpers.cache_clear()


def test_an_error_in_another_thread_is_raised() -> None:
    before = torch.get_num_threads()

    def rows(start: int, stop: int) -> None:
        if stop == 64:
            raise ValueError("the last piece")

    try:
        torch.set_num_threads(2)
        with pytest.raises(ValueError, match="the last piece"):
            threads.in_parts(rows, 64, 1 << 22)
    finally:
        torch.set_num_threads(before)
