"""The peers' way through plain files: what they are given, and that their samples are scored as every other model's."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.requirements import Requirement
from torch import Tensor

from benchmarks.peers import boosting, forecast, statistical
from benchmarks.peers import scores as peer_scores
from benchmarks.peers import windows as peer_windows
from benchmarks.peers.exchange import Known, read_city, write_samples
from lecdiff_core.city.folder import City, write_city
from lecdiff_core.city.panel import Panel
from lecdiff_core.city.windows import Batch
from lecdiff_core.evaluation import backtest
from lecdiff_core.evaluation.backtest import Run
from lecdiff_core.models.protocol import ForecastModel, RowNoise
from tests.conftest import flat

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = 20
FACTORS = np.random.default_rng(5).uniform(0.5, 1.5, SAMPLES).astype(np.float32)


class ScaledYesterday(ForecastModel):
    """Yesterday times fixed factors, by the project's protocol."""

    def __init__(self, steps_per_day: int) -> None:
        super().__init__()
        self.context = self.horizon = steps_per_day

    def sample(self, batch: Batch, samples: int, noise: RowNoise, wanted: Tensor | None = None) -> Tensor:
        yesterday = batch.past.nan_to_num(1.0)[:, None]
        return yesterday * torch.as_tensor(FACTORS[:samples])[None, :, None, None]


class ScaledYesterdayPeer:
    """The same as a peer, noting all that it is given."""

    libraries = ("numpy",)

    def __init__(self) -> None:
        self.given: list[Known] = []

    def fit(self, known: Known, train_stop: int, seed: int) -> dict[str, Any]:
        self.fitted_on, self.train_stop = known, train_stop
        return {"parameters": 0, "settings": {}, "trials": []}

    def sample(self, known: Known, samples: int, seed: int) -> np.ndarray:
        self.given.append(known)
        yesterday = np.nan_to_num(known.values[:, -known.horizon :], nan=1.0)
        return yesterday * FACTORS[:samples, None, None]


