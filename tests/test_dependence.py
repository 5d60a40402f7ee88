"""Dependence lent to samples: their values stay, their order becomes that of past days or of a fitted field."""

from dataclasses import replace

import numpy as np
import pytest

from lecdiff_core.city.folder import City
from lecdiff_core.city.windows import Panel, usual_distance
from lecdiff_core.dependence import GaussianField, PastWindows, reorder
from tests.conftest import make_city

DAYS, STATIONS, DAY = 40, 6, 24


@pytest.fixture(scope="module")
def panel(tmp_path_factory: pytest.TempPathFactory) -> Panel:
    """A city whose stations rise and fall together by the day, and otherwise each by itself."""
    city: City = make_city(tmp_path_factory.mktemp("tied"), STATIONS, DAYS)
    panel = Panel.of(city)
    rng = np.random.default_rng(0)
    together = np.repeat(rng.lognormal(0, 0.4, DAYS), DAY)[: panel.steps]
    values = (panel.values + 10) * together * rng.lognormal(0, 0.05, panel.values.shape)
    return replace(panel, values=values.astype(np.float32))


def test_reordering_keeps_every_value_and_takes_the_order_given() -> None:
    rng = np.random.default_rng(1)
    samples, like = rng.normal(size=(20, 3, 4)), rng.normal(size=(20, 3, 4))
    tied = reorder(samples, like)
    np.testing.assert_array_equal(np.sort(tied, axis=0), np.sort(samples, axis=0))
    np.testing.assert_array_equal(tied.argsort(0), like.argsort(0))


def together(samples: np.ndarray) -> float:
    """Correlation of two stations' daily totals over the samples."""
    totals = samples.sum(2)
    return float(np.corrcoef(totals[:, 0], totals[:, 1])[0, 1])


def test_both_tie_what_moved_together(panel: Panel) -> None:
    stop = 35 * DAY
    past = PastWindows.of(panel, stop)
    apart = np.random.default_rng(2).normal(size=(100, STATIONS, DAY))
    assert abs(together(apart)) < 0.3
    like = past.like(stop, 100, seed=0)
    assert like is not None and together(reorder(apart, like)) > 0.6
    field = GaussianField.fit(past, panel.positions, usual_distance(panel.positions))
    assert field is not None and together(reorder(apart, field.draw(stop, 100, seed=0))) > 0.6


def test_the_same_seed_gives_the_same_order(panel: Panel) -> None:
    past = PastWindows.of(panel, 30 * DAY)
    first, again = past.like(30 * DAY, 100, seed=1), past.like(30 * DAY, 100, seed=1)
    np.testing.assert_array_equal(first, again)


def test_only_windows_of_the_same_clock_time_are_taken_and_only_of_the_past(panel: Panel) -> None:
    past = PastWindows.of(panel, 30 * DAY)
    assert (past.origins + DAY <= 30 * DAY).all()
    changed = replace(
        panel, values=np.concatenate([panel.values[:, : 30 * DAY], panel.values[:, 30 * DAY :] * 9], axis=1)
    )
    np.testing.assert_array_equal(PastWindows.of(changed, 30 * DAY).departures, past.departures)


def test_too_few_whole_windows_give_none(panel: Panel) -> None:
    past = PastWindows.of(panel, 6 * DAY)
    assert past.like(6 * DAY, 100, seed=0) is None
    holes = replace(panel, values=np.where(np.arange(panel.steps) % DAY == 5, np.nan, panel.values))
    none = PastWindows.of(holes, 35 * DAY)
    assert not len(none.origins) and GaussianField.fit(none, panel.positions, 100.0) is None
