"""Online conformal calibration: order, bounds, what it repairs, what it leaves alone."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lecdiff_core.evaluation.conformal import (
    BINS,
    DEVIATES,
    MEMORY_DAYS,
    MOST_STRETCH,
    Calibration,
    CalibrationMap,
    ScoreCounts,
)
from lecdiff_core.evaluation.metrics import OrderedSamples
from lecdiff_core.evaluation.scores import LEVELS

DAY, SAMPLES, EVERY = 24, 60, 6
STATIONS, DAYS = 40, 21


def level(stations: int, steps: int) -> np.ndarray:
    """(N, T): large and small stations with a daily rhythm."""
    return np.geomspace(10, 200, stations)[:, None] * (1.5 + np.sin(np.arange(steps) * 2 * np.pi / DAY))


def followed(error: np.ndarray, bias: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Coverage (5, 2) at 50 and 90 % of five groups of stations, small ones first, over the last third of the days.

    Without and with calibration. Forecasts have a spread of a tenth of the level; what comes has `error` (N,) times that, and is
    off by `bias` spreads.
    """
    rng = np.random.default_rng(0)
    steps = DAYS * DAY
    usual = level(STATIONS, steps)
    observed = usual * (1 + 0.1 * (bias + error[:, None] * rng.standard_normal((STATIONS, steps))))
    calibration = Calibration.after(observed[:, : 2 * DAY], DAY, DAY / EVERY)
    held = np.zeros((2, STATIONS, 2))
    reported = range(2 * DAY, steps - DAY + 1, EVERY)
    for origin in reported:
        spread = 0.1 * rng.standard_normal((STATIONS, DAY, SAMPLES))
        ordered = OrderedSamples.of(usual[:, origin : origin + DAY, None] * (1 + spread))
        calibration.observe(observed[:, :origin])
        move = calibration.map()
        if move and origin >= steps * 2 // 3:
            came = observed[:, origin : origin + DAY]
            for row, samples in enumerate((ordered, move.of_ordered(ordered))):
                low_90, low_50, _, high_50, high_90 = samples.quantiles(LEVELS)
                inside = np.stack([(low_50 <= came) & (came <= high_50), (low_90 <= came) & (came <= high_90)], axis=-1)
                held[row] += inside.mean(1)
        calibration.add(origin, ordered)
    count = sum(origin >= steps * 2 // 3 for origin in reported)
    before, after = (held / count).reshape(2, 5, STATIONS // 5, 2).mean(2)
    return before, after


@pytest.mark.parametrize("factor", [0.6, 1.7])
def test_intervals_too_wide_or_too_narrow_are_repaired(factor: float) -> None:
    before, after = followed(np.full(STATIONS, factor))
    off_before, off_after = (np.abs(coverage.mean(0) - [0.5, 0.9]) for coverage in (before, after))
    assert off_before.min() > 0.08
    assert off_after.max() < 0.08 and (off_after < 0.55 * off_before).all()


def test_errors_that_hang_on_load_are_repaired_where_they_are() -> None:
    before, after = followed(np.geomspace(2.0, 0.7, STATIONS))
    assert before[0, 1] < 0.7 and before[-1, 1] > 0.95
    assert after[0, 1] > 0.8 and np.abs(after[:, 1] - 0.9).max() < np.abs(before[:, 1] - 0.9).max() / 2


def test_an_interval_grows_on_the_side_that_misses() -> None:
    before, after = followed(np.ones(STATIONS), bias=1.0)
    assert before.mean(0)[1] < 0.8 and after.mean(0)[1] > 0.86


def test_what_is_calibrated_stays_so() -> None:
    before, after = followed(np.ones(STATIONS))
    assert np.abs(after - before).max() < 0.02


def a_map() -> CalibrationMap:
    """Of scores that are off in every decile in another way."""
    rng = np.random.default_rng(0)
    deciles = rng.integers(10, size=100_000)
    counts = ScoreCounts(a_day=1_000)
    counts.add(rng.standard_normal(100_000) * (0.3 + deciles / 5) + deciles / 10, np.ones(100_000), deciles)
    return CalibrationMap(np.geomspace(1, 1000, 9), counts.places())


amounts = st.one_of(st.floats(0, 1e6, width=32), st.sampled_from([0.0, 1.0, 1e-30, 1e30]))


@settings(deadline=None, max_examples=60)
@given(paths=arrays(np.float32, (2, 3, 20), elements=amounts))
def test_samples_keep_their_order_and_stay_finite(paths: np.ndarray) -> None:
    moved = a_map().apply(paths)
    assert np.isfinite(moved).all() and (moved >= 0).all()
    order = paths.argsort(axis=-1, kind="stable")
    ranked = np.take_along_axis(moved, order, axis=-1)
    assert (np.diff(ranked) >= -1e-5 * np.abs(ranked).max(-1, keepdims=True)).all()


@settings(deadline=None, max_examples=40)
@given(
    observed=arrays(np.float32, (2, 24), elements=st.one_of(amounts, st.just(np.nan))),
    paths=arrays(np.float32, (2, 24, 20), elements=amounts),
)
def test_whatever_came_gives_a_map_in_bounds(observed: np.ndarray, paths: np.ndarray) -> None:
    calibration = Calibration.after(observed, DAY, 4)
    calibration.add(0, OrderedSamples.of(paths))
    calibration.observe(observed)
    weights = np.exp((np.arange(DAY) - DAY) / (MEMORY_DAYS * DAY))
    assert calibration.counts.by_decile.sum() == pytest.approx((np.isfinite(observed) * weights).sum())
    places = calibration.counts.places()
    assert np.isfinite(places).all() and (np.diff(places) > 0).all()


def test_ordered_samples_move_as_the_paths_do() -> None:
    paths = np.random.default_rng(0).gamma(2, 50, (5, DAY, SAMPLES)).astype(np.float32)
    moved = a_map().of_ordered(OrderedSamples.of(paths))
    np.testing.assert_allclose(moved.values, np.sort(a_map().apply(paths), axis=-1), rtol=1e-5)


def test_a_station_moves_alone_as_in_the_network() -> None:
    paths = np.random.default_rng(0).gamma(2, 50, (80, DAY, SAMPLES)).astype(np.float32)
    whole = a_map().apply(paths)
    for station in (0, 41, 79):
        np.testing.assert_array_equal(a_map().apply(paths[[station]])[0], whole[station])


def test_quantiles_go_where_the_scores_were() -> None:
    rng = np.random.default_rng(0)
    counts = ScoreCounts(a_day=1_000)
    counts.add(1.5 * rng.standard_normal(1_000_000), np.ones(1_000_000), rng.integers(10, size=1_000_000))
    np.testing.assert_allclose(counts.places(), np.broadcast_to(1.5 * DEVIATES, (10, 5)), atol=0.05)


def test_the_median_stays_and_no_stretch_is_boundless() -> None:
    counts = ScoreCounts(a_day=1.0)
    counts.add(np.full(100_000, 7.0), np.ones(100_000), np.arange(100_000) % 10)
    places = counts.places()
    assert (places[:, 2] == 0).all()
    assert (np.abs(places) <= MOST_STRETCH * np.abs(DEVIATES) + 1e-9).all()


def test_nothing_known_moves_nothing() -> None:
    calibration = Calibration.after(np.full((3, 48), np.nan), DAY, 4)
    assert calibration.map() is None
    calibration.add(24, OrderedSamples.of(np.ones((3, DAY, 20))))
    calibration.observe(np.full((3, 48), np.nan))
    assert calibration.map() is None
    np.testing.assert_array_equal(ScoreCounts().places(), np.broadcast_to(DEVIATES, (10, 5)))


def test_only_what_came_before_counts() -> None:
    rng = np.random.default_rng(0)
    observed = rng.gamma(2, 50, (4, 3 * DAY))
    ordered = OrderedSamples.of(rng.gamma(2, 50, (4, DAY, SAMPLES)))
    places = []
    for later in (observed, np.where(np.arange(3 * DAY) < 36, observed, 0.0)):
        calibration = Calibration.after(observed[:, :DAY], DAY, 4)
        calibration.add(DAY, ordered)
        calibration.observe(later[:, :36])
        places.append(calibration.counts.places())
    np.testing.assert_array_equal(places[0], places[1])
    assert calibration.counts.by_decile.any()


def test_an_outcome_counts_once_however_often_it_is_looked_at() -> None:
    rng = np.random.default_rng(0)
    observed = rng.gamma(2, 50, (4, 2 * DAY))
    ordered = OrderedSamples.of(rng.gamma(2, 50, (4, DAY, SAMPLES)))
    counts = []
    for looks in ([48], [24, 30, 30, 41, 48, 48]):
        calibration = Calibration.after(observed[:, :DAY], DAY, 4)
        calibration.add(DAY, ordered)
        for now in looks:
            calibration.observe(observed[:, :now])
        counts.append(calibration.counts)
    np.testing.assert_allclose(counts[0].by_decile, counts[1].by_decile)
    assert not calibration.waiting


def test_parts_of_a_network_add_up_and_missing_values_count_nowhere() -> None:
    rng = np.random.default_rng(0)
    observed = rng.gamma(2, 50, (6, 3 * DAY))
    observed[rng.random(observed.shape) < 0.2] = np.nan
    observed[rng.random(observed.shape) < 0.2] = 0.0
    samples = np.maximum(rng.normal(20, 40, (6, DAY, SAMPLES)), 0.0)  # many zeros
    edges = np.geomspace(5, 100, 9)

    def of(stations: np.ndarray) -> ScoreCounts:
        counts = ScoreCounts(a_day=len(stations) * DAY * 4.0)
        calibration = Calibration(edges, DAY, 4.0, counts)
        calibration.add(DAY, OrderedSamples.of(samples[stations]))
        calibration.observe(observed[stations])
        return calibration.counts

    whole, parts = of(np.arange(6)), of(np.arange(2)) + of(np.arange(2, 6))
    np.testing.assert_allclose(parts.by_decile, whole.by_decile)
    np.testing.assert_allclose(parts.places(), whole.places())
    weights = np.exp((np.arange(DAY) - 2 * DAY) / (MEMORY_DAYS * DAY))
    assert whole.by_decile.sum() == pytest.approx((np.isfinite(observed[:, DAY : 2 * DAY]) * weights).sum())


def test_what_is_tied_with_many_samples_is_spread_over_their_ranks() -> None:
    samples = np.concatenate([np.zeros((500, 1, 40)), np.ones((500, 1, 60))], axis=-1)
    observed = np.where(np.arange(500) < 200, 0.0, 1.0)[:, None]
    calibration = Calibration.after(observed, 1, 1)
    calibration.add(0, OrderedSamples.of(samples))
    calibration.observe(observed)
    counted = calibration.counts.by_decile.sum(0)
    assert (counted > 0).sum() >= 12 and counted.argmax() not in (0, BINS - 1)
    moved = calibration.map()
    assert moved is not None
    np.testing.assert_allclose(moved.apply(samples), samples, atol=0.02)
