"""Forecasts from a city folder and a saved model."""

import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lecdiff_core import api, training
from lecdiff_core.city.folder import City, write_city
from lecdiff_core.city.panel import Panel
from lecdiff_core.city.timeline import Timeline, moment
from lecdiff_core.errors import UserError
from lecdiff_core.forecast import Forecast, write_forecast
from lecdiff_core.forecaster import Forecaster
from tests.conftest import make_city


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> City:
    city = make_city(tmp_path_factory.mktemp("forecaster") / "city", stations=30)
    with pytest.MonkeyPatch.context() as patch:
        quick = training.Recipe(epochs=2, steps=3, validation_samples=8)
        patch.setitem(training.RECIPES, "default", quick)
        api.train(city, "lec-diff")
        api.train(city, "adaptive-climatology")
    return city


@pytest.fixture(scope="module")
def forecaster(city: City) -> Forecaster:
    return Forecaster.load(city, device="cpu")


def test_one_station_alone_is_its_part_of_the_whole(forecaster: Forecaster, city: City) -> None:
    whole = forecaster.forecast()
    assert whole.samples.shape == (100, 30, 24)
    for name in ("S00", "S17"):
        alone = forecaster.forecast(stations=[name])
        expected = whole.station(name).samples
        assert (np.abs(alone.samples - expected) <= 1e-5 * expected.std(0)).all()


def test_forecasts_begin_where_the_data_end(forecaster: Forecaster, city: City) -> None:
    last = city.traffic.index[-1]
    assert forecaster.forecast().timestamps[0] == last + pd.Timedelta("1h")
    assert forecaster.origins[-1] == last + pd.Timedelta("1h")


