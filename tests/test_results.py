"""Benchmark files read back: seeds, verdicts, and files that are none."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lecdiff_core.assets import results_folder
from lecdiff_core.errors import UserError
from lecdiff_core.results import (
    CITIES,
    Conditions,
    Model,
    Result,
    models,
    paired_difference,
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
    mean, error = paired_difference({"a": 1.0, "b": 2.0, "c": 9.0}, {"a": 0.5, "b": 1.0})
    assert mean == pytest.approx(0.75)
    assert error == pytest.approx(np.std([0.5, 1.0], ddof=1) / np.sqrt(2))


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
