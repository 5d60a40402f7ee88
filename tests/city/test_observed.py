"""Who is silent, who is young, and when nothing was recorded."""

import numpy as np
import pandas as pd

from lecdiff_core.city.folder import write_city
from lecdiff_core.city.observed import gaps, silent_since, young
from lecdiff_core.city.summary import summarise
from tests.conftest import make_city

DAY = 24
NAN = np.nan


def some_values() -> np.ndarray:
    """Ten days of five stations: whole, silent for two days, for an hour less than one, young, never heard."""
    values = np.ones((5, 10 * DAY))
    values[1, 8 * DAY :] = NAN
    values[2, 9 * DAY + 1 :] = NAN
    values[3, : 4 * DAY] = NAN
    values[4] = NAN
    return values


def test_silence_and_youth_go_by_whole_days() -> None:
    values = some_values()
    assert silent_since(values, DAY) == {1: 8 * DAY}
    assert young(values, DAY).tolist() == [3]
    values[0, 7 * DAY :] = NAN
    assert list(silent_since(values, DAY)) == [0, 1]


def test_a_gap_is_of_all_stations() -> None:
    values = some_values()
    assert gaps(values, DAY) == []
    values[:, 3 * DAY : 4 * DAY] = NAN
    values[:, 6 * DAY : 7 * DAY - 1] = NAN
    assert gaps(values, DAY) == [(3 * DAY, 4 * DAY)]


def test_info_names_who_is_not_heard(tmp_path) -> None:
    city = make_city(tmp_path / "city", stations=6)
    traffic = city.traffic.copy()
    traffic.iloc[-3 * DAY :, 1] = NAN
    traffic.iloc[: -2 * DAY, 2] = NAN
    traffic.iloc[5 * DAY : 7 * DAY] = NAN
    summary = summarise(write_city(tmp_path / "quiet", city.meta, city.stations, traffic))
    assert summary.silent == {"S01": traffic.index[-3 * DAY]} and summary.young == ["S02"]
    assert summary.gaps == [(traffic.index[5 * DAY], traffic.index[7 * DAY])]
    told = "\n".join(summary.lines())
    assert "1 station is silent, though others report: S01 since 2024-01-22 00:00" in told
    assert "1 station is young, first observed less than 7 days before: S02" in told
    assert "no station was observed for a day or more: 2024-01-06 00:00 to 2024-01-08 00:00" in told
    assert pd.Timestamp(summary.model_dump(mode="json")["silent"]["S01"]) == traffic.index[-3 * DAY]
