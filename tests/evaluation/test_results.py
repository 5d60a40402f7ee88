"""Benchmark files read back: seeds, verdicts, and files that are none."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lecdiff_core.assets import results_folder
from lecdiff_core.errors import UserError
from lecdiff_core.evaluation.results import (
    CITIES,
    Conditions,
    Covered,
    Model,
    Result,
    mean_over_networks,
    models,
    older,
    over_cities,
    paired_difference,
    pooled,
    read_benchmark,
    read_committed,
    verdict,
)


def result(
    model: str = "lec-diff", seed: int = 0, days: tuple[float, ...] = (0.1, 0.12), **more: Any
) -> dict[str, Any]:
    """A result as a benchmark file holds it."""
    by_day = {f"2025-06-{day:02d}": score for day, score in enumerate(days, start=1)}
    scores = {"mae": 2.0, "rmse": 3.0, "ncrps": float(np.mean(days)), "coverage_50": 0.5, "coverage_90": 0.9}
    return {"model": model, "seed": seed, **scores, "ncrps_by_day": by_day} | more


def measured(model: str, *seeds: tuple[float, ...]) -> Model:
    runs = [Result.model_validate(result(model, seed, days)) for seed, days in enumerate(seeds)]
    return Model(model, tuple(runs))


def test_paired_difference_uses_the_days_both_have() -> None:
    first, second, third = "2025-06-01", "2025-06-02", "2025-06-03"
    mean, error = paired_difference({first: 1.0, second: 2.0, third: 9.0}, {first: 0.5, second: 1.0})
    assert mean == pytest.approx(0.75)
    assert error == pytest.approx(np.std([0.5, 1.0], ddof=1) / np.sqrt(2))


def test_the_error_allows_for_days_that_follow_one_another() -> None:
    """Days that come in pairs of one error are half as many: the plain error would be too small by the root of two."""
    rng = np.random.default_rng(0)
    zero = {f"2025-{month:02d}-{day:02d}": 0.0 for month in range(1, 13) for day in range(1, 29)}
    pairs = np.repeat(rng.normal(size=len(zero) // 2), 2)
    _, error = paired_difference(dict(zip(zero, pairs, strict=True)), zero)
    plain = pairs.std(ddof=1) / np.sqrt(len(pairs))
    assert 1.15 < error / plain < 1.3  # half of the pairs follow one another, at half the weight: the root of 1.5
    apart = {f"{year}-01-01": 0.0 for year in range(2000, 2000 + len(zero))}
    _, error = paired_difference(dict(zip(apart, pairs, strict=True)), apart)
    assert error == pytest.approx(plain)
    turns = dict(zip(zero, np.resize([1.0, -1.0], len(zero)), strict=True))
    assert paired_difference(turns, zero)[1] == pytest.approx(np.std(list(turns.values()), ddof=1) / np.sqrt(len(zero)))


def score(ncrps: float, **more: Any) -> dict[str, Any]:
    return {"ncrps": ncrps, "coverage_50": 0.5, "coverage_90": 0.9, "scored": 100} | more


def test_other_scores_are_compared_as_steps_are() -> None:
    by_day = {f"2025-06-{day:02d}": 0.01 * day for day in range(1, 9)}
    mine, other = (
        Model("m", (Result.model_validate(result("m", day_peak=score(0.04 * much, ncrps_by_day=days))),))
        for much, days in ((1.0, by_day), (2.0, {day: value + 0.1 for day, value in by_day.items()}))
    )
    said = verdict(mine, other, "day_peak")
    assert said.outcome == "win" and said.change == pytest.approx(-0.5) and said.difference == pytest.approx(-0.1)
    assert verdict(mine, other).outcome == "tie"
    assert np.isnan(mine.ncrps("area_20")) and mine.ncrps_by_day("area_20") == {} and not mine.misses("area_20")
    assert np.isnan(mine.coverage("area_20")) and mine.coverage("day_peak") == 0.9


def test_coverage_is_missed_where_what_is_promised_lies_outside_of_what_days_allow() -> None:
    def covering(shares: list[float]) -> Model:
        inside = {f"2025-06-{day:02d}": round(100 * share) for day, share in enumerate(shares, start=1)}
        peak = score(0.1, inside_90_by_day=inside, inside_50_by_day=inside, count_by_day=dict.fromkeys(inside, 100))
        return Model("m", (Result.model_validate(result("m", day_peak=peak)),) * 2)

    assert not covering([0.95, 0.7, 0.9, 0.99, 0.85, 0.9]).misses("day_peak")
    assert covering([0.72, 0.7, 0.75, 0.68, 0.71, 0.7]).misses("day_peak")
    assert covering([0.95, 0.7, 0.9, 0.99, 0.85, 0.9]).misses("day_peak", 50)


def test_over_cities_networks_count_alike_and_a_win_needs_six() -> None:
    five = {
        "milan": -0.1,
        "milan-grid400-a": -0.3,
        "milan-grid400-b": -0.2,
        "nanjing": -0.2,
        "demo": -0.1,
        "town-300": -0.3,
    }
    five |= {"lte-year": -0.21, "nanchang": -0.19}
    said = over_cities(five)
    assert (said.outcome, said.networks) == ("ahead", 5)
    assert said.change == pytest.approx(-0.2)  # Milan's three as one, generated ones as one
    six = over_cities(five | {"hangzhou": -0.2})
    assert (six.outcome, six.networks) == ("win", 6)
    assert over_cities(five | {"hangzhou": 0.9}).outcome == "ahead"  # on the mean, but by no means everywhere
    assert over_cities({city: -change for city, change in five.items()} | {"hangzhou": 0.2}).outcome == "loss"
    assert over_cities({"nanjing": 0.1}).outcome == "behind"
    assert mean_over_networks({"demo": 0.8, "town-300": 1.0, "nanjing": 0.7}) == pytest.approx(0.8)


def test_counts_of_coverage_add_up_over_cities() -> None:
    first = {3: Covered(inside_50=1, inside_90=3, count=4), 4: Covered(inside_50=1, inside_90=1, count=1)}
    added = pooled([first, {3: Covered(inside_50=2, inside_90=2, count=6)}])
    assert added == {3: Covered(inside_50=3, inside_90=5, count=10), 4: first[4]}


@pytest.mark.parametrize(
    ("mine", "other", "outcome"),
    [
        ((0.10, 0.11, 0.12), (0.20, 0.22, 0.21), "win"),
        ((0.20, 0.22, 0.21), (0.10, 0.11, 0.12), "loss"),
        ((0.10, 0.30, 0.12), (0.20, 0.12, 0.21), "tie"),
        ((0.10, 0.11, 0.12), (0.10, 0.11, 0.12), "tie"),
        ((0.10,), (0.20,), "tie"),  # a single day has no standard error
    ],
)
def test_a_win_is_more_than_two_standard_errors(mine: tuple, other: tuple, outcome: str) -> None:
    said = verdict(measured("lec-diff", mine), measured("stid", other))
    assert said.outcome == outcome
    assert said.change == pytest.approx(np.mean(mine) / np.mean(other) - 1)


def test_seeds_are_averaged_over_the_days_they_share() -> None:
    model = measured("lec-diff", (0.1, 0.2, 0.3), (0.3, 0.4))
    assert model.by_day == pytest.approx({"2025-06-01": 0.2, "2025-06-02": 0.3})
    assert model.spread("ncrps") == pytest.approx(np.std([0.2, 0.35], ddof=1))
    assert measured("lec-diff", (0.1,)).spread("ncrps") is None
    assert model.pit.size == 0 and model.by_hour == {} and model.widened("coverage_90") is None
    assert np.isnan(model.mean("train_seconds"))


def test_models_under_other_conditions_are_kept_apart_and_the_best_comes_first() -> None:
    rows = [
        result("stid", days=(0.3, 0.4)),
        result("lec-diff"),
        result("lec-diff", seed=1),
        result("lec-diff", subset=True),
        result("lec-diff", hold_out_stations=0.2, history_hours=24),
        result("stid", days=(0.3, 0.4), dependence="schaake"),
    ]
    results = [Result.model_validate(row) for row in rows]
    assert [(model.name, len(model.runs)) for model in models(results).values()] == [("lec-diff", 2), ("stid", 1)]
    assert set(models(results, Conditions(hold_out_stations=0.2, history_hours=24))) == {"lec-diff"}
    assert not models(results, Conditions(hold_out_stations=0.2))
    assert set(models(results, Conditions(dependence="schaake"))) == {"stid"}


def test_other_libraries_stand_beside_a_citys_own_results(tmp_path: Path) -> None:
    (tmp_path / "peers").mkdir()
    for file, model in ((tmp_path / "milan.json", "lec-diff"), (tmp_path / "peers" / "milan.json", "deepar")):
        file.write_text(json.dumps({"city": "Milan", "part": "test", "results": [result(model)]}))
    read = read_committed(tmp_path, "milan")
    assert read is not None and [one.model for one in read.results] == ["lec-diff", "deepar"]
    assert read_committed(tmp_path, "nanjing") is None


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("shopping list", "Expecting value"),
        ("[]", "the whole: input should be a valid dictionary"),
        ("{}", "city"),
        (json.dumps({"city": "x", "part": "test", "results": [result() | {"ncrps": "much"}]}), "results.0.ncrps"),
        (json.dumps({"city": "x", "part": "test", "results": [{"model": "stid"}]}), "results.0.mae"),
    ],
)
def test_a_file_that_is_no_benchmark_is_named(tmp_path: Path, text: str, place: str) -> None:
    file = tmp_path / "test.json"
    file.write_text(text)
    with pytest.raises(UserError, match=r"^test\.json: ") as told:
        read_benchmark(file)
    assert place in str(told.value)


def test_the_committed_results_can_be_read() -> None:
    read = [read_committed(results_folder(), city) for city in CITIES]
    assert all(one is not None and "lec-diff" in models(one.results) for one in read)


def test_what_an_older_version_of_the_protocol_measured_is_left_out_but_for_libraries() -> None:
    score = {"ncrps": 0.1, "coverage_50": 0.5, "coverage_90": 0.9, "scored": 10}
    rows = [result(step=score), result("stid"), result("stgcn", step=score), result("deepar")]
    found = models([Result.model_validate(row) for row in rows])
    assert set(found) == {"lec-diff", "stgcn", "deepar"}
    assert [name for name in found if older(found, name)] == ["deepar"]
    earlier = models([Result.model_validate(row) for row in (result(), result("stid"))])
    assert set(earlier) == {"lec-diff", "stid"}
