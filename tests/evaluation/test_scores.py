"""Sums of scores: parts add up to the whole, counts say what was covered, a lent dependence changes only what is joint."""

from typing import Any

import numpy as np
import pytest

from lecdiff_core.evaluation.aggregates import Asked
from lecdiff_core.evaluation.metrics import OrderedSamples, ranks_of
from lecdiff_core.evaluation.scores import Scores, ValueScores
from tests.conftest import flat

RNG = np.random.default_rng(0)
STATIONS, STEPS, DRAWS, WINDOWS = 70, 24, 40, 6
PLACES = RNG.normal(size=(STATIONS, 2))
NAMES = tuple(f"S{index:02d}" for index in range(STATIONS))
HOURS = np.arange(STEPS)


def windows() -> list[tuple[np.ndarray, np.ndarray, str]]:
    rng = np.random.default_rng(1)
    made = []
    for number in range(WINDOWS):
        observed = rng.gamma(3, 10, (STATIONS, STEPS))
        observed[rng.random(observed.shape) < 0.01] = np.nan
        made.append((observed, rng.gamma(3, 10, (DRAWS, STATIONS, STEPS)), f"2024-03-0{number // 2 + 1}"))
    return made


def scored(made: list[tuple[np.ndarray, np.ndarray, str]], part: slice = slice(None), places: bool = True) -> Scores:
    scores = Scores(Asked.of(PLACES[part] if places else None), NAMES[part])
    for observed, samples, day in made:
        scores.add(observed[part], samples[:, part], HOURS, day, np.full(STATIONS, 40.0)[part])
    return scores


def same(mine: dict[str, Any], other: dict[str, Any]) -> None:
    mine, other = ({key: value for key, value in flat(one).items() if key != "/dependence"} for one in (mine, other))
    assert mine == pytest.approx(other, rel=1e-6)


def test_scores_of_two_parts_of_the_windows_add_up_to_the_whole() -> None:
    made = windows()
    same((scored(made[:3]) + scored(made[3:])).summary(), scored(made).summary())


def test_scores_of_two_parts_of_the_network_add_up_to_the_whole() -> None:
    made = windows()
    first, second = scored(made, slice(0, 30), places=False), scored(made, slice(30, None), places=False)
    whole, parts = scored(made, places=False).summary(), (first + second).summary()
    for one in (whole, parts):
        del one["area_all"]
        # Tenths of the load are a city's own.
        del one["coverage_by_decile"]
    same(parts, whole)


def test_every_score_has_its_place_and_step_is_what_the_flat_names_say() -> None:
    said = scored(windows()).summary()
    for name in ("step", "day_peak", "day_total", "area_5", "area_20", "area_20_peak", "area_all"):
        assert said[name].keys() >= {
            "ncrps",
            "coverage_50",
            "coverage_90",
            "scored",
            "ncrps_by_day",
            "coverage_90_interval",
        }
        low, high = said[name]["coverage_90_interval"]
        assert 0 <= low <= said[name]["coverage_90"] <= high <= 1
        assert sum(said[name]["count_by_day"].values()) == said[name]["scored"]
        assert sum(said[name]["inside_90_by_day"].values()) == pytest.approx(
            said[name]["coverage_90"] * said[name]["scored"], abs=0.5
        )
    for name in ("ncrps", "ncrps_by_day", "coverage_50", "coverage_90"):
        assert said[name] == said["step"][name]
    assert said["energy_path"] > 0 and said["energy_block_20"] > 0 and said["twcrps_95"] > 0
    assert said["dependence"] == "own"


def test_coverage_looked_at_closer_counts_every_value_once() -> None:
    said = scored(windows()).summary()
    for name, rows in (("coverage_by_hour", 24), ("coverage_by_lead", 24), ("coverage_by_decile", 10)):
        assert len(said[name]) == rows
        counts = {key: sum(row[key] for row in said[name].values()) for key in ("inside_50", "inside_90", "count")}
        assert counts["count"] == said["step"]["scored"]
        assert counts["inside_90"] == pytest.approx(said["coverage_90"] * counts["count"], abs=0.5)
    assert sum(row["count"] for row in said["coverage_by_station"].values()) == said["step"]["scored"]
    assert max(row["count"] for row in said["coverage_by_decile"].values()) < 0.11 * said["step"]["scored"]


def test_deciles_are_of_the_forecasts_median() -> None:
    samples = np.broadcast_to(np.arange(1.0, 101.0), (5, 100))[:, :, None]
    observed = np.where(np.arange(100) < 10, 1e9, np.arange(1.0, 101.0))[:, None]
    scores = Scores()
    scores.add(observed, samples, np.array([3]), "2024-03-01")
    said = scores.summary()["coverage_by_decile"]
    assert said["1"] == {"inside_50": 0, "inside_90": 0, "count": 10}
    assert said["2"] == {"inside_50": 10, "inside_90": 10, "count": 10}


def test_a_lent_dependence_changes_peaks_and_sums_and_leaves_steps() -> None:
    observed, samples, day = windows()[0]
    scores = Scores(Asked.of(PLACES))
    together = np.broadcast_to(np.random.default_rng(2).normal(size=DRAWS), (STATIONS, STEPS, DRAWS))
    scores.add(observed, samples, HOURS, day, lent={"schaake": ranks_of(together)})
    own, lent = scores.rows()["own"], scores.rows()["schaake"]
    assert (own["dependence"], lent["dependence"]) == ("own", "schaake")
    assert own["step"] == lent["step"] and own["coverage_by_hour"] == lent["coverage_by_hour"]
    for name in ("day_total", "area_5", "area_20", "area_all"):
        assert lent[name]["coverage_90"] > own[name]["coverage_90"]
    assert lent["energy_path"] != own["energy_path"] and lent["energy_block_20"] != own["energy_block_20"]


def test_samples_like_the_truth_cover_what_they_say() -> None:
    scores, rng = ValueScores(), np.random.default_rng(3)
    for window in range(40):
        observed = rng.normal(5, 1, 200)
        scores.add(observed, OrderedSamples.of(rng.normal(5, 1, (200, 100))), f"2024-03-{window % 5 + 1:02d}")
    said = scores.summary()
    assert abs(said["coverage_90"] - 0.9) < 0.01 and abs(said["coverage_50"] - 0.5) < 0.02
    # CRPS of a standard normal forecast of itself: 1 / sqrt(pi)
    np.testing.assert_allclose(said["ncrps"], np.pi**-0.5 / 5, rtol=0.02)
    assert said["scored"] == 8000 and len(said["ncrps_by_day"]) == 5


def test_what_was_not_observed_counts_nowhere() -> None:
    scores = Scores(Asked.of(PLACES), NAMES)
    scores.add(np.full((STATIONS, STEPS), np.nan), np.ones((10, STATIONS, STEPS)), HOURS, "2024-03-01")
    assert not scores.rows() and scores.summary()["step"]["scored"] == 0
