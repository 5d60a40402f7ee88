"""Forecasts from a city folder and a saved model."""

import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lecdiff_core import jobs, training
from lecdiff_core.city.folder import City, write_city
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
        jobs.train(city, "lec-diff")
        jobs.train(city, "adaptive-climatology")
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


def test_a_station_with_too_little_history_is_refused_by_name_and_left_out_of_the_whole(
    city: City, tmp_path: Path
) -> None:
    import shutil

    traffic = city.traffic.copy()
    traffic.loc[traffic.index[:-5], "S02"] = np.nan
    other = write_city(tmp_path / "quiet", city.meta, city.stations, traffic)
    shutil.copytree(city.path / "models", other.path / "models")
    forecaster = Forecaster.load(other, "adaptive-climatology")
    with pytest.raises(UserError, match="'S02' has too little history"):
        forecaster.forecast(stations=["S02"])
    assert "S02" not in forecaster.forecast().station_ids


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
    table = drawn.table()
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


def test_hours_that_a_clock_change_takes_away_are_not_forecast(tmp_path: Path) -> None:
    template = make_city(tmp_path / "template", stations=3, days=24)
    zone = "Europe/Rome"
    index = pd.date_range("2024-03-07", periods=len(template.traffic), freq="1h", tz=zone, name="timestamp")
    traffic = template.traffic.set_axis(index, axis=0)
    city = write_city(
        tmp_path / "rome", template.meta.model_copy(update={"timezone": zone}), template.stations, traffic
    )
    jobs.train(city, "seasonal-naive")
    forecaster = Forecaster.load(city, "seasonal-naive")
    drawn = forecaster.forecast(pd.Timestamp("2024-03-31 00:00", tz=zone))
    assert drawn.samples.shape[2] == len(drawn.timestamps) == 23
    assert 2 not in drawn.timestamps.hour
