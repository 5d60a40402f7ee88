"""Peaks, totals and areas of samples, by the rules of the measurement protocol, and their scores against closed forms."""

import numpy as np

from lecdiff_core.aggregates import AggregateScores, Areas, aggregates, day_peak, day_total, whole_network

RNG = np.random.default_rng(0)
STEPS, STATIONS = 24, 70
OBSERVED = RNG.gamma(2.0, 1.0, (STATIONS, STEPS))
SAMPLES = RNG.gamma(2.0, 1.0, (50, STATIONS, STEPS))


def peaked(hour: int) -> np.ndarray:
    samples = SAMPLES.copy()
    samples[:, :, hour] += 50.0
    return samples


def test_a_peak_is_taken_over_the_same_observed_steps_in_both() -> None:
    observed = OBSERVED.copy()
    observed[0, 3] = np.nan
    peak, sampled = day_peak(observed, peaked(15))
    assert peak[0] == np.nanmax(observed[0])
    samples = peaked(15)
    samples[:, 0, 3] = 1e9
    assert (day_peak(observed, samples)[1][:, 0] < 1e9).all()
    np.testing.assert_array_equal(sampled[:, 1], peaked(15)[:, 1].max(1))


def test_a_peak_is_missing_where_a_tenth_is_or_a_step_around_it() -> None:
    observed = OBSERVED.copy()
    observed[0, 14] = np.nan  # an hour before the samples' peak
    observed[1, :3] = np.nan  # an eighth of the day, far from it
    observed[2, [1, 5]] = np.nan
    peak, _ = day_peak(observed, peaked(15))
    assert np.isnan(peak[:2]).all() and np.isfinite(peak[2:]).all()


def test_a_total_needs_every_step() -> None:
    observed = OBSERVED.copy()
    observed[4, 7] = np.nan
    total, sampled = day_total(observed, SAMPLES)
    assert np.isnan(total[4]) and np.isfinite(np.delete(total, 4)).all()
    np.testing.assert_allclose(sampled, SAMPLES.sum(2))


def test_the_network_counts_the_observed_stations_where_they_are_nearly_all() -> None:
    observed = OBSERVED.copy()
    observed[:3, 0] = np.nan  # 67 of 70
    observed[:4, 1] = np.nan  # 66 of 70
    total, sampled = whole_network(observed, SAMPLES)
    assert np.isnan(total[1])
    np.testing.assert_allclose(total[0], OBSERVED[3:, 0].sum())
    np.testing.assert_allclose(sampled[:, 0], SAMPLES[:, 3:, 0].sum(1))


def test_areas_are_a_station_and_its_nearest() -> None:
    places = np.stack([np.arange(STATIONS) * 100.0, np.zeros(STATIONS)], axis=1)
    areas = Areas.around_each(places, 5)
    assert set(areas.members[10].tolist()) == {8, 9, 10, 11, 12}
    total, sampled = areas(OBSERVED, SAMPLES)
    np.testing.assert_allclose(total[10], OBSERVED[8:13].sum(0))
    np.testing.assert_allclose(sampled[:, 10], SAMPLES[:, 8:13].sum(1))


def test_small_cities_and_cities_without_places_have_fewer_areas() -> None:
    places = RNG.normal(size=(STATIONS, 2))
    assert {"area_5", "area_20", "area_20_peak", "area_all"} < set(aggregates(places, STATIONS))
    assert {"area_5"} == {name for name in aggregates(places[:25], 25) if name[5:6].isdigit()}
    assert set(aggregates(None, STATIONS)) == {"step", "day_peak", "day_total", "area_all"}


def test_scores_of_two_parts_are_those_of_the_whole_and_samples_like_the_truth_cover_what_they_say() -> None:
    whole, coverage = AggregateScores(), []
    for window in range(40):
        observed, samples = RNG.normal(5, 1, 200), RNG.normal(5, 1, (100, 200))
        whole.add(observed, samples, f"2024-03-{window % 5 + 1:02d}")
        coverage.append(window)
    said = whole.summary()
    assert abs(said["coverage_90"] - 0.9) < 0.01 and abs(said["coverage_50"] - 0.5) < 0.02
    # CRPS of a standard normal forecast of itself: 1 / sqrt(pi)
    np.testing.assert_allclose(said["ncrps"], np.pi**-0.5 / 5, rtol=0.02)
    assert said["scored"] == 8000 and len(said["ncrps_by_day"]) == 5


def test_what_was_not_observed_counts_nowhere() -> None:
    scores = AggregateScores()
    scores.add(np.array([np.nan, np.nan]), np.ones((10, 2)), "2024-03-01")
    assert scores.summary()["scored"] == 0
