"""Scores against closed forms and against slow, plain formulas."""

import numpy as np
import pytest
import scoringrules
from scipy import stats

from lecdiff_core.evaluation.metrics import (
    OrderedSamples,
    bootstrap_interval,
    crps,
    energy_score,
    interval_score,
    ranks_of,
    sample_quantiles,
    samples_last,
    threshold_crps,
)
from lecdiff_core.evaluation.scores import Scores


def test_crps_is_the_fair_estimator() -> None:
    rng = np.random.default_rng(0)
    observed, samples = rng.normal(size=(3, 4)), rng.normal(size=(9, 3, 4))
    pairs = np.abs(samples[:, None] - samples[None]).sum((0, 1)) / (9 * 8)
    np.testing.assert_allclose(crps(observed, samples), np.abs(samples - observed).mean(0) - pairs / 2, rtol=1e-5)


def test_crps_of_many_normal_samples_is_that_of_the_normal() -> None:
    samples = stats.norm(2, 3).rvs(size=(20_000, 1), random_state=0)
    expected = float(scoringrules.crps_normal(3.5, 2, 3))
    assert float(crps(np.array([3.5]), samples)[0]) == pytest.approx(expected, rel=0.02)


def test_energy_score_of_one_step_is_the_crps() -> None:
    rng = np.random.default_rng(1)
    observed, samples = rng.normal(size=(5, 1)), rng.normal(size=(30, 5, 1))
    np.testing.assert_allclose(energy_score(observed, samples_last(samples)), crps(observed, samples)[:, 0], rtol=1e-5)


def test_energy_score_leaves_missing_steps_out() -> None:
    rng = np.random.default_rng(2)
    observed, samples = rng.normal(size=(2, 4)), rng.normal(size=(20, 2, 4))
    observed[:, 3] = np.nan
    paths = samples_last(samples)
    np.testing.assert_allclose(energy_score(observed, paths), energy_score(observed[:, :3], paths[:, :3]))


def test_energy_score_keeps_its_digits_where_samples_lie_close_together() -> None:
    rng = np.random.default_rng(8)
    observed, samples = rng.normal(1000, 0.1, (3, 24)), rng.normal(1000, 0.1, (40, 3, 24))
    apart = np.linalg.norm(samples[:, None] - samples[None], axis=-1).sum((0, 1)) / (40 * 39)
    expected = np.linalg.norm(samples - observed, axis=-1).mean(0) - apart / 2
    found = energy_score(observed.astype(np.float32), samples_last(samples.astype(np.float32)))
    np.testing.assert_allclose(found, expected, rtol=2e-3)


def test_quantiles_are_those_of_weibulls_plotting_position() -> None:
    rng = np.random.default_rng(9)
    levels = [0.0, 0.003, 0.05, 0.25, 0.5, 0.95, 1.0]
    for count in (1, 2, 19, 100):
        samples = rng.normal(size=(count, 3, 2)).astype(np.float32)
        expected = np.quantile(samples, levels, axis=0, method="weibull")
        np.testing.assert_allclose(sample_quantiles(samples, levels), expected, rtol=1e-6, atol=1e-7)


def test_ranks_put_samples_into_another_order() -> None:
    rng = np.random.default_rng(10)
    like, samples = rng.normal(size=(3, 4, 20)), rng.normal(size=(3, 4, 20))
    tied = OrderedSamples.of(samples).in_order(ranks_of(like))
    np.testing.assert_array_equal(np.sort(tied), np.sort(samples))
    np.testing.assert_array_equal(tied.argsort(-1), like.argsort(-1))


