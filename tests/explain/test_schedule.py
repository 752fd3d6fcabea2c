"""A schedule's figures: shares and strengths counted by hand."""

import numpy as np

from augury.augment.policies.file import PolicyEntry, PolicyFile
from augury.explain.report.schedule import schedule_panels, table


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
    assert html.count("<svg") == 2 and "invert 50% to 50%" in html
