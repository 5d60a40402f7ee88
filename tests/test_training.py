"""The trainer: seeds, resuming, stopping, large cities, devices."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from lecdiff_core import api, training
from lecdiff_core.city.folder import City, write_city
from lecdiff_core.city.history import missing_history
from lecdiff_core.city.panel import Panel
from lecdiff_core.city.splits import Split, protocol_split, split_for_use
from lecdiff_core.devices import choose_device
from lecdiff_core.errors import UserError
from lecdiff_core.locks import working
from lecdiff_core.models.catalogue import build, runnable
from lecdiff_core.models.checkpoint import read_config
from lecdiff_core.models.protocol import ForecastModel
from lecdiff_core.training import DATES, Blocks, Recipe, parts_of, train
from tests.conftest import make_city

QUICK = Recipe(epochs=3, steps=3, rows=24, validation_samples=8)


def weights(model: ForecastModel) -> torch.Tensor:
    return torch.cat([tensor.flatten().double() for tensor in model.state_dict().values()])


def quickly_trained(panel: Panel, seed: int = 0, **options: object) -> tuple[ForecastModel, dict]:
    model = build("lec-diff", panel, seed)
    log = train(model, panel, protocol_split(panel.steps), QUICK, seed, **options)  # type: ignore[arg-type]
    return model, log


def test_a_seed_reproduces_and_another_differs(little_city: City) -> None:
    panel = Panel.of(little_city)
    first, second, other = (quickly_trained(panel, seed)[0] for seed in (1, 1, 2))
    assert torch.equal(weights(first), weights(second))
    assert not torch.equal(weights(first), weights(other))


def test_a_start_that_training_only_spoils_is_kept(little_city: City, monkeypatch: pytest.MonkeyPatch) -> None:
    panel = Panel.of(little_city)
    untrained = build("lec-diff", panel, 0)
    model = build("lec-diff", panel, 0)
    learned = model.loss
    monkeypatch.setattr(model, "loss", lambda batch: -learned(batch))
    spoiling = replace(QUICK, prior_learning_rate=0.5, slow_start=1, averaging=0.0)
    log = train(model, panel, protocol_split(panel.steps), spoiling, 0)
    assert log["best_epoch"] == 0 and min(log["validation_crps"]) > log["start_crps"]
    for (name, kept), before in zip(model.named_parameters(), untrained.parameters(), strict=True):
        assert torch.equal(kept, before), name


def test_a_model_without_a_prior_is_not_measured_before_it_has_learned(little_city: City) -> None:
    panel = Panel.of(little_city)
    log = train(build("lstm", panel, 0), panel, protocol_split(panel.steps), QUICK, 0)
    assert "start_crps" not in log and log["best_epoch"] > 0


class Stopped(Exception):
    pass


def test_a_stopped_training_goes_on_where_it_was(little_city: City, tmp_path: Path) -> None:
    panel = Panel.of(little_city)
    whole, whole_log = quickly_trained(panel)

    def stop_in_the_second_epoch(done: float, total: float, message: str) -> None:
        if done == 6:
            raise Stopped

    checkpoint = tmp_path / "unfinished.safetensors"
    with pytest.raises(Stopped):
        quickly_trained(panel, checkpoint=checkpoint, report=stop_in_the_second_epoch)
    steps: list[float] = []
    resumed, log = quickly_trained(panel, checkpoint=checkpoint, report=lambda done, total, message: steps.append(done))
    assert steps[0] == 5  # the first epoch is not done again
    assert torch.equal(weights(resumed), weights(whole))
    assert log["validation_crps"] == whole_log["validation_crps"]


@pytest.mark.parametrize("content", [b"", b"rubbish", None])
def test_a_checkpoint_that_is_damaged_or_of_another_training_is_not_resumed(
    little_city: City, tmp_path: Path, content: bytes | None
) -> None:
    panel = Panel.of(little_city)
    checkpoint = tmp_path / "unfinished.safetensors"
    if content is None:
        quickly_trained(panel, seed=9, checkpoint=checkpoint)
    else:
        checkpoint.write_bytes(content)
    resumed, _ = quickly_trained(panel, checkpoint=checkpoint)
    assert torch.equal(weights(resumed), weights(quickly_trained(panel)[0]))


def test_nothing_after_validation_is_read(little_city: City) -> None:
    panel = Panel.of(little_city)
    values = panel.values.copy()
    values[:, protocol_split(panel.steps).test.start :] = 1e9
    assert torch.equal(weights(quickly_trained(panel)[0]), weights(quickly_trained(replace(panel, values=values))[0]))


def test_early_stopping_keeps_the_best_epoch(little_city: City) -> None:
    panel = Panel.of(little_city)
    model = build("lec-diff", panel, 0)
    recipe = replace(QUICK, epochs=30, learning_rate=0.3, prior_learning_rate=0.3, patience=2)
    log = train(model, panel, protocol_split(panel.steps), recipe)
    assert log["epochs"] < 30
    assert log["epochs"] - log["best_epoch"] == 2
    assert min(log["validation_crps"]) == log["validation_crps"][log["best_epoch"] - 1]


def test_a_large_city_is_trained_in_blocks_of_neighbours(tmp_path: Path) -> None:
    panel = Panel.of(make_city(tmp_path / "large", stations=40))
    model = build("lec-diff", panel, 0)
    blocks = Blocks(panel, model, rows=10, station=np.arange(1, 41))
    block = blocks.around(17)
    assert len(block.panel.station_ids) == 10
    assert "S17" in block.panel.station_ids
    log = train(model, panel, protocol_split(panel.steps), replace(QUICK, rows=10))
    assert log["epochs"] == 3


def test_too_little_history_is_refused(tmp_path: Path) -> None:
    panel = Panel.of(make_city(tmp_path / "short", days=6))
    with pytest.raises(UserError, match="too few to train on"):
        train(build("seasonal-naive", panel, 0), panel, protocol_split(panel.steps))


def test_unknown_devices_are_refused() -> None:
    with pytest.raises(UserError, match="not a device"):
        choose_device("abacus")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_missing_gpu_is_refused_and_auto_does_without() -> None:
    with pytest.raises(UserError, match="no CUDA device"):
        choose_device("cuda")
    assert choose_device("auto") == torch.device("cpu")


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_training_and_forecasting_on_a_gpu(little_city: City) -> None:
    api.train(little_city, device="cuda")
    drawn = api.forecast(little_city, device="cuda")
    on_cpu = api.forecast(little_city, device="cpu")
    np.testing.assert_allclose(drawn.samples, on_cpu.samples, rtol=0.02, atol=0.5)


def test_jobs_train_saves_what_forecast_loads(little_city: City) -> None:
    metrics = api.train(little_city, "climatology")
    assert metrics["device"].startswith("CPU") or torch.cuda.is_available()
    drawn = api.forecast(little_city, "climatology", samples=20)
    assert drawn.samples.shape == (20, 12, 24)
    assert drawn.notices == ()
    assert not (little_city.model_folder("climatology") / "unfinished.safetensors").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": "oracle"}, "no model 'oracle'"),
        ({"preset": "huge"}, "--preset"),
        ({"model": "climatology", "preset": "paper"}, "form of lec-diff"),
    ],
)
def test_bad_options_are_refused(little_city: City, options: dict[str, str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        api.train(little_city, **options)


def city_of(path: Path, interval: str, days: float, stations: int = 3) -> City:
    """A city of any interval, with a rhythm of the day where there is one."""
    little = make_city(path, stations=stations, days=1)
    length = pd.Timedelta(interval)
    steps = round(pd.Timedelta(days=days) / length)
    index = pd.date_range("2024-01-01", periods=steps, freq=length, tz="UTC", name="timestamp")
    rhythm = 2 + np.cos(index.hour.to_numpy() * np.pi / 12)
    values = rhythm[:, None] * np.random.default_rng(0).gamma(50, 2, (steps, stations))
    traffic = pd.DataFrame(values.astype(np.float32), index, list(little.station_ids))
    return write_city(path, little.meta.model_copy(update={"interval": interval}), little.stations, traffic)


@pytest.mark.parametrize("interval", ["5min", "30min", "1h", "2h", "3h", "4h", "6h", "8h", "12h", "24h"])
def test_five_days_of_any_interval_can_be_trained_on_and_forecast(tmp_path: Path, interval: str) -> None:
    city = city_of(tmp_path / "city", interval, days=5)
    metrics = api.train(city, "adaptive-climatology", device="cpu")
    drawn = api.forecast(city, "adaptive-climatology", device="cpu")
    assert drawn.samples.shape == (100, 3, city.steps_per_day)
    assert np.isfinite(drawn.samples).all() and (drawn.interval(0.9)[0] < drawn.interval(0.9)[1]).all()
    start, end = city.traffic.index[0], city.traffic.index[-1] + city.interval
    told = {name: pd.Timestamp(metrics[name]) for name in DATES}
    cut = start + pd.Timedelta("3D")
    assert told == dict(zip(DATES, (start, cut, cut, end, cut), strict=True))


@pytest.mark.parametrize("interval", ["8h", "24h"])
def test_intervals_of_a_third_of_a_day_or_more_are_measured(tmp_path: Path, interval: str) -> None:
    city = city_of(tmp_path / "city", interval, days=24)
    document = api.benchmark(city, tmp_path / "r.json", models=["adaptive-climatology"], seeds=1, device="cpu")
    assert 0 < document["results"][0]["ncrps"] < 0.5


@pytest.mark.slow
@pytest.mark.parametrize("interval", ["30min", "24h"])
def test_lec_diff_learns_from_five_days(tmp_path: Path, interval: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(training.RECIPES, "default", QUICK)
    city = city_of(tmp_path / "city", interval, days=5)
    api.train(city, device="cpu")
    assert np.isfinite(api.forecast(city, device="cpu").samples).all()


@pytest.mark.parametrize(("name", "interval"), [("stgcn", "3h"), ("wavenet", "24h")])
def test_a_model_that_needs_more_steps_a_day_says_so(tmp_path: Path, name: str, interval: str) -> None:
    city = city_of(tmp_path / "city", interval, days=5)
    with pytest.raises(UserError, match=f"{name} needs at least . intervals a day.*such as lec-diff"):
        api.train(city, name, device="cpu")
    assert name not in runnable(city) and "lec-diff" in runnable(city)
    assert name in runnable(city_of(tmp_path / "other", "2h", days=5))


def test_less_history_than_the_table_says_is_refused_with_its_figures(tmp_path: Path) -> None:
    hours = city_of(tmp_path / "city", "30min", days=5 - 1 / 48)
    with pytest.raises(UserError, match=r"too little history to train .*5 days of traffic; there are 4\.9$"):
        api.train(hours, "climatology", device="cpu")
    days = city_of(tmp_path / "more", "1h", days=19)
    with pytest.raises(UserError, match=r"needs 20 days of traffic; there are 19$"):
        api.train(days, "climatology", device="cpu", protocol=True)
    with pytest.raises(UserError, match=r"needs 20 days of traffic; there are 19$"):
        api.benchmark(days, tmp_path / "r.json", models=["climatology"], device="cpu")
    assert not days.model_folder("climatology").exists()
    assert [text.partition(":")[2] for text in missing_history(days)] == [" it needs 20 days of traffic; there are 19"]


def test_the_protocol_is_recorded_and_learns_from_less(little_city: City) -> None:
    metrics = api.train(little_city, "climatology", device="cpu", protocol=True)
    split, panel = protocol_split(len(little_city.traffic)), Panel.of(little_city)
    assert metrics["surges_from"] == panel.time(split.test.start).isoformat() == metrics["calibration_to"]
    assert parts_of(metrics, panel) == parts_of({}, panel)
    grown = Panel.of(make_city(little_city.path, days=30))
    assert parts_of(metrics, grown).since == split.test.start != parts_of({}, grown).since
    used = api.train(little_city, "climatology", device="cpu")
    assert used["surges_from"] == used["fit_to"] > metrics["fit_to"]


def test_a_training_is_not_resumed_on_another_part_of_the_time(little_city: City, tmp_path: Path) -> None:
    panel, checkpoint = Panel.of(little_city), tmp_path / "unfinished.safetensors"
    quickly_trained(panel, checkpoint=checkpoint)
    for_use = split_for_use(panel.steps, panel.steps_per_day)
    again, resumed = (build("lec-diff", panel, 0) for _ in range(2))
    train(again, panel, for_use, QUICK, 0)
    train(resumed, panel, for_use, QUICK, 0, checkpoint=checkpoint)
    assert torch.equal(weights(again), weights(resumed))


def test_a_model_tells_the_data_it_was_trained_on_not_what_came_meanwhile(little_city: City) -> None:
    before = little_city.data_hash

    def import_meanwhile(done: float, total: float, message: str) -> None:
        make_city(little_city.path, seed=5)

    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(training.RECIPES, "default", replace(QUICK, epochs=1, steps=1))
        api.train(little_city, device="cpu", report=import_meanwhile)
    assert read_config(little_city.model_folder("lec-diff")).data_hash == before
    assert City.open(little_city.path).data_hash != before


def test_never_two_trainings_at_once(little_city: City) -> None:
    with working(little_city.path, "train"), pytest.raises(UserError, match="lecdiff train is at work on it"):
        api.train(little_city, "climatology")


def test_a_split_without_a_whole_validation_day_is_refused(little_city: City) -> None:
    panel = Panel.of(little_city)
    with pytest.raises(UserError, match="validation"):
        train(build("lec-diff", panel, 0), panel, Split(range(200), range(200, 220), range(220, 400)), QUICK)


def test_a_large_city_without_places_is_trained_in_blocks_that_reach_every_station(tmp_path: Path) -> None:
    panel = Panel.of(make_city(tmp_path / "nowhere", stations=30, coordinates="none"))
    blocks = Blocks(panel, build("climatology", panel, 0), 8, np.arange(1, 31))
    seen = {name for seed in range(30) for name in blocks.around(seed).panel.station_ids}
    assert seen == set(panel.station_ids)
    assert all(panel.station_ids[seed] in blocks.around(seed).panel.station_ids for seed in range(30))
