"""Districts: five neighbours, each inside its own interval, are found together; ordinary traffic gives no more than asked."""

import numpy as np
import pytest

from lecdiff_core.city.graph import distance_graph
from lecdiff_core.surges.districts import areas_of, together
from lecdiff_core.surges.events import detect
from lecdiff_core.surges.runs import BOUND

DAY, SIDE = 24, 8
QUIET, SEARCHED = slice(0, 14 * DAY), slice(14 * DAY, 28 * DAY)
PLACE = np.arange(SIDE * SIDE)
POSITIONS = 500.0 * np.stack([PLACE % SIDE, PLACE // SIDE], axis=1) + np.random.default_rng(5).uniform(
    0, 50, (SIDE * SIDE, 2)
)
GRAPH = distance_graph(POSITIONS, neighbours=4)
SHARED = 0.1  # of the variance, by the whole network


def deviations(seed: int) -> np.ndarray:
    """(N, T) standard normal, with memory, some of it the whole network's."""
    rng = np.random.default_rng(seed)
    own, network = rng.standard_normal((len(PLACE), 28 * DAY)), rng.standard_normal(28 * DAY)
    for step in range(1, 28 * DAY):
        own[:, step] = 0.5 * own[:, step - 1] + 0.75**0.5 * own[:, step]
    return (1 - SHARED) ** 0.5 * own + SHARED**0.5 * network


def of_areas(values: np.ndarray) -> dict[int, np.ndarray]:
    """What joint samples of such deviations would say of areas: the mean, in units of its spread."""
    return {
        size: values[members].mean(1) / np.sqrt(SHARED + (1 - SHARED) / size)
        for size, members in areas_of(POSITIONS).items()
    }


def planted(sign: int, size: float = 1.3) -> tuple[np.ndarray, np.ndarray]:
    """Deviations with six hours of a district event of five stations, none of which leaves its own 90 % interval."""
    values = deviations(3)
    stations = areas_of(POSITIONS)[5][27]
    place = np.ix_(stations, range(20 * DAY + 8, 20 * DAY + 14))
    values[place] = sign * size + 0.1 * values[place]
    assert np.abs(values[place]).max() < BOUND
    return values, stations


@pytest.mark.parametrize("sign", [1, -1])
def test_five_stations_each_inside_its_own_interval_are_found_together(sign: int) -> None:
    values, stations = planted(sign)
    alone = detect(values, QUIET, SEARCHED, GRAPH, DAY)
    found = detect(values, QUIET, SEARCHED, GRAPH, DAY, of_areas(values), POSITIONS)

    def told(events: np.ndarray, search) -> bool:
        runs = search.runs.take(np.flatnonzero(np.isin(search.event, events)))
        here = (runs.start < 20 * DAY + 14) & (runs.stop > 20 * DAY + 8) & (runs.direction == sign)
        return len(set(runs.station[here]) & set(stations.tolist())) >= 3

    assert told(np.flatnonzero(found.a_day <= 1.0), found)
    assert not told(np.flatnonzero(alone.a_day <= 1.0), alone)
    assert set(found.area) == {1, 5, 20} or set(found.area) == {1, 5}


def test_ordinary_traffic_reports_no_more_than_asked() -> None:
    reported = []
    for seed in range(10, 16):
        values = deviations(seed)
        found = detect(values, QUIET, SEARCHED, GRAPH, DAY, of_areas(values), POSITIONS)
        reported.append((found.a_day <= 1.0).sum() / 14)
    assert 0.3 < np.mean(reported) < 1.7


def test_every_event_has_runs_and_every_run_an_event() -> None:
    values, _ = planted(1)
    found = detect(values, QUIET, SEARCHED, GRAPH, DAY, of_areas(values), POSITIONS)
    assert set(found.event) == set(range(len(found.a_day)))
    assert len(found.area) == len(found.strength) == len(found.a_day)
    assert (found.runs.start < found.runs.stop).all()
    assert (found.runs.peak >= found.runs.start).all() and (found.runs.peak < found.runs.stop).all()


def test_without_places_or_in_a_little_city_there_are_no_areas() -> None:
    assert areas_of(np.full((50, 2), np.nan)) == {}
    assert list(areas_of(POSITIONS[:12])) == [5]
    assert areas_of(POSITIONS[:9]) == {}


def test_an_area_is_as_far_out_as_its_joint_samples_say_and_the_missing_count_for_nothing() -> None:
    rng = np.random.default_rng(0)
    shared = rng.standard_normal((400, 1, 6))
    samples = 100 + 5 * (0.8 * shared + 0.6 * rng.standard_normal((400, len(PLACE), 6)))
    observed = np.full((len(PLACE), 6), 106.0)
    observed[:30, 0] = np.nan
    for size, seen, drawn in together(areas_of(POSITIONS), PLACE, observed, samples):
        assert drawn.shape == (400, len(PLACE), 6)
        expected = 6 / (5 * 1.645)
        np.testing.assert_allclose(seen[:, 1:], expected, rtol=0.15)
        # Mostly shared: the mean of an area is hardly narrower than a station.
        assert drawn.std(0)[:, 1:].mean() == pytest.approx(np.sqrt(0.64 + 0.36 / size) / 1.645, rel=0.1)
        assert np.isnan(seen[0, 0])
        assert np.isfinite(seen[-1, 0])
