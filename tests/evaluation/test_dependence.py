"""Dependence lent to samples: their values stay, their order becomes that of past days or of a fitted field."""

from dataclasses import replace

import numpy as np
import pytest

from lecdiff_core.city.folder import City
from lecdiff_core.city.panel import Panel
from lecdiff_core.evaluation.dependence import GaussianField, Lender, PastWindows
from lecdiff_core.evaluation.metrics import OrderedSamples
from tests.conftest import make_city

DAYS, STATIONS, DAY = 40, 6, 24


@pytest.fixture(scope="module")
def panel(tmp_path_factory: pytest.TempPathFactory) -> Panel:
    """A city without gaps whose stations rise and fall together by the day, and otherwise each by itself."""
    city: City = make_city(tmp_path_factory.mktemp("tied"), STATIONS, DAYS)
    panel = Panel.of(city)
    rng = np.random.default_rng(0)
    together = np.repeat(rng.lognormal(0, 0.4, DAYS), DAY)[: panel.steps]
    values = (np.nan_to_num(panel.values, nan=50.0) + 10) * together * rng.lognormal(0, 0.05, panel.values.shape)
    return replace(panel, values=values.astype(np.float32))


def together(samples: np.ndarray) -> float:
    """Correlation of two stations' daily totals over the samples."""
    totals = samples.sum(1)
    return float(np.corrcoef(totals[0], totals[1])[0, 1])


def test_both_tie_what_moved_together(panel: Panel) -> None:
    stop = 35 * DAY
    past = PastWindows.of(panel, stop)
    apart = np.random.default_rng(2).normal(size=(STATIONS, DAY, 100))
    assert abs(together(apart)) < 0.3
    lent = Lender.before(past, stop, panel.positions).ranks(stop, 100, seed=0)
    assert set(lent) == {"schaake", "gaussian"}
    for ranks in lent.values():
        assert together(OrderedSamples.of(apart).in_order(ranks)) > 0.6


def test_the_same_seed_gives_the_same_order(panel: Panel) -> None:
    past = PastWindows.of(panel, 30 * DAY)
    first, again = past.ranks(30 * DAY, 100, seed=1), past.ranks(30 * DAY, 100, seed=1)
    assert first is not None and again is not None
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(np.sort(first), np.broadcast_to(np.arange(100), first.shape))


def test_the_nearest_windows_come_first_and_are_repeated_in_order(panel: Panel) -> None:
    past = PastWindows.of(panel, 30 * DAY)
    alike = past.alike(30 * DAY)
    assert alike is not None and 20 <= len(alike) < 100
    assert list(past.origins[alike[:2]]) == [29 * DAY, 29 * DAY - 1]
    assert (np.diff(np.abs(past.origins[alike] - 30 * DAY)) >= 0).all()
    ranks = past.ranks(30 * DAY, 100, seed=1)
    assert ranks is not None
    departures = past.departures[np.resize(alike, 100)]
    np.testing.assert_array_equal(np.sort(departures[:, 0, 0]), departures[ranks[0, 0].argsort(), 0, 0])


def test_only_windows_of_the_same_clock_time_are_taken_and_only_of_the_past(panel: Panel) -> None:
    past = PastWindows.of(panel, 30 * DAY)
    assert (past.origins + DAY <= 30 * DAY).all()
    changed = replace(
        panel, values=np.concatenate([panel.values[:, : 30 * DAY], panel.values[:, 30 * DAY :] * 9], axis=1)
    )
    np.testing.assert_array_equal(PastWindows.of(changed, 30 * DAY).departures, past.departures)


def test_too_few_whole_windows_give_none(panel: Panel) -> None:
    past = PastWindows.of(panel, 6 * DAY)
    assert past.ranks(6 * DAY, 100, seed=0) is None
    assert not Lender.before(past, 6 * DAY, panel.positions).ranks(6 * DAY, 100, seed=0).keys() & {"schaake"}
    holes = replace(panel, values=np.where(np.arange(panel.steps) % DAY == 5, np.nan, panel.values))
    none = PastWindows.of(holes, 35 * DAY)
    assert not len(none.origins) and GaussianField.fit(none, panel.positions) is None


def test_windows_that_end_earlier_are_those_of_an_earlier_step(panel: Panel) -> None:
    cut, early = PastWindows.of(panel, 30 * DAY).before(20 * DAY), PastWindows.of(panel, 20 * DAY)
    np.testing.assert_array_equal(cut.origins, early.origins)
    np.testing.assert_allclose(cut.departures, early.departures, atol=1e-5)


def test_what_some_origins_lack_is_lent_to_none(panel: Panel) -> None:
    lender = Lender.before(PastWindows.of(panel, 30 * DAY), 30 * DAY, panel.positions)
    assert lender.able(np.array([30 * DAY])) == {"schaake", "gaussian"}
    few = Lender.before(lender.past, 10 * DAY, panel.positions)
    assert few.able(np.array([10 * DAY])) == {"gaussian"}
    assert set(replace(few, names=frozenset({"gaussian"})).ranks(10 * DAY, 50, 0)) == {"gaussian"}
