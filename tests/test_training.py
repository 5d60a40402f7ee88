"""The trainer: seeds, resuming, stopping, large cities, devices."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from lecdiff_core import jobs
from lecdiff_core.city.folder import City
from lecdiff_core.city.windows import Panel, Split, protocol_split
from lecdiff_core.devices import choose_device
from lecdiff_core.errors import UserError
from lecdiff_core.models.catalogue import build
from lecdiff_core.models.protocol import ForecastModel
from lecdiff_core.training import Blocks, Recipe, train
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
    with pytest.raises(UserError, match="too little to train on"):
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
    jobs.train(little_city, device="cuda")
    drawn, _ = jobs.forecast(little_city, device="cuda")
    on_cpu, _ = jobs.forecast(little_city, device="cpu")
    np.testing.assert_allclose(drawn.samples, on_cpu.samples, rtol=0.02, atol=0.5)


def test_jobs_train_saves_what_forecast_loads(little_city: City) -> None:
    metrics = jobs.train(little_city, "climatology")
    assert metrics["device"].startswith("CPU") or torch.cuda.is_available()
    drawn, notices = jobs.forecast(little_city, "climatology", samples=20)
    assert drawn.samples.shape == (20, 12, 24)
    assert notices == []
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
        jobs.train(little_city, **options)


def test_never_two_trainings_at_once(little_city: City) -> None:
    from filelock import FileLock

    (little_city.path / "models").mkdir()
    with (
        FileLock(little_city.path / "models" / ".training.lock"),
        pytest.raises(UserError, match="another process is training"),
    ):
        jobs.train(little_city, "climatology")


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
