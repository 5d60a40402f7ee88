"""The benchmark: its file, its resuming, its protocol."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from lecdiff_core import training
from lecdiff_core.city.folder import City, write_city
from lecdiff_core.city.panel import Panel
from lecdiff_core.city.splits import protocol_split
from lecdiff_core.environment.embedding.table import read_panel
from lecdiff_core.errors import UserError
from lecdiff_core.evaluation import backtest
from lecdiff_core.models.catalogue import runnable
from tests.conftest import make_city

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
    own = [result for result in document["results"] if result["dependence"] == "own"]
    assert [(result["model"], result["seed"]) for result in own] == [
        (model, seed) for model in YARDSTICKS for seed in (0, 1)
    ]
    assert document["protocol"] == 2
    for result in document["results"]:
        assert result.keys() >= FIELDS
        assert {"step", "day_peak", "day_total", "area_5", "area_all"} <= result.keys()
        assert not {"area_20", "area_20_peak", "energy_block_20"} & result.keys()  # of twelve stations
        assert set(result["conformal"]) == {"coverage_50", "coverage_90", "ncrps"}
        assert 0 < result["ncrps"] < 1
        by_station = result.get("ncrps_by_station", {})
        assert set(by_station) == (set() if result["seed"] else set(little_city.station_ids))


def test_models_that_draw_stations_apart_are_lent_the_dependence_of_past_days(tmp_path: Path) -> None:
    city = make_city(tmp_path / "whole", days=30)
    traffic = city.traffic.interpolate(limit_direction="both")
    whole = write_city(tmp_path / "filled", city.meta, city.stations, traffic)
    models = ("lec-diff", "lec-diff-independent", "climatology")
    results = backtest.benchmark(whole, tmp_path / "r.json", models=models, seeds=1)["results"]
    rows = {model: [row for row in results if row["model"] == model] for model in models}
    assert [row["dependence"] for row in rows["lec-diff"]] == ["own"]
    for model in models[1:]:
        own, *others = rows[model]
        assert [own["dependence"], *sorted(row["dependence"] for row in others)] == ["own", "gaussian", "schaake"]
        for row in others:
            assert row["step"] == own["step"] and row["key"] == own["key"]
            assert row["area_all"]["scored"] == own["area_all"]["scored"]
            assert row["area_all"] != own["area_all"] and row["energy_path"] != own["energy_path"]


def test_two_forms_of_one_model_are_trained_once(
    little_city: City, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[str] = []
    train = backtest.train
    monkeypatch.setattr(backtest, "train", lambda *args, **more: trained.append("once") or train(*args, **more))
    models = ("lec-diff", "lec-diff-independent")
    together = backtest.benchmark(little_city, tmp_path / "r.json", models=models, seeds=2)["results"]
    assert len(trained) == 2  # one a seed
    alone = backtest.benchmark(little_city, tmp_path / "alone.json", models=models[1:], seeds=1)["results"]
    wanted = [row for row in together if row["model"] == models[1] and row["seed"] == 0]
    for mine, other in zip(alone, wanted, strict=True):
        assert mine["step"] == other["step"] and mine["energy_path"] == other["energy_path"]


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
    assert len(document["results"]) == len(first)
    assert document["results"][0]["key"] != first[0]["key"]
    assert document["results"][0]["mae"] == pytest.approx(2 * first[0]["mae"])


def test_a_killed_benchmark_keeps_what_it_has(little_city: City, tmp_path: Path) -> None:
    out = tmp_path / "results.json"

    def stop_after_the_first(done: float, total: float, message: str) -> None:
        if done >= 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        backtest.benchmark(little_city, out, models=YARDSTICKS, seeds=1, report=stop_after_the_first)
    assert {result["model"] for result in json.loads(out.read_text())["results"]} == {"seasonal-naive"}


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
        return float(backtest.measure(run, replace(panel, values=values), torch.device("cpu"))["own"]["ncrps"])

    untouched = score(np.array([], dtype=int))
    assert score(held) == untouched
    old = backtest.Run("lec-diff", 0, "test", 0.25, False, history_hours=24)
    trained = backtest.fitted(old, panel, protocol_split(panel.steps), torch.device("cpu"))
    others = np.setdiff1d(np.arange(len(panel.station_ids)), held)
    values = panel.values.copy()
    values[others, : int(0.7 * panel.steps) - 24] = np.nan
    known, forgotten = (
        backtest.measure(old, replace(panel, values=past), torch.device("cpu"), fit=lambda *_: trained)["own"]["ncrps"]
        for past in (panel.values, values)
    )
    assert known != forgotten


def test_one_training_can_be_measured_with_several_histories(little_city: City) -> None:
    panel, _ = read_panel(little_city)
    run = backtest.Run("lec-diff", 0, "test", 0.0, False)
    trained = backtest.fitted(run, panel, protocol_split(panel.steps), torch.device("cpu"))
    temperature = trained.model.temperature.item()
    short, whole = (
        backtest.measure(replace(run, history_hours=hours), panel, torch.device("cpu"), fit=lambda *_: trained)["own"]
        for hours in (24, None)
    )
    alone = backtest.measure(run, panel, torch.device("cpu"))["own"]
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
        return backtest.result_key(backtest.Run(model, 0, "test", 0.0, False), panel, "abc", little_city)

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
        return {"own": {}}

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


def test_zero_shot_fits_nothing_and_starts_at_the_end_of_the_second_day(tmp_path: Path) -> None:
    city = make_city(tmp_path / "short", days=4)
    results = backtest.benchmark(city, tmp_path / "r.json", part="zero-shot", seeds=1)["results"]
    models = {row["model"] for row in results}
    assert models == {"base", "base-independent", "prior-only", *backtest.YARDSTICKS}
    assert {row["dependence"] for row in results} == {"own"}
    for row in results:
        assert list(row["ncrps_by_day"]) == ["2024-01-03", "2024-01-04"]
        assert row["train_seconds"] == 0 and 0 < row["ncrps"] < 1 and row["conformal"]["ncrps"] > 0


def test_zero_shot_never_looks_ahead(tmp_path: Path) -> None:
    city = make_city(tmp_path / "short", days=6)
    traffic = city.traffic.copy()
    traffic.iloc[-24:] *= 50
    changed = write_city(tmp_path / "changed", city.meta, city.stations, traffic)
    first, second = (
        backtest.benchmark(one, tmp_path / f"{index}.json", part="zero-shot", seeds=1)["results"]
        for index, one in enumerate((city, changed))
    )
    for mine, other in zip(first, second, strict=True):
        assert mine["ncrps_by_day"]["2024-01-03"] == other["ncrps_by_day"]["2024-01-03"]
        assert mine["ncrps_by_day"]["2024-01-06"] != other["ncrps_by_day"]["2024-01-06"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"models": ("lec-diff",)}, "has to be trained"),
        ({"hold_out_stations": 0.5}, "--hold-out-stations"),
        ({"models": ("base",), "base_without": "atlantis"}, "atlantis"),
    ],
)
def test_what_zero_shot_cannot_measure_is_refused(tmp_path: Path, options: dict, message: str) -> None:
    city = make_city(tmp_path / "short", days=4)
    with pytest.raises(UserError, match=message):
        backtest.benchmark(city, tmp_path / "r.json", part="zero-shot", **options)


def test_zero_shot_needs_three_days(tmp_path: Path) -> None:
    city = make_city(tmp_path / "short", days=2)
    with pytest.raises(UserError, match="it needs 3 days of traffic"):
        backtest.benchmark(city, tmp_path / "r.json", part="zero-shot")


def test_the_base_is_not_measured_on_a_network_that_it_was_fitted_on(tmp_path: Path) -> None:
    city = make_city(tmp_path / "short", days=4)
    names = [f"BS-{number:03}" if number <= 6 else f"other-{number}" for number in range(1, 13)]
    known = write_city(
        tmp_path / "known",
        city.meta,
        city.stations.assign(station_id=names),
        city.traffic.set_axis(names, axis=1),
    )
    with pytest.raises(UserError, match="--base-without towns"):
        backtest.benchmark(known, tmp_path / "r.json", part="zero-shot", models=("base",), seeds=1)
    with pytest.raises(UserError, match="--base-without towns"):
        backtest.benchmark(
            known, tmp_path / "r.json", part="zero-shot", models=("base",), seeds=1, base_without="milan"
        )
    (row,) = backtest.benchmark(
        known, tmp_path / "r.json", part="zero-shot", models=("base",), seeds=1, base_without="towns"
    )["results"]
    assert row["base_without"] == "towns"
    backtest.benchmark(known, tmp_path / "y.json", part="zero-shot", models=("climatology",), seeds=1)