def test_the_seed_decides(forecaster: Forecaster) -> None:
    first, again, other = (forecaster.forecast(stations=["S01"], seed=seed).samples for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_what_came_after_the_origin_does_not_matter(forecaster: Forecaster, city: City, tmp_path: Path) -> None:
    import shutil

    origin = city.traffic.index[400]
    changed = city.traffic.copy()
    changed.iloc[400:] = 1e6
    other = write_city(tmp_path / "changed", city.meta, city.stations, changed)
    shutil.copytree(city.path / "models", other.path / "models")
    expected = forecaster.forecast(origin).samples
    np.testing.assert_array_equal(Forecaster.load(other, device="cpu").forecast(origin).samples, expected)


def test_forecasts_go_on_beyond_a_day(forecaster: Forecaster) -> None:
    long = forecaster.forecast(steps=60, samples=10, stations=["S03", "S05"])
    assert long.samples.shape == (10, 2, 60)
    short = forecaster.forecast(steps=24, samples=10, stations=["S03", "S05"])
    np.testing.assert_allclose(long.samples[:, :, :24], short.samples, rtol=1e-4)
    assert np.isfinite(long.samples).all()
    assert long.samples[:, :, 48:].std(0).mean() > 0


def test_a_shorter_forecast_is_the_beginning_of_a_longer_one(forecaster: Forecaster) -> None:
    np.testing.assert_array_equal(
        forecaster.forecast(steps=5, stations=["S03"]).samples,
        forecaster.forecast(stations=["S03"]).samples[:, :, :5],
    )


@pytest.mark.parametrize(
    ("origin", "message"),
    [
        ("2023-12-31 00:00", "choose a time from 2024-01-02 00:00 to 2024-01-25 00:00"),
        ("2024-01-01 05:00", "needs a day of traffic"),
        ("2024-01-25 01:00", "none is known after"),
        ("2024-01-10 00:30", "not the start of an interval"),
    ],
)
def test_origins_outside_the_data_are_refused(forecaster: Forecaster, origin: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        forecaster.forecast(pd.Timestamp(origin))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "from 1 to 336 steps"),
        ({"steps": 337}, "from 1 to 336 steps"),
        ({"samples": 1}, "at least 2 samples"),
        ({"stations": ["nowhere"]}, "no station 'nowhere'"),
    ],
)
def test_bad_requests_are_refused(forecaster: Forecaster, options: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        forecaster.forecast(**options)


@pytest.fixture(scope="module")
def quiet(city: City, tmp_path_factory: pytest.TempPathFactory) -> Forecaster:
    """The city with a station hardly known, one that is young, and two that report no more."""
    import shutil

    traffic = city.traffic.copy()
    traffic.loc[traffic.index[:-5], "S02"] = np.nan
    traffic.loc[traffic.index[: -3 * 24], "S03"] = np.nan
    traffic.loc[traffic.index[-2 * 24 :], ["S05", "S06"]] = np.nan
    traffic.loc[traffic.index[-4 * 24 :], "S06"] = np.nan
    other = write_city(tmp_path_factory.mktemp("quiet") / "city", city.meta, city.stations, traffic)
    shutil.copytree(city.path / "models", other.path / "models")
    return Forecaster.load(other, "adaptive-climatology")


def test_a_forecast_names_who_is_left_out_silent_or_young(quiet: Forecaster) -> None:
    whole = quiet.forecast()
    assert "S02" not in whole.station_ids and whole.left_out == ("S02",)
    assert whole.notices == (
        "1 station is left out (S02): half a day of traffic in the 57 days before is the least",
        "2 stations are silent, though others report: S06 since 2024-01-21 00:00, S05 since 2024-01-23 00:00",
        "1 station is young, first observed less than 7 days before: S03",
    )
    assert tuple(quiet.notices()) == whole.notices
    assert quiet.forecast(stations=["S01"]).notices == ()
    assert quiet.forecast(stations=["S05"]).notices[0].startswith("1 station is silent")
    earlier = quiet.forecast(pd.Timestamp("2024-01-20"))
    assert earlier.left_out == ("S02", "S03") and len(earlier.notices) == 1


def test_nothing_to_forecast_is_refused_by_name(quiet: Forecaster) -> None:
    with pytest.raises(UserError, match="station 'S02' has too little history before 2024-01-25 00:00: half a day"):
        quiet.forecast(stations=["S02"])
    with pytest.raises(UserError, match=r"none of 2 stations \(S02, S03\) has enough history before 2024-01-20"):
        quiet.forecast(pd.Timestamp("2024-01-20"), stations=["S03", "S02"])
    assert quiet.forecast(stations=["S02", "S01"]).left_out == ("S02",)


def test_an_unknown_station_is_told_with_those_most_like_it(forecaster: Forecaster) -> None:
    with pytest.raises(UserError, match="no station 's01'; most like 's01': 'S01'"):
        forecaster.forecast(stations=["s01", "S02"])
    with pytest.raises(UserError, match="no stations 'S99', 'X'; most like 'S99'"):
        forecaster.forecast(stations=["S99", "X"])


def test_few_stations_are_the_same_on_any_number_of_threads(forecaster: Forecaster) -> None:
    import torch

    usual, found = torch.get_num_threads(), []
    for threads in (1, 3):
        torch.set_num_threads(threads)
        found.append(forecaster.forecast(stations=["S03", "S04"]).samples)
        assert torch.get_num_threads() == threads
    torch.set_num_threads(usual)
    np.testing.assert_array_equal(*found)


def test_a_long_forecast_tells_how_far_it_is(forecaster: Forecaster) -> None:
    told: list[tuple[float, float]] = []
    forecaster.forecast(steps=60, samples=4, stations=["S03"], report=lambda done, total, _: told.append((done, total)))
    assert told == [(0, 3), (1, 3), (2, 3), (3, 3)]


def test_many_threads_get_the_same_forecast(forecaster: Forecaster) -> None:
    found: list[np.ndarray] = []
    threads = [
        threading.Thread(target=lambda: found.append(forecaster.forecast(stations=["S04"]).samples)) for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 6
    assert all(np.array_equal(found[0], other) for other in found)


def test_the_table_has_the_promised_columns(forecaster: Forecaster, tmp_path: Path) -> None:
    drawn = forecaster.forecast(stations=["S04", "S01"], samples=20)
    assert drawn.station_ids == ("S01", "S04")
    table = drawn.to_frame()
    assert list(table) == ["station_id", "timestamp", "mean", "q05", "q25", "q50", "q75", "q95"]
    assert len(table) == 48
    assert (table.q05 <= table.q25).all()
    assert (table.q75 <= table.q95).all()
    for suffix in (".parquet", ".csv"):
        file = tmp_path / f"forecast{suffix}"
        write_forecast(drawn, file, keep_samples=True)
        read = pd.read_parquet(file) if suffix == ".parquet" else pd.read_csv(file)
        assert [name for name in read if name.startswith("sample_")] == [f"sample_{index}" for index in range(20)]
        np.testing.assert_allclose(read["mean"], table["mean"], rtol=1e-5)
    with pytest.raises(UserError, match=r"\.parquet or \.csv"):
        write_forecast(drawn, tmp_path / "forecast.xls")


def test_a_forecast_is_checked_for_shape() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        Forecast(("a",), pd.date_range("2024-01-01", periods=3, freq="1h"), np.zeros((5, 2, 3)))


def at_the_clock_change(
    tmp_path: Path, zone: str, start: str, end: str, interval: str = "1h", model: str = "seasonal-naive"
) -> Forecaster:
    """A model on a city whose traffic is the local hour, from `start` to `end`."""
    template = make_city(tmp_path / "template", stations=3, days=24)
    meta = template.meta.model_copy(update={"timezone": zone, "interval": interval})
    timeline = Timeline(zone, pd.Timedelta(interval) // pd.Timedelta("1us"), 0)
    index = timeline.starting(pd.Timestamp(start, tz=zone), 30 * pd.Timedelta("24h") // pd.Timedelta(interval))
    index = index[index < pd.Timestamp(end).tz_localize(zone, nonexistent="shift_forward")]
    level = (10 + index.hour.to_numpy()) * timeline.shares(index)
    values = np.repeat(level[:, None], 3, axis=1) + np.random.default_rng(0).uniform(0, 1, (len(index), 3))
    city = write_city(tmp_path / "city", meta, template.stations, pd.DataFrame(values, index, template.traffic.columns))
    api.train(city, model)
    return Forecaster.load(city, model, device="cpu")


def test_the_hour_that_the_clocks_skip_is_not_forecast(tmp_path: Path) -> None:
    forecaster = at_the_clock_change(tmp_path, "Europe/Rome", "2024-03-07", "2024-03-31 02:00")
    for steps in (1, 3, 24):
        drawn = forecaster.forecast(steps=steps)
        assert drawn.samples.shape[2] == len(drawn.timestamps) == steps
        assert drawn.timestamps[0].isoformat() == "2024-03-31T03:00:00+02:00"
    day = forecaster.forecast("2024-03-31")
    assert day.timestamps.hour.tolist() == [0, 1, *range(3, 24), 0]
    np.testing.assert_allclose(day.mean[0], 10 + day.timestamps.hour, atol=1.5)


def test_the_hour_that_comes_twice_is_forecast_twice(tmp_path: Path) -> None:
    forecaster = at_the_clock_change(tmp_path, "Europe/Rome", "2024-10-05", "2024-10-30")
    drawn = forecaster.forecast("2024-10-27")
    assert drawn.timestamps.hour.tolist() == [0, 1, 2, 2, *range(3, 23)]
    assert (np.diff(drawn.timestamps) == pd.Timedelta("1h")).all()
    np.testing.assert_array_equal(drawn.samples[:, :, 2], drawn.samples[:, :, 3])
    second = forecaster.forecast("2024-10-27T02:00+01:00", steps=2)
    assert second.timestamps.hour.tolist() == [2, 3]


def test_within_an_hour_that_comes_twice_its_second_pass_is_not_known(tmp_path: Path) -> None:
    forecaster = at_the_clock_change(tmp_path, "Europe/Rome", "2024-10-10", "2024-10-30", "30min")
    origin = pd.Timestamp("2024-10-27T02:30+02:00")
    expected = forecaster.forecast(origin, steps=4)
    assert [time.isoformat()[11:] for time in expected.timestamps[:2]] == ["02:30:00+02:00", "02:00:00+01:00"]
    changed = forecaster.city.traffic.copy()
    changed.loc[origin:] = 1e6
    other = write_city(tmp_path / "changed", forecaster.city.meta, forecaster.city.stations, changed)
    known = Forecaster(other, Panel.of(other), forecaster.model, forecaster.config, forecaster.device)
    np.testing.assert_array_equal(known.forecast(origin, steps=4).samples, expected.samples)


@pytest.mark.parametrize(
    ("zone", "start", "change", "interval"),
    [
        ("Europe/Rome", "2024-03-11", "2024-03-31", "2h"),
        ("Europe/Rome", "2024-10-07", "2024-10-27", "6h"),
        ("Australia/Lord_Howe", "2024-03-18", "2024-04-07", "1h"),
        ("Asia/Beirut", "2024-03-11", "2024-03-31", "1h"),
        ("America/Santiago", "2024-08-19", "2024-09-08", "2h"),
    ],
)
def test_intervals_longer_than_the_change_go_on_after_it(
    tmp_path: Path, zone: str, start: str, change: str, interval: str
) -> None:
    end = pd.Timestamp(change) + pd.Timedelta("4D")
    forecaster = at_the_clock_change(tmp_path, zone, start, str(end), interval, "adaptive-climatology")
    assert np.isfinite(forecaster.panel.values[:, -3 * forecaster.panel.steps_per_day :]).all()
    drawn = forecaster.forecast()
    assert drawn.timestamps[0] == end.tz_localize(zone)
    assert len(set(drawn.timestamps.normalize())) == 1
    low, high = drawn.interval(0.9)
    assert (high > low).all()
    over = forecaster.forecast(change)
    shares = forecaster.city.timeline.shares(over.timestamps)
    np.testing.assert_allclose(over.mean[0], (10 + over.timestamps.hour) * shares, atol=3)


@pytest.mark.parametrize(
    ("start", "message"),
    [
        ("04/05/2024", r"--start 04/05/2024: this is no time in Europe/Rome; write it like 2013-11-25T06:00\+01:00"),
        ("2024-13-01", "this is no time"),
        ("tomorrow", "this is no time"),
        ("2024-03-31T02:30", "the clocks of Europe/Rome skip this time"),
        ("2024-10-27T02:00", r"comes twice .* write 2024-10-27T02:00\+02:00 or 2024-10-27T02:00\+01:00"),
        (pd.NaT, "this is no time"),
    ],
)
def test_a_time_asked_for_means_one_instant(start: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        moment(start, "Europe/Rome", "--start")


def test_times_asked_for_are_iso_8601() -> None:
    assert moment("2024-09-08", "America/Santiago", "--start").isoformat() == "2024-09-08T01:00:00-03:00"
    for text in ("2024-03-04T06:00+01:00", "2024-03-04 06:00", "20240304T050000Z", "2024-03-04T06"):
        assert moment(text, "Europe/Rome", "--start") == pd.Timestamp("2024-03-04 06:00", tz="Europe/Rome")
