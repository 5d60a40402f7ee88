"""Cities from DataFrames: every form gives the same city, and what is wrong is said of the frame."""

import gc
import warnings
from datetime import timedelta, timezone
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest

from lecdiff_core import City, Forecaster, UserError, train

TIMES = pd.date_range("2024-03-01", periods=72, freq="1h", tz="Europe/Rome")
WIDE = pd.DataFrame({"A": 5.0 + np.arange(72) % 24, "B": 9.0}, index=TIMES)
LONG = WIDE.rename_axis("timestamp").reset_index().melt("timestamp", var_name="station_id", value_name="traffic")
STATIONS = pd.DataFrame({"station_id": ["A", "B"], "lon": [9.1, 9.2], "lat": [45.4, 45.5]})
POINTS = gpd.GeoDataFrame(STATIONS[["station_id"]], geometry=gpd.points_from_xy(STATIONS.lon, STATIONS.lat), crs=4326)


@pytest.mark.parametrize(
    ("traffic", "options"),
    [
        (WIDE, {}),
        (WIDE.rename_axis("timestamp").reset_index(), {}),
        (LONG, {}),
        (LONG.sample(frac=1, random_state=0), {}),
        (WIDE.tz_localize(None), {"timezone": "Europe/Rome"}),
        (WIDE.tz_convert("UTC"), {"timezone": "Europe/Rome"}),
        (LONG.drop(index=3), {}),
    ],
    ids=["wide", "wide with a column of times", "long", "any order", "no zone", "another zone", "a reading absent"],
)
def test_every_form_of_traffic_gives_the_same_city(traffic: pd.DataFrame, options: dict[str, Any]) -> None:
    city = City.from_frames(traffic, **options)
    expected = WIDE.astype(np.float32)
    if len(traffic) == len(LONG) - 1:
        expected.loc[TIMES[3], "A"] = np.nan
    pd.testing.assert_frame_equal(city.traffic, expected, check_names=False, check_freq=False, check_column_type=False)
    assert (city.meta.interval, city.meta.timezone, city.meta.coordinates) == ("1h", "Europe/Rome", "none")


@pytest.mark.parametrize(
    "stations",
    [STATIONS, STATIONS.iloc[::-1], POINTS, POINTS.to_crs(32632), POINTS.set_crs(None, allow_override=True)],
    ids=["lon and lat", "any order", "points", "points in metres", "points without a system"],
)
def test_every_form_of_places_gives_the_same_city(stations: pd.DataFrame) -> None:
    city = City.from_frames(LONG, stations)
    assert city.has_true_places
    places = city.stations.set_index("station_id").get_coordinates()
    np.testing.assert_allclose(places.loc[["A", "B"]], STATIONS[["lon", "lat"]], atol=1e-7)


def test_further_columns_and_ids_stay_as_they_are() -> None:
    stations = STATIONS.assign(station_id=["007", "B"], height=[30.5, None], indoor=[True, False], capacity=[9, 8])
    city = City.from_frames(WIDE.rename(columns={"A": "007"}), stations)
    kept = city.stations.set_index("station_id")
    assert kept.loc["007", "height"] == 30.5
    assert kept["indoor"].tolist() == [True, False]
    assert kept["capacity"].tolist() == [9, 8]


def test_numbers_are_ids_too() -> None:
    city = City.from_frames(WIDE.rename(columns={"A": 1, "B": 2}), STATIONS.assign(station_id=[1, 2]))
    assert city.station_ids == ("1", "2")


def test_readings_are_summed_into_the_interval() -> None:
    city = City.from_frames(WIDE, interval="2h", unit="MB", holidays=[TIMES[0].date()])
    assert city.traffic["B"].tolist() == [18.0] * 36
    assert (city.meta.unit, city.meta.holidays) == ("MB", [TIMES[0].date()])


