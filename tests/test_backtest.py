"""The benchmark: its file, its resuming, its protocol."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from lecdiff_core import backtest, training
from lecdiff_core.city.folder import City, write_city
from lecdiff_core.city.windows import Panel, protocol_split
from lecdiff_core.environment.table import read_panel
from lecdiff_core.errors import UserError
from lecdiff_core.models.catalogue import runnable

YARDSTICKS = ("seasonal-naive", "climatology")
FIELDS = {
    "model", "seed", "mae", "rmse", "crps", "ncrps", "ncrps_by_day", "coverage_50", "coverage_90", "interval_score_90",
    "energy_score", "conformal", "pit", "by_hour", "parameters", "train_seconds", "sample_seconds", "peak_mb",
}  # fmt: skip


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backtest, "SAMPLES", 20)
    for name in training.RECIPES:
        monkeypatch.setitem(training.RECIPES, name, training.Recipe(epochs=1, steps=2, rows=12, validation_samples=4))


def test_the_file_has_the_promised_form(little_city: City, tmp_path: Path) -> None:
    out = tmp_path / "results.json"
    backtest.benchmark(little_city, out, models=YARDSTICKS, seeds=2)
    document = json.loads(out.read_text())
    assert {"city", "protocol", "part", "device", "results"} <= document.keys()
    assert [(result["model"], result["seed"]) for result in document["results"]] == [
        (model, seed) for model in YARDSTICKS for seed in (0, 1)
    ]
    for result in document["results"]:
        assert result.keys() >= FIELDS
        assert set(result["conformal"]) == {"coverage_50", "coverage_90", "ncrps"}
        assert 0 < result["ncrps"] < 1
        by_station = result.get("ncrps_by_station", {})
        assert set(by_station) == (set() if result["seed"] else set(little_city.station_ids))


def test_results_that_are_there_are_not_computed_again(
    little_city: City, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "results.json"
    backtest.benchmark(little_city, out, models=YARDSTICKS[:1], seeds=1)
    measured: list[str] = []
    measure = backtest.measure
    monkeypatch.setattr(backtest, "measure", lambda run, *rest: measured.append(run.model) or measure(run, *rest))
    backtest.benchmark(little_city, out, models=YARDSTICKS, seeds=1)
    assert measured == ["climatology"]
    monkeypatch.setattr("lecdiff_core.models.yardsticks.SeasonalNaive.recipe", 2)
    backtest.benchmark(little_city, out, models=YARDSTICKS, seeds=1)
    assert measured == ["climatology", "seasonal-naive"]


def test_other_data_are_measured_anew_and_replace_what_is_out_of_date(little_city: City, tmp_path: Path) -> None:
    out = tmp_path / "results.json"
    backtest.benchmark(little_city, out, models=YARDSTICKS[:1], seeds=1)
    changed = write_city(tmp_path / "changed", little_city.meta, little_city.stations, little_city.traffic * 2)
    first = json.loads(out.read_text())["results"]
    document = backtest.benchmark(changed, out, models=YARDSTICKS[:1], seeds=1)
    assert len(document["results"]) == 1
    assert document["results"][0]["key"] != first[0]["key"]
    assert document["results"][0]["mae"] == pytest.approx(2 * first[0]["mae"])


def test_a_killed_benchmark_keeps_what_it_has(little_city: City, tmp_path: Path) -> None:
    out = tmp_path / "results.json"

    def stop_after_the_first(done: float, total: float, message: str) -> None:
        if done >= 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        backtest.benchmark(little_city, out, models=YARDSTICKS, seeds=1, report=stop_after_the_first)
    assert [result["model"] for result in json.loads(out.read_text())["results"]] == ["seasonal-naive"]


def test_lec_diff_and_held_out_stations(little_city: City, tmp_path: Path) -> None:
    document = backtest.benchmark(
        little_city, tmp_path / "r.json", models=("lec-diff",), seeds=1, hold_out_stations=0.25
    )
    assert document["results"][0]["hold_out_stations"] == 0.25
    assert 0 < document["results"][0]["ncrps"] < 2


def test_with_a_short_history_nothing_older_counts(little_city: City, tmp_path: Path) -> None:
    traffic = little_city.traffic.copy()
    traffic.iloc[: int(0.7 * len(traffic)) - 24] *= 7
    changed = write_city(tmp_path / "changed", little_city.meta, little_city.stations, traffic)

    def scores(city: City, history_hours: int | None) -> dict[str, float]:
        out = tmp_path / f"{city.path.name}-{history_hours}.json"
        document = backtest.benchmark(city, out, models=("adaptive-climatology",), seeds=1, history_hours=history_hours)
        result = document["results"][0]
        assert result["history_hours"] == history_hours
        return result["ncrps_by_day"]

    assert scores(little_city, 24) == scores(changed, 24)
    assert scores(little_city, None) != scores(changed, None)
    assert scores(little_city, None) != scores(little_city, 24)


def test_only_stations_held_out_are_young_where_some_are(little_city: City) -> None:
    """A new station among old ones: its own past is cut, what is known around it is not."""
    panel, _ = read_panel(little_city)
    held = backtest.held_out_stations(len(panel.station_ids), 0.25)
    run = backtest.Run("adaptive-climatology", 0, "test", 0.25, False, history_hours=24)

    def score(changed: np.ndarray) -> float:
        values = panel.values.copy()
        values[changed, : int(0.7 * panel.steps) - 24] *= 7
        return float(backtest.measure(run, replace(panel, values=values), torch.device("cpu"))["ncrps"])

    untouched = score(np.array([], dtype=int))
    assert score(held) == untouched
    old = backtest.Run("lec-diff", 0, "test", 0.25, False, history_hours=24)
    trained = backtest.fitted(old, panel, protocol_split(panel.steps), torch.device("cpu"))
    others = np.setdiff1d(np.arange(len(panel.station_ids)), held)
    values = panel.values.copy()
    values[others, : int(0.7 * panel.steps) - 24] = np.nan
    known, forgotten = (
        backtest.measure(old, replace(panel, values=past), torch.device("cpu"), fit=lambda *_: trained)["ncrps"]
        for past in (panel.values, values)
    )
    assert known != forgotten


def test_one_training_can_be_measured_with_several_histories(little_city: City) -> None:
    panel, _ = read_panel(little_city)
    run = backtest.Run("lec-diff", 0, "test", 0.0, False)
    trained = backtest.fitted(run, panel, protocol_split(panel.steps), torch.device("cpu"))
    temperature = trained.model.temperature.item()
    short, whole = (
        backtest.measure(replace(run, history_hours=hours), panel, torch.device("cpu"), fit=lambda *_: trained)
        for hours in (24, None)
    )
    alone = backtest.measure(run, panel, torch.device("cpu"))
    assert whole["ncrps"] == alone["ncrps"] != short["ncrps"]
    assert trained.model.temperature.item() == temperature


def test_the_validation_part_never_reads_the_last_fifth(little_city: City, tmp_path: Path) -> None:
    traffic = little_city.traffic.copy()
    traffic.iloc[int(0.8 * len(traffic)) :] = 1e6
    changed = write_city(tmp_path / "changed", little_city.meta, little_city.stations, traffic)
    results = [
        backtest.benchmark(city, tmp_path / f"{index}.json", part="validation", models=YARDSTICKS, seeds=1)["results"]
        for index, city in enumerate((little_city, changed))
    ]
    for mine, other in zip(*results, strict=True):
        assert mine["ncrps_by_day"] == other["ncrps_by_day"]


def test_what_a_model_sees_decides_whether_its_result_is_out_of_date(little_city: City) -> None:
    rng = np.random.default_rng(0)
    bare, _ = read_panel(little_city)
    one, other = (
        replace(bare, environment=rng.standard_normal((len(bare.station_ids), 4)).astype(np.float32)) for _ in range(2)
    )

    def key(model: str, panel: Panel) -> str:
        return backtest.result_key(backtest.Run(model, 0, "test", 0.0, False), panel, little_city, "abc")

    assert key("lec-diff", one) != key("lec-diff", other)
    assert len({key(model, one) for model in ("lec-diff", "drop-gei", "shuffled-gei")}) == 3
    for model in ("lstm", "drop-gei", "climatology"):
        assert key(model, one) == key(model, other) == key(model, bare)


def test_all_means_every_model_the_city_can_run(
    little_city: City, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: list[str] = []

    def note(run: backtest.Run, *rest: object) -> dict:
        measured.append(run.model)
        return {}

    monkeypatch.setattr(backtest, "measure", note)
    backtest.benchmark(little_city, tmp_path / "r.json", models=backtest.ALL_MODELS, seeds=1)
    assert set(measured) == set(runnable(little_city))


def test_held_out_stations_are_the_same_for_every_seed() -> None:
    stations = backtest.held_out_stations(50, 0.2)
    assert len(stations) == len(np.unique(stations)) == 10
    np.testing.assert_array_equal(stations, backtest.held_out_stations(50, 0.2))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"part": "all"}, "--part"),
        ({"hold_out_stations": 1.0}, "--hold-out-stations"),
        ({"history_hours": 0}, "--history-hours"),
        ({"models": ("oracle",)}, "oracle"),
    ],
)
def test_bad_options_are_refused(little_city: City, tmp_path: Path, options: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        backtest.benchmark(little_city, tmp_path / "r.json", **options)


def test_a_file_that_is_not_a_benchmark_is_left_alone(little_city: City, tmp_path: Path) -> None:
    out = tmp_path / "notes.json"
    out.write_text("shopping list")
    with pytest.raises(UserError, match="not a benchmark file"):
        backtest.benchmark(little_city, out, models=YARDSTICKS)
    assert out.read_text() == "shopping list"
