"""A schedule's figures: shares and strengths counted by hand."""

import numpy as np

from augury.augment.policies.file import PolicyEntry, PolicyFile
from augury.explain.report.controller import controller_panels
from augury.explain.report.schedule import magnitudes, schedule_panels, table


def test_shares_and_strengths_are_those_of_the_entries() -> None:
    one = (
        (PolicyEntry("invert", 1, 0.2), PolicyEntry("rotate", 1, 0.4)),
        (PolicyEntry("rotate", 1, 0.8), PolicyEntry("rotate", 1, 0.6)),
    )
    two = ((PolicyEntry("invert", 1, 1.0), PolicyEntry("invert", 1, 0.0)),)
    names, share, strength = table(PolicyFile("p", ((0.5, one), (1.0, two))))
    assert names == ["invert", "rotate"]
    np.testing.assert_allclose(share, [[0.25, 1.0], [0.75, 0.0]])
    np.testing.assert_allclose(strength, [[0.2, 0.5], [0.6, np.nan]])


def test_many_periods_are_put_together_and_drawn() -> None:
    rows = ((PolicyEntry("invert", 1, 0.5), PolicyEntry("solarize", 1, 0.1)),)
    content = PolicyFile("p", tuple(((k + 1) / 200, rows) for k in range(200)))
    assert table(content)[1].shape == (2, 60)
    html = schedule_panels(content)
    assert html.count("<svg") == 3 and "invert 50% to 50%" in html


def test_magnitudes_are_shares_of_ten_bins() -> None:
    # Catches a bin beyond the last for strength 1, and shares over all periods instead of each.
    weak, strong = PolicyEntry("invert", 1, 0.0), PolicyEntry("rotate", 1, 1.0)
    content = PolicyFile("p", ((0.5, ((weak, weak), (weak, strong))), (1.0, ((PolicyEntry("rotate", 1, 0.95), strong),))))
    found = magnitudes(content)
    np.testing.assert_allclose(found[[0, 9]], [[0.75, 0.0], [0.25, 1.0]])
    np.testing.assert_allclose(found.sum(0), 1)


def test_a_controller_is_drawn_from_its_epochs() -> None:
    epochs = [
        {
            "epoch": n + 1,
            "controller": {
                "losses": [1.0 + n, 2.0], "rewards": [-0.7, 0.7], "log_probabilities": [-50.0, -51.0], "entropy": 50.0 - n,
                "operations": {"invert": 0.5 - n / 100, "rotate": 0.5 + n / 100}, "magnitudes": [0.1] * 10,
            },
        }
        for n in range(3)
    ]  # fmt: skip
    html = controller_panels(epochs)
    assert html.count("<svg") == 5 and "50.000 nats first, 48.000 last" in html and "invert 50.0% to 48.0%" in html
    plain = [{"epoch": 1, "controller": {"losses": [1.0, 2.0]}}, {"epoch": 2}]
    assert controller_panels(plain).count("<svg") == 1 and controller_panels([{"epoch": 1}]) == ""
