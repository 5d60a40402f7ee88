"""Properties that every model has, whatever it is made of."""

from dataclasses import replace
from functools import lru_cache

import numpy as np
import pandas as pd
import pytest
import torch

from lecdiff_core.city.graph import distance_graph
from lecdiff_core.city.panel import Panel
from lecdiff_core.city.windows import Batch, Windows
from lecdiff_core.models.autoregressive import AutoregressiveDiffusion, paper_config, timegrad_config
from lecdiff_core.models.catalogue import MODELS, build
from lecdiff_core.models.conditional import LecDiffConfig
from lecdiff_core.models.protocol import ForecastModel, RowNoise
from tests.conftest import made_up_traffic

STATIONS, DAYS, PER_DAY, SAMPLES = 7, 16, 24, 6
ORIGINS = np.array([200, 301])


@lru_cache
def panel(with_environment: bool = True) -> Panel:
    rng = np.random.default_rng(3)
    values = made_up_traffic(STATIONS, DAYS).T.copy()
    values[rng.random(values.shape) < 0.03] = np.nan
    return Panel(
        values=values,
        clock=pd.date_range("2024-01-01", periods=DAYS * PER_DAY, freq="1h"),
        timezone="UTC",
        steps_per_day=PER_DAY,
        station_ids=tuple(f"S{index}" for index in range(STATIONS)),
        positions=rng.uniform(0, 5000, (STATIONS, 2)),
        environment=rng.standard_normal((STATIONS, 5)).astype(np.float32) if with_environment else None,
    )


def small_paper(city: Panel) -> AutoregressiveDiffusion:
    """The paper's form at a size a test can sample from."""
    config = paper_config(city.steps_per_day, 5, len(city.station_ids))
    return AutoregressiveDiffusion(replace(config, hidden=16, denoiser_width=16, denoising_steps=5))


def autoregressive(city: Panel) -> AutoregressiveDiffusion:
    config = LecDiffConfig(city.steps_per_day, environment_width=5, decoder="autoregressive", denoising_steps=3)
    return AutoregressiveDiffusion(replace(config, hidden=8, denoiser_width=16))


def small_timegrad(city: Panel) -> AutoregressiveDiffusion:
    return AutoregressiveDiffusion(
        replace(timegrad_config(city.steps_per_day), hidden=8, denoiser_width=16, denoising_steps=5)
    )


# Models at a size a test can sample from, and those that are `lec-diff` itself under another view of the city.
SMALL = {"lec-diff-paper": small_paper, "lec-diff-ar": autoregressive, "timegrad": small_timegrad}
ALIKE = {"drop-gei", "shuffled-gei", "lec-diff-image", "lec-diff-text", "lec-diff-unified"}
BUILDERS = {name: lambda city, name=name: build(name, city, seed=1) for name in MODELS if name not in ALIKE} | SMALL


def fitted(name: str) -> ForecastModel:
    city = panel()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = BUILDERS[name](city)
        for parameter in model.parameters():
            if parameter.requires_grad and not parameter.any():
                parameter.data.normal_(std=0.05)  # what starts at zero would hide what it depends on
    model.fit_statistics(torch.as_tensor(city.values[:, :200]), city.calendar.slot[:200])
    model.eval()
    model.calibrate([windows(model, city).batch(ORIGINS)])
    return model


def windows(model: ForecastModel, city: Panel) -> Windows:
    graph = distance_graph(city.positions, neighbours=3)
    station = np.arange(1, len(city.station_ids) + 1)
    return Windows(city, graph, model.context, model.horizon, station)


def noise(city: Panel, seed: int = 0) -> RowNoise:
    return RowNoise.of((f"{origin}|{name}" for origin in ORIGINS for name in city.station_ids), seed)


every_model = pytest.mark.parametrize("name", BUILDERS)


@every_model
def test_samples_have_the_promised_shape_and_are_finite_and_not_negative(name: str) -> None:
    model = fitted(name)
    samples = model.sample(windows(model, panel()).batch(ORIGINS), SAMPLES, noise(panel()))
    assert samples.shape == (2, SAMPLES, STATIONS, PER_DAY)
    assert torch.isfinite(samples).all()
    assert (samples >= 0).all()


@every_model
def test_the_same_seed_gives_the_same_samples_and_another_seed_others(name: str) -> None:
    model = fitted(name)
    batch = windows(model, panel()).batch(ORIGINS)
    first = model.sample(batch, SAMPLES, noise(panel(), 1))
    assert torch.equal(first, model.sample(batch, SAMPLES, noise(panel(), 1)))
    assert not torch.equal(first, model.sample(batch, SAMPLES, noise(panel(), 2)))


@every_model
def test_permuting_stations_permutes_forecasts(name: str) -> None:
    model = fitted(name)
    order = np.random.default_rng(5).permutation(STATIONS)
    plain, moved = panel(), panel().select(order)
    graph = distance_graph(moved.positions, neighbours=3)
    turned = Windows(moved, graph, model.context, model.horizon, 1 + order)
    expected = model.sample(windows(model, plain).batch(ORIGINS), SAMPLES, noise(plain))[:, :, order]
    actual = model.sample(turned.batch(ORIGINS), SAMPLES, noise(moved))
    torch.testing.assert_close(actual, expected, rtol=1e-3, atol=1e-2)


