"""Congestion: probabilities are shares of sampled futures, and stand-ins for capacities look only back."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lecdiff_core.congestion import at_once, congestion, given_capacities, usual_capacities
from lecdiff_core.errors import UserError
from lecdiff_core.forecast import Forecast


def made_up(stations: int = 4, steps: int = 6, samples: int = 50, seed: int = 0) -> Forecast:
    drawn = np.random.default_rng(seed).gamma(4, 25, (samples, stations, steps)).astype(np.float32)
    times = pd.date_range("2024-05-01", periods=steps, freq="1h", tz="Europe/Rome")
    return Forecast(tuple(f"S{index}" for index in range(stations)), times, drawn)


def test_by_hand():
    paths = np.array([[[1, 5, 2]], [[1, 2, 2]], [[1, 5, 9]], [[1, 1, 1]]], dtype=np.float32)
    times = pd.date_range("2024-05-01", periods=3, freq="1h", tz="UTC")
    table = congestion(Forecast(("A",), times, paths), np.array([4.0]))
    row = table.iloc[0]
    assert row["probability"] == 0.5 and row["steps"] == pytest.approx(0.75)
    assert row["likeliest"] == times[1] and row["peak"] == pytest.approx(3.5)


@settings(deadline=None, max_examples=40)
@given(st.floats(0, 400), st.floats(0, 400), st.integers(0, 5))
def test_a_higher_capacity_is_never_exceeded_more_likely(one, other, seed):
    forecast = made_up(seed=seed)
    low, high = sorted((one, other))
    table = [congestion(forecast, np.full(4, limit)).set_index("station_id")["probability"] for limit in (low, high)]
    assert (table[0] >= table[1][table[0].index]).all()


def test_extremes_and_stations_without_capacity():
    table = congestion(made_up(), np.array([0.0, np.inf, np.nan, 100.0])).set_index("station_id")
    assert table.loc["S0", "probability"] == 1 and table.index[0] == "S0"
    assert np.isnan(table.loc["S1", "probability"]) and np.isnan(table.loc["S2", "probability"])
    none = congestion(made_up(), np.full(4, 1e9))
    assert (none["probability"] == 0).all() and none["likeliest"].isna().all()


def test_a_day_is_exceeded_by_paths_not_by_steps():
    """Two futures that exceed at different steps are two of four, though no step is exceeded by more than one."""
    paths = np.array([[[9, 1]], [[1, 9]], [[1, 1]], [[1, 1]]], dtype=np.float32)
    times = pd.date_range("2024-05-01", periods=2, freq="1h", tz="UTC")
    assert congestion(Forecast(("A",), times, paths), np.array([4.0]))["probability"].tolist() == [0.5]


def test_stations_congested_at_once_are_counted_in_each_future():
    together = np.array([[[9, 1], [9, 1]], [[1, 1], [1, 1]]], dtype=np.float32)
    apart = np.array([[[9, 1], [1, 1]], [[1, 1], [9, 1]]], dtype=np.float32)
    times = pd.date_range("2024-05-01", periods=2, freq="1h", tz="UTC")
    limits = np.array([4.0, 4.0])
    most = [at_once(Forecast(("A", "B"), times, paths), limits).max(1).tolist() for paths in (together, apart)]
    assert most == [[2, 0], [1, 1]]
    assert at_once(Forecast(("A", "B"), times, together), np.array([4.0, np.nan])).max() == 1


def test_counts_of_blocks_add_up():
    forecast, limits = made_up(), np.array([90.0, 100.0, 110.0, np.nan])
    blocks = [
        at_once(Forecast(forecast.station_ids[part], forecast.timestamps, forecast.samples[:, part]), limits[part])
        for part in (slice(0, 1), slice(1, 4))
    ]
    np.testing.assert_array_equal(sum(blocks), at_once(forecast, limits))


def test_as_many_capacities_as_stations():
    with pytest.raises(UserError, match="4 stations need as many capacities"):
        congestion(made_up(), np.zeros(3))


def test_stand_ins_look_only_back(little_city):
    before = little_city.traffic.index[200]
    usual = usual_capacities(little_city, before, [0.99, 0.5])
    later = little_city.traffic.to_numpy().copy()
    later[200:] *= 50
    little_city.traffic = pd.DataFrame(later, little_city.traffic.index, little_city.traffic.columns)
    np.testing.assert_array_equal(usual_capacities(little_city, before, [0.99, 0.5]), usual)
    some = little_city.station_ids[3:5]
    np.testing.assert_allclose(usual_capacities(little_city, before, [0.5], some), usual[1:, 3:5], rtol=1e-6)
    past = little_city.traffic.iloc[:200].to_numpy()
    assert np.all((past <= usual[0]).sum(0) / np.isfinite(past).sum(0) >= 0.97)
    with pytest.raises(UserError, match=r"between 0 and 1, not 1\.5"):
        usual_capacities(little_city, before, [0.5, 1.5])


def test_given_capacities_are_read_as_numbers(little_city):
    assert np.isnan(given_capacities(little_city)).all()
    little_city.stations["capacity"] = ["12", None, "many", *[3.5] * 9]
    assert given_capacities(little_city)[[0, 3]].tolist() == [12.0, 3.5]
    assert np.isnan(given_capacities(little_city)[[1, 2]]).all()