MISTAKES: dict[str, tuple[Any, Any, dict[str, Any], str]] = {
    "no frame": (WIDE["A"], None, {}, "traffic is no DataFrame but a Series"),
    "no times": (
        WIDE.reset_index(drop=True),
        None,
        {},
        "neither times as its index nor a column timestamp; it has A, B",
    ),
    "times are texts": (LONG.astype({"timestamp": str}), None, {}, "column timestamp: these are no times"),
    "times twice": (WIDE.assign(timestamp=TIMES), None, {}, "as its index and as a column timestamp"),
    "no zone": (WIDE.tz_localize(None), None, {}, "no time zone; say timezone='Europe/Rome'"),
    "an offset alone": (WIDE.tz_convert(timezone(timedelta(hours=1))), None, {}, "have an offset, UTC\\+01:00"),
    "unknown zone": (WIDE, None, {"timezone": "Mars/Base"}, "'Mars/Base' is not a time zone name"),
    "one time": (WIDE.iloc[:1], None, {}, "fewer than two times"),
    "irregular": (
        WIDE.set_axis(TIMES[:-1].append(TIMES[-1:] + pd.Timedelta("17min"))),
        None,
        {},
        "^traffic, row 72: .* is irregular: .* use the timezone in which they are counted$",
    ),
    "too fine": (WIDE, None, {"interval": "30min"}, "^traffic, row 1: .* use interval='1h'$"),
    "no division of the day": (WIDE, None, {"interval": "7min"}, "'7min' must be .* divide 24 hours"),
    "no stations": (WIDE[[]], None, {}, "no column beside its times"),
    "a column twice": (WIDE.set_axis(["A", "A"], axis=1), None, {}, "more than one column A"),
    "no readings": (LONG.drop(columns="traffic"), None, {}, "there is no traffic$"),
    "no id": (
        LONG.assign(station_id=LONG["station_id"].where(LONG.index > 0)),
        None,
        {},
        "^traffic, row 1, column station_id",
    ),
    "readings twice": (
        pd.concat([LONG, LONG.iloc[:1]]),
        None,
        {},
        "^traffic, row 145: station A already has a reading for .* in traffic, row 1; .* use on_duplicate='sum' or last$",
    ),
    "negative": (-WIDE, None, {}, "^traffic, row 1, column A: the value is negative .* is missing$"),
    "infinite": (WIDE.assign(B=np.inf), None, {}, "^traffic, row 1, column B: the value is infinite"),
    "a text": (
        WIDE.astype(object).assign(B="x"),
        None,
        {},
        "^traffic, row 1, column B: 'x' is not a number; correct it$",
    ),
    "mixed": (WIDE.assign(B=[[1.0], "x"] * 36), None, {}, "^traffic: .*column B"),
    "unknown station": (LONG, STATIONS.iloc[:1], {}, "^traffic: .* has no station: B; .* with on_unknown='drop'$"),
    "no column of ids": (WIDE, STATIONS.drop(columns="station_id"), {}, "^stations: there is no column station_id"),
    "no places": (WIDE, STATIONS.drop(columns="lat"), {}, "^stations: there is no column lat"),
    "not on Earth": (WIDE, STATIONS.assign(lat=[100.0, 45.0]), {}, "^stations, row 1, .* is not on Earth"),
    "no point": (WIDE, POINTS.set_geometry(POINTS.to_crs(32632).buffer(9)), {}, "^stations: A is a Polygon"),
    "places unsaid": (WIDE, None, {"coordinates": "true"}, "give their places with stations"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_said_of_the_frame(name: str) -> None:
    traffic, stations, options, said = MISTAKES[name]
    with pytest.raises(UserError, match=said) as mistake:
        City.from_frames(traffic, stations, **options)
    assert "lecdiff-" not in str(mistake.value)
    assert "--" not in str(mistake.value)


def test_what_may_be_dropped_or_summed_is() -> None:
    twice = pd.concat([LONG, LONG.iloc[:1]])
    assert City.from_frames(twice, on_duplicate="sum").traffic["A"].iloc[0] == 10
    assert City.from_frames(LONG, STATIONS.iloc[:1], on_unknown="drop").station_ids == ("A",)


def test_a_station_without_traffic_is_named() -> None:
    with pytest.warns(UserWarning, match=r"left out: 1 \(B\)"):
        assert City.from_frames(WIDE.assign(B=np.nan, C=4.0)).station_ids == ("A", "C")


def test_nothing_is_said_of_an_ordinary_city() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        City.from_frames(WIDE, STATIONS)


def test_a_temporary_folder_goes_with_the_city(tmp_path: Any) -> None:
    city = City.from_frames(WIDE)
    path = city.path
    assert path.is_dir()
    del city
    gc.collect()
    assert not path.exists()
    assert City.open(str(City.from_frames(WIDE, folder=str(tmp_path / "kept")).path)).station_ids == ("A", "B")


def test_a_model_is_trained_on_it_and_loaded() -> None:
    times = pd.date_range("2024-03-01", periods=24 * 8, freq="1h", tz="UTC")
    city = City.from_frames(pd.DataFrame({"A": 9.0 + 5 * np.sin(np.arange(len(times)) * np.pi / 12)}, index=times))
    train(city, "adaptive-climatology", device="cpu")
    forecast = Forecaster.load(city, "adaptive-climatology", "cpu").forecast(samples=20)
    assert forecast.samples.shape == (20, 1, 24)
    assert len(forecast.to_frame(keep_samples=True).columns) == 8 + 20


def test_too_little_for_the_base_model() -> None:
    with pytest.raises(UserError, match="it needs 2 days of traffic"):
        Forecaster.for_frames(WIDE.iloc[:30])