def test_threshold_crps_counts_only_what_lies_above() -> None:
    rng = np.random.default_rng(11)
    observed, samples = rng.normal(size=50), rng.normal(size=(30, 50))
    ordered = OrderedSamples.of(samples_last(samples))
    below = threshold_crps(observed, ordered, np.full(50, -9.0))
    np.testing.assert_allclose(below, crps(observed, samples))
    assert (threshold_crps(observed, ordered, np.full(50, 9.0)) == 0).all()
    threshold = np.full(50, 0.7)
    expected = crps(np.maximum(observed, threshold), np.maximum(samples, threshold))
    np.testing.assert_allclose(threshold_crps(observed, ordered, threshold), expected, atol=1e-12)
    threshold[:5], observed[5:9] = np.nan, np.nan
    assert np.isnan(threshold_crps(observed, ordered, threshold)[:9]).all()


@pytest.mark.parametrize("days", [6, 24])
def test_the_block_bootstrap_covers_what_it_says_where_days_have_errors_of_their_own(days: int) -> None:
    """Stations are right or wrong together on a day, so that single values would give far too narrow an interval."""
    rng = np.random.default_rng(days)
    chance = np.clip(rng.normal(0.9, 0.05, (400, days)), 0, 1)
    inside = rng.binomial(500, chance)
    truth = np.clip(rng.normal(0.9, 0.05, 100_000), 0, 1).mean()
    intervals = np.array([bootstrap_interval(row, np.full(days, 500)) for row in inside])
    covered = ((intervals[:, 0] <= truth) & (truth <= intervals[:, 1])).mean()
    assert 0.92 <= covered <= 0.985
    assert bootstrap_interval(inside[0, :1], np.array([500])) is None


def test_interval_score_adds_twenty_times_the_miss_at_90_percent() -> None:
    score = interval_score(np.array([5.0, 1.0]), np.array([2.0, 2.0]), np.array([4.0, 4.0]), 0.9)
    np.testing.assert_allclose(score, [2 + 20 * 1, 2 + 20 * 1])


def test_a_missing_observation_counts_nowhere() -> None:
    rng = np.random.default_rng(3)
    observed, samples = rng.uniform(1, 2, (2, 6)), rng.uniform(1, 2, (50, 2, 6))
    whole, holed = Scores(), Scores()
    whole.add(observed[:, :4], samples[:, :, :4], np.arange(4), "a")
    observed[:, 4:] = np.nan
    holed.add(observed, samples, np.arange(6), "a")
    first, second = whole.summary(), holed.summary()
    for name in ("mae", "rmse", "crps", "ncrps", "coverage_50", "coverage_90", "interval_score_90", "energy_score"):
        assert first[name] == pytest.approx(second[name])
    assert first["by_hour"] == second["by_hour"]


def test_a_perfect_forecaster_covers_what_it_promises() -> None:
    rng = np.random.default_rng(4)
    scores = Scores()
    for _ in range(20):
        scores.add(rng.gamma(2, 10, (20, 24)), rng.gamma(2, 10, (100, 20, 24)), np.arange(24), "day")
    summary = scores.summary()
    assert summary["coverage_50"] == pytest.approx(0.5, abs=0.02)
    assert summary["coverage_90"] == pytest.approx(0.9, abs=0.02)
    assert max(summary["pit"]) < 0.07  # twenty bins of about 0.05


def test_scores_by_station_add_up_to_the_whole() -> None:
    rng = np.random.default_rng(3)
    observed, samples = rng.uniform(1, 5, (3, 4)), rng.uniform(1, 5, (20, 3, 4))
    observed[2] = np.nan
    scores = Scores(stations=("a", "b", "c"))
    for shift in (0.0, 1.0):
        scores.add(observed + shift, samples, np.arange(4), "2025-01-01")
    summary = scores.summary()
    by_station = summary["ncrps_by_station"]
    assert list(by_station) == ["a", "b"]  # nothing was observed of c
    volume = (2 * observed + 1)[:2].sum(1)
    assert np.average(list(by_station.values()), weights=volume) == pytest.approx(summary["ncrps"], abs=1e-4)
    assert "ncrps_by_station" not in Scores().summary()