@every_model
def test_nothing_after_the_origin_reaches_a_forecast(name: str) -> None:
    model = fitted(name)
    origin = int(ORIGINS[0])
    changed = panel().values.copy()
    changed[:, origin:] = 1e6
    later = replace(panel(), values=changed)
    one = np.array([origin])
    streams = RowNoise.of(panel().station_ids, 0)
    before = model.sample(windows(model, panel()).batch(one), SAMPLES, streams)
    after = model.sample(windows(model, later).batch(one), SAMPLES, RowNoise.of(panel().station_ids, 0))
    assert torch.equal(before, after)


@every_model
def test_what_stands_where_traffic_is_missing_does_not_matter(name: str) -> None:
    """A gap is NaN to every model: forecasts are finite even when a whole station, or the last day, is missing."""
    model = fitted(name)
    gappy = panel().values.copy()
    gappy[2] = np.nan
    gappy[4, ORIGINS[0] - PER_DAY : ORIGINS[0]] = np.nan
    samples = model.sample(windows(model, replace(panel(), values=gappy)).batch(ORIGINS), SAMPLES, noise(panel()))
    assert torch.isfinite(samples).all()


@every_model
def test_missing_targets_leave_loss_and_gradients_finite(name: str) -> None:
    model = fitted(name)
    if not model.trainable:
        pytest.skip("nothing to train")
    batch = windows(model, panel()).batch(ORIGINS)
    assert batch.future is not None
    hole = batch.future.clone()
    hole[:, :, 5] = torch.nan
    hole[:, 3] = torch.nan
    loss = model.loss(replace(batch, future=hole))
    loss.backward()
    assert torch.isfinite(loss)
    assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters() if parameter.grad is not None)


@every_model
def test_gradients_reach_every_parameter(name: str) -> None:
    model = fitted(name)
    if not model.trainable:
        pytest.skip("nothing to train")
    model.train()
    torch.manual_seed(0)
    model.loss(windows(model, panel()).batch(np.arange(200, 230, 3))).backward()
    untouched = [
        name
        for name, parameter in model.named_parameters()
        if parameter.requires_grad and (parameter.grad is None or not parameter.grad.any())
    ]
    assert untouched == []


@every_model
def test_settings_and_weights_restore_the_same_model(name: str) -> None:
    model = fitted(name)
    again = MODELS[name].restore(model.settings()).eval()
    again.load_state_dict(model.state_dict())
    batch = windows(model, panel()).batch(ORIGINS)
    assert torch.equal(model.sample(batch, SAMPLES, noise(panel())), again.sample(batch, SAMPLES, noise(panel())))


@every_model
def test_a_model_forecasts_stations_it_has_never_seen(name: str) -> None:
    model = fitted(name)
    graph = distance_graph(panel().positions, neighbours=3)
    strangers = Windows(panel(), graph, model.context, model.horizon)
    samples = model.sample(strangers.batch(ORIGINS), SAMPLES, noise(panel()))
    assert torch.isfinite(samples).all()
    observed = torch.as_tensor(panel().values[:, 200:224])
    ratio = samples[0].mean(0).sum() / observed.nansum()
    if name not in ("lec-diff-paper", "timegrad"):  # untrained, these have no notion of traffic yet
        assert 0.5 < ratio < 2


def test_batches_are_moved_whole() -> None:
    model = fitted("seasonal-naive")
    moved: Batch = windows(model, panel()).batch(ORIGINS).to("cpu")
    assert moved.past.device.type == "cpu"
    assert moved.environment is not None


@pytest.mark.parametrize(("environment", "stations"), [(0, 25), (64, 150), (128, 8000)])
def test_the_paper_preset_has_the_papers_size(environment: int, stations: int) -> None:
    """21.8 M parameters within 2 %, counted without the station table."""
    model = AutoregressiveDiffusion(paper_config(48, environment, stations))
    assert model.station is not None
    table = model.station.weight.numel()
    count = sum(parameter.numel() for parameter in model.parameters()) - table
    assert count == pytest.approx(21.8e6, rel=0.02)


@every_model
def test_where_no_place_is_known_a_station_is_forecast_as_if_it_were_alone(name: str) -> None:
    model, placeless = fitted(name), replace(panel(), positions=np.full((STATIONS, 2), np.nan))
    samples = model.sample(windows(model, placeless).batch(ORIGINS), SAMPLES, noise(placeless))
    assert torch.isfinite(samples).all()
    if model.hops is not None:
        alone = placeless.select(np.array([4]))
        graph = distance_graph(alone.positions)
        cut = Windows(alone, graph, model.context, model.horizon, np.array([5]))
        by_itself = model.sample(cut.batch(ORIGINS), SAMPLES, noise(alone))[:, :, 0]
        torch.testing.assert_close(by_itself, samples[:, :, 4], rtol=1e-3, atol=1e-2)
