"""Peaks, totals and areas of samples, by the rules of the measurement protocol, and their scores against closed forms."""

import numpy as np

from lecdiff_core.evaluation.aggregates import Areas, Asked, day_peak, day_total, disjoint_blocks, whole_network

RNG = np.random.default_rng(0)
STEPS, STATIONS = 24, 70
OBSERVED = RNG.gamma(2.0, 1.0, (STATIONS, STEPS))
SAMPLES = RNG.gamma(2.0, 1.0, (STATIONS, STEPS, 50))


def peaked(hour: int) -> np.ndarray:
    samples = SAMPLES.copy()
    samples[:, hour] += 50.0
    return samples


def test_a_peak_is_taken_over_the_same_observed_steps_in_both() -> None:
    observed = OBSERVED.copy()
    observed[0, 3] = np.nan
    peak, sampled = day_peak(observed, peaked(15))
    assert peak[0] == np.nanmax(observed[0])
    samples = peaked(15)
    samples[0, 3] = 1e9
    assert (day_peak(observed, samples)[1][0] < 1e9).all()
    np.testing.assert_array_equal(sampled[1], peaked(15)[1].max(0))


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
    np.testing.assert_allclose(sampled, SAMPLES.sum(1))


def test_the_network_counts_the_observed_stations_where_they_are_nearly_all() -> None:
    observed = OBSERVED.copy()
    observed[:3, 0] = np.nan  # 67 of 70
    observed[:4, 1] = np.nan  # 66 of 70
    total, sampled = whole_network(observed, SAMPLES)
    assert np.isnan(total[1])
    np.testing.assert_allclose(total[0], OBSERVED[3:, 0].sum())
    np.testing.assert_allclose(sampled[0], SAMPLES[3:, 0].sum(0))


def test_areas_are_a_station_and_its_nearest() -> None:
    places = np.stack([np.arange(STATIONS) * 100.0, np.zeros(STATIONS)], axis=1)
    areas = Areas.around_each(places, 5)
    assert set(areas.members[10].tolist()) == {8, 9, 10, 11, 12}
    total, sampled = areas(OBSERVED, SAMPLES)
    np.testing.assert_allclose(total[10], OBSERVED[8:13].sum(0))
    np.testing.assert_allclose(sampled[10], SAMPLES[8:13].sum(0))
    observed = OBSERVED.copy()
    observed[12, 3] = np.nan
    total, _ = areas(observed, SAMPLES)
    assert np.isnan(total[10, 3]) and np.isfinite(total[10, 4]) and np.isfinite(total[9, 3])


def test_small_cities_and_cities_without_places_have_fewer_areas() -> None:
    places = RNG.normal(size=(STATIONS, 2))
    everything = {"day_peak", "day_total", "area_5", "area_20", "area_20_peak", "area_all"}
    assert set(Asked.of(places).values(OBSERVED, SAMPLES)) == everything
    few = Asked.of(places[:25]).values(OBSERVED[:25], SAMPLES[:25])
    assert set(few) == everything - {"area_20", "area_20_peak"}
    assert set(Asked.of(None).values(OBSERVED, SAMPLES)) == {"day_peak", "day_total", "area_all"}
    alone = Asked.of(places[:1]).values(OBSERVED[:1], SAMPLES[:1])
    np.testing.assert_allclose(alone["area_all"][0], OBSERVED[0])


def test_blocks_are_disjoint_and_each_is_a_station_and_its_nearest_of_those_left() -> None:
    places = np.stack([np.arange(STATIONS) * 100.0, np.zeros(STATIONS)], axis=1)
    blocks = disjoint_blocks(places, 20)
    assert blocks.shape == (3, 20) and len(np.unique(blocks)) == 60
    assert set(blocks[1].tolist()) == set(range(20, 40))
    assert disjoint_blocks(places[:19], 20).shape == (0, 20)


def test_a_blocks_vector_is_of_one_step() -> None:
    asked = Asked.of(np.stack([np.arange(STATIONS) * 100.0, np.zeros(STATIONS)], axis=1))
    seen, sampled = asked.vectors(OBSERVED, SAMPLES)
    assert seen.shape == (3 * STEPS, 20) and sampled.shape == (3 * STEPS, 20, 50)
    np.testing.assert_array_equal(seen[STEPS + 2], OBSERVED[asked.blocks[1], 2])
    np.testing.assert_array_equal(sampled[STEPS + 2], SAMPLES[asked.blocks[1], 2])
