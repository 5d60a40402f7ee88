"""The base model: any city from its second day, whatever it is like, and errors in one line for what it does not know."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from lecdiff_core import api
from lecdiff_core.city.folder import City, CityMeta, write_city
from lecdiff_core.city.panel import Panel
from lecdiff_core.errors import UserError
from lecdiff_core.evaluation.conformal import DEVIATES
from lecdiff_core.forecaster import BASE_NOTICE, Forecaster
from lecdiff_core.models import base
from lecdiff_core.models.catalogue import build
from lecdiff_core.models.checkpoint import source_now
from lecdiff_core.models.conditional import LecDiffConfig
from lecdiff_core.models.lecdiff import LecDiff
from tests.conftest import make_city

INTERVALS = {5: 288, 10: 144, 15: 96, 20: 72, 30: 48, 60: 24}


def city_of(
    path: Path,
    days: float = 3,
    minutes: int = 60,
    stations: int = 6,
    change: Callable[[pd.DataFrame], pd.DataFrame] | None = None,
    **meta: object,
) -> City:
    """A city of so many days and such an interval, its traffic changed."""
    like = make_city(path / "like", stations, days=int(days) + 1)
    steps = round(days * 24 * 60 / minutes)
    index = pd.date_range("2024-01-01", periods=steps, freq=f"{minutes}min", tz="UTC", name="timestamp")
    hours = np.minimum(np.arange(steps) * minutes // 60, len(like.traffic) - 1)
    traffic = pd.DataFrame(like.traffic.ffill().bfill().to_numpy()[hours], index=index, columns=like.traffic.columns)
    described = CityMeta.model_validate(like.meta.model_dump() | {"interval": f"{minutes}min"} | meta)
    return write_city(path / "city", described, like.stations, traffic if change is None else change(traffic))


@pytest.mark.parametrize("minutes", INTERVALS)
def test_every_interval_it_knows_is_forecast_from_the_second_day(tmp_path: Path, minutes: int) -> None:
    forecast = api.forecast(city_of(tmp_path, days=2, minutes=minutes), device="cpu")
    assert forecast.samples.shape == (100, 6, INTERVALS[minutes])
    assert np.isfinite(forecast.samples).all()
    assert forecast.samples.std(0).min() > 0
    assert forecast.notices[0] == BASE_NOTICE


@pytest.mark.parametrize(
    ("minutes", "nearest"),
    [(12, "10 and 15"), (45, "30 and 60"), (120, "30 and 60"), (2, "5 and 10"), (24 * 60, "30 and 60")],
)
def test_another_interval_is_refused_with_the_nearest_two(tmp_path: Path, minutes: int, nearest: str) -> None:
    with pytest.raises(UserError, match=f"the nearest it knows are {nearest} minutes") as refused:
        Forecaster.load(city_of(tmp_path, days=4, minutes=minutes), device="cpu")
    assert "\n" not in str(refused.value)


def test_less_than_two_days_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"it needs 2 days of traffic; there are 1\.9"):
        api.forecast(city_of(tmp_path, days=1.95, minutes=60))


def half_missing(traffic: pd.DataFrame) -> pd.DataFrame:
    return traffic.mask(np.random.default_rng(0).random(traffic.shape) < 0.5)


def zeros(traffic: pd.DataFrame) -> pd.DataFrame:
    return traffic * 0


def one_young_station(traffic: pd.DataFrame) -> pd.DataFrame:
    traffic.iloc[:-3, 0] = np.nan
    return traffic


@pytest.mark.parametrize("change", [half_missing, zeros])
@pytest.mark.parametrize("coordinates", ["true", "none"])
def test_poor_data_are_forecast(
    tmp_path: Path, change: Callable[[pd.DataFrame], pd.DataFrame], coordinates: str
) -> None:
    forecast = api.forecast(city_of(tmp_path, change=change, coordinates=coordinates), device="cpu")
    assert np.isfinite(forecast.samples).all()
    assert forecast.samples.min() >= 0


def test_a_city_of_one_station_is_forecast(tmp_path: Path) -> None:
    assert api.forecast(city_of(tmp_path, stations=1), device="cpu").samples.shape == (100, 1, 24)


def test_a_station_with_too_little_is_left_out_and_named(tmp_path: Path) -> None:
    forecast = api.forecast(city_of(tmp_path, change=one_young_station), device="cpu")
    assert forecast.left_out == ("S00",)
    assert len(forecast.station_ids) == 5


def test_a_station_alone_is_its_part_of_the_whole(tmp_path: Path) -> None:
    forecaster = Forecaster.load(city_of(tmp_path, stations=20), device="cpu")
    whole = forecaster.forecast()
    for name in ("S00", "S11"):
        expected = whole.station(name).samples
        alone = forecaster.forecast(stations=[name]).samples
        assert (np.abs(alone - expected) <= 1e-5 * expected.std(0)).all()


def test_stations_belong_together(tmp_path: Path) -> None:
    forecast = api.forecast(city_of(tmp_path, stations=20), samples=400, device="cpu")
    together = forecast.samples.sum(1).std(0).mean()
    apart = np.sqrt((forecast.samples.std(0) ** 2).sum(0)).mean()
    assert together > 1.2 * apart


def test_a_trained_model_takes_its_place_and_a_forecast_tells_what_made_it(little_city: City) -> None:
    assert api.forecast(little_city, device="cpu").source["model"] == "base"
    assert source_now(little_city, "base")["weights"] == base.sha256()
    with pytest.raises(UserError, match="no trained model here"):
        api.forecast(little_city, "lstm")


@pytest.mark.parametrize("name", ["base", "prior-only"])
def test_what_is_shipped_is_not_trained(little_city: City, name: str) -> None:
    with pytest.raises(UserError, match=r"nothing of .* is trained"):
        api.train(little_city, name)


@pytest.mark.parametrize(
    ("change", "told"),
    [({"format_version": 99}, "format 99"), ({"recipe": -1}, "recipe -1"), ({"all": None}, "cannot be read")],
)
def test_a_base_of_another_version_is_refused_in_one_line(tmp_path: Path, change: dict, told: str) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps(json.loads((base.folder() / base.FILE).read_text()) | change))
    with pytest.raises(UserError, match=told) as refused:
        base.read(file)
    assert "\n" not in str(refused.value)


def test_a_city_of_its_networks_gets_numbers_that_saw_nothing_of_it() -> None:
    towns = [f"BS-{number:03}" for number in range(1, 151)]
    assert base.network_of(towns) == "towns"
    assert base.network_of([f"X{number}" for number in range(10)]) is None
    assert base.network_of([*towns[:4], *"abcde"]) is None
    numbers, model = base.read().without["towns"], base.build(48, towns)
    np.testing.assert_allclose(model.tails.shape.numpy(), numbers.tails, rtol=1e-5)
    assert set(base.read().without) == set(base.read().networks)


@pytest.mark.parametrize("minutes", [5, 30, 60])
def test_five_days_are_enough_to_train_on_and_start_from_the_base(
    tmp_path: Path, minutes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lecdiff_core import training

    monkeypatch.setitem(training.RECIPES, "default", training.Recipe(epochs=1, steps=1, validation_samples=4))
    city = city_of(tmp_path, days=5, minutes=minutes, stations=3)
    metrics = api.train(city, device="cpu")
    assert metrics["start_crps"] > 0
    forecaster = Forecaster.load(city, device="cpu")
    assert np.isfinite(forecaster.forecast(samples=10).samples).all()
    numbers = base.read().all  # so few windows tell nothing of how stations hang together
    np.testing.assert_allclose(forecaster.model.tails.shape.numpy(), numbers.tails, rtol=1e-5)


def too_noisy(traffic: pd.DataFrame) -> pd.DataFrame:
    """Traffic that jumps from hour to hour as that of no network does that the base was read off."""
    return traffic * np.random.default_rng(0).choice([0.3, 1.0, 3.0], traffic.shape)


def test_it_follows_the_days_of_a_city(tmp_path: Path) -> None:
    forecaster = Forecaster.load(city_of(tmp_path, days=12, stations=20, change=too_noisy), device="cpu")
    whole = forecaster.forecast().station("S07").samples
    alone = forecaster.forecast(stations=["S07"]).samples
    assert (np.abs(alone - whole) <= 1e-5 * whole.std(0)).all()
    move = forecaster._calibration(forecaster.panel.steps)
    assert move is not None
    assert np.abs(move.places - DEVIATES).max() > 0.05


def test_what_came_after_an_origin_does_not_move_its_forecast(tmp_path: Path) -> None:
    city = city_of(tmp_path / "whole", days=9, stations=8, change=too_noisy)
    origin = city.traffic.index[7 * 24]
    cut = write_city(tmp_path / "cut", city.meta, city.stations, city.traffic.iloc[: 7 * 24])
    then, now = (Forecaster.load(one, device="cpu").forecast(origin) for one in (city, cut))
    np.testing.assert_allclose(then.samples, now.samples, rtol=1e-5)


def test_a_city_too_young_to_be_followed_is_left_as_it_is(tmp_path: Path) -> None:
    forecaster = Forecaster.load(city_of(tmp_path, days=2.5), device="cpu")
    assert forecaster._calibration(forecaster.panel.steps) is None


@pytest.mark.parametrize(("days", "of_base"), [(5, True), (20, False)])
def test_training_starts_from_the_season_of_the_base_where_the_city_is_too_young_to_tell_its_own(
    tmp_path: Path, days: int, of_base: bool
) -> None:
    panel = Panel.of(city_of(tmp_path, days=days))
    fitted, plain = base.build(24, panel.station_ids), LecDiff(LecDiffConfig(24))
    assert base.read().all.prior.keys() <= dict(plain.named_parameters()).keys()
    start = dict(build("lec-diff", panel, seed=0).named_parameters())
    for name in base.read().all.prior:
        expected = (fitted if of_base else plain).get_parameter(name)
        assert torch.equal(start[name], expected), name
    assert not torch.equal(fitted.get_parameter("season.kind"), plain.get_parameter("season.kind"))


def test_an_ablation_without_neighbours_starts_from_what_it_has_of_the_base(tmp_path: Path) -> None:
    panel = Panel.of(city_of(tmp_path, days=5))
    model = build("drop-sgf", panel, seed=0)
    expected = base.build(24, panel.station_ids)
    assert torch.equal(model.get_parameter("moments.gate"), expected.get_parameter("moments.gate"))