@pytest.fixture
def exported(little_city: City, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(peer_windows, "SAMPLES", SAMPLES)
    peer_windows.export(little_city, tmp_path / "exchange")
    return tmp_path / "exchange"


def run_of(folder: Path, peer: ScaledYesterdayPeer) -> dict[str, np.ndarray]:
    """Samples of a peer, written as the runner writes them."""
    samples, log = forecast.measure(peer, folder, seed=0)
    data_hash = json.loads((folder / "about.json").read_text())["data_hash"]
    extra = {
        "model": "deepar",
        "seed": 0,
        "recipe": forecast.MODELS["deepar"][2],
        "data_hash": data_hash,
        "peak_mb": 1.0,
    }
    write_samples(folder, "deepar-0", samples, log | extra)
    return samples


@pytest.mark.parametrize("subset", [False, True])
def test_a_peer_is_scored_as_the_backtest_scores(
    subset: bool, exported: Path, little_city: City, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backtest, "SAMPLES", SAMPLES)
    monkeypatch.setattr(backtest, "build", lambda name, panel, seed: ScaledYesterday(panel.steps_per_day))
    run = Run("seasonal-naive", seed=0, part="test", hold_out=0.0, subset=subset)
    panel = Panel.of(little_city)
    measured = backtest.measure(run, panel, torch.device("cpu"), lend=lambda: backtest.lenders(panel, "test"))
    run_of(exported, ScaledYesterdayPeer())
    results = [one for one in peer_scores.results_of(exported / "deepar-0.json") if one["subset"] == subset]
    assert [one["dependence"] for one in results] == list(measured)
    for result in results:
        wanted = measured[result["dependence"]]
        assert result.keys() >= wanted.keys()
        for name in wanted.keys() - {"train_seconds", "sample_seconds", "peak_mb", "dependence"}:
            assert flat(result[name]) == pytest.approx(flat(wanted[name]), rel=1e-5), name


def test_a_peer_is_given_nothing_from_after_an_origin(exported: Path) -> None:
    city, about = read_city(exported)
    peer = ScaledYesterdayPeer()
    run_of(exported, peer)
    assert peer.fitted_on.steps == about["validation"][1]
    assert peer.train_stop == about["train"][1]
    origins = [origin for part in ("validation", "test") for origin in about["origins"][part]]
    assert [known.steps for known in peer.given] == origins
    for known in (peer.fitted_on, *peer.given):
        assert known.values.base is None
        assert len(known.slot) == min(known.steps + known.horizon, city.steps)
        np.testing.assert_array_equal(known.values, city.values[:, : known.steps])


def test_later_traffic_changes_no_sample(exported: Path) -> None:
    city, about = read_city(exported)
    before = run_of(exported, ScaledYesterdayPeer())
    late = about["origins"]["test"][-1]
    changed = city.values.copy()
    changed[:, late:] = 1e6
    arrays = {name: getattr(city, name) for name in ("slot", "weekday", "day_type")}
    np.savez(exported / "panel.npz", values=changed, **arrays)
    after = run_of(exported, ScaledYesterdayPeer())
    for part, samples in before.items():
        np.testing.assert_array_equal(samples, after[part])


def test_origins_and_split_are_the_protocols(exported: Path) -> None:
    city, about = read_city(exported)
    assert about["train"] + about["validation"] + about["test"] == [0, 403, 403, 460, 460, 576]
    assert list(city.before(460).origins(403)) == about["origins"]["validation"]
    assert about["origins"]["test"][:2] == [460, 466]
    assert about["origins"]["test"][-1] + city.horizon <= city.steps


def test_results_are_kept_and_replaced_by_run(exported: Path, tmp_path: Path) -> None:
    out = tmp_path / "city.json"
    run_of(exported, ScaledYesterdayPeer())
    _, about = read_city(exported)
    results = peer_scores.results_of(exported / "deepar-0.json")
    peer_scores.keep(out, about, [result | {"model": "patchtst", "mae": -1.0} for result in results])
    peer_scores.keep(out, about, [result | {"mae": 7.0} for result in results])
    peer_scores.keep(out, about, results)
    kept = json.loads(out.read_text())
    assert kept.keys() >= {"city", "protocol", "part", "device", "results"}
    assert len(kept["results"]) == 2 * len(results)
    assert [(one["model"], one["subset"]) for one in kept["results"] if one["dependence"] == "own"] == [
        ("deepar", False), ("patchtst", False), ("deepar", True), ("patchtst", True)
    ]  # fmt: skip
    assert kept["results"][0]["mae"] == pytest.approx(results[0]["mae"])


def test_samples_of_other_data_are_neither_scored_nor_taken_for_done(
    exported: Path, little_city: City, tmp_path: Path
) -> None:
    run_of(exported, ScaledYesterdayPeer())
    assert forecast.is_done(exported, "deepar", 0)
    assert not forecast.is_done(exported, "deepar", 1)
    changed = write_city(tmp_path / "changed", little_city.meta, little_city.stations, little_city.traffic * 2)
    peer_windows.export(changed, exported)
    assert not forecast.is_done(exported, "deepar", 0)
    assert peer_scores.results_of(exported / "deepar-0.json") == []


def test_samples_that_are_no_numbers_are_refused(exported: Path) -> None:
    class Broken(ScaledYesterdayPeer):
        def sample(self, known: Known, samples: int, seed: int) -> np.ndarray:
            return super().sample(known, samples, seed) * np.nan

    with pytest.raises(ValueError, match="finite"):
        forecast.measure(Broken(), exported, seed=0)


def test_features_of_a_row_know_only_what_lies_before_its_origin(exported: Path) -> None:
    city, _ = read_city(exported)
    rng = np.random.default_rng(0)
    station, origin = rng.integers(len(city.values), size=200), rng.integers(80, 500, size=200)
    step = rng.integers(city.horizon, size=200)
    x, level = boosting._features(city, station, origin, step)
    for row in range(0, 200, 10):
        one = (station[[row]], origin[[row]], step[[row]])
        hidden, hidden_level = boosting._features(city.before(int(origin[row])), *one)
        np.testing.assert_allclose(hidden[0], x[row], rtol=1e-5)
        assert hidden_level[0] == pytest.approx(level[row])


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(0, 100), min_size=5, max_size=5), st.floats(0.001, 0.999))
def test_interpolated_quantiles_meet_the_quantiles_and_never_fall(values: list[float], rank: float) -> None:
    levels = np.array([0.05, 0.25, 0.5, 0.75, 0.95])
    quantiles = np.sort(values)[:, None]
    np.testing.assert_allclose(boosting.at_ranks(quantiles, levels, levels[:, None])[:, 0], quantiles[:, 0], atol=1e-9)
    low, high = boosting.at_ranks(quantiles, levels, np.array([[rank], [min(rank + 0.01, 0.9999)]]))[:, 0]
    assert low <= high + 1e-9


def test_gaps_are_filled_from_what_is_known() -> None:
    values = np.array([[np.nan, 4.0, np.nan, 16.0, np.nan], [np.nan] * 5], dtype=np.float32)
    known = Known(values, *(np.zeros(5, int) for _ in range(3)), steps_per_day=24, start="2024-01-01")
    model = statistical.HarmonicRegression()
    model.transform = "none"
    np.testing.assert_allclose(model._filled(known), [[4, 4, 10, 16, 16], [0] * 5])


def test_the_lock_is_within_the_ranges_of_the_extra() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lock = dict(re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "constraints-peers.txt").read_text(), re.MULTILINE))
    pinned = {name.lower().replace("_", "-"): version for name, version in lock.items()}
    wanted = [Requirement(line) for line in project["optional-dependencies"]["peers"]]
    assert {"gluonts", "lightgbm", "statsforecast"} <= {one.name for one in wanted}
    for one in wanted:
        assert one.specifier.contains(pinned[one.name]), one
    for one in map(Requirement, project["dependencies"]):
        assert one.name not in pinned or one.specifier.contains(pinned[one.name]), one
