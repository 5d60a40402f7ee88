"""Panels, splits and windows."""

from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from lecdiff_core.city.folder import CityMeta, write_city
from lecdiff_core.city.graph import Graph
from lecdiff_core.city.panel import SUNDAY_OR_HOLIDAY, WEEKDAY, Calendar, Panel, metric_positions
from lecdiff_core.city.splits import origins_within, protocol_split, split_for_use, steps_apart, validation_folds
from lecdiff_core.city.windows import Windows
from lecdiff_core.errors import UserError
from tests.conftest import make_city


def test_protocol_split_is_cut_at_70_and_80_percent() -> None:
    split = protocol_split(1439)
    assert (split.train, split.validation, split.test) == (range(1007), range(1007, 1151), range(1151, 1439))


@pytest.mark.parametrize(
    ("steps", "per_day", "cut"),
    [(5 * 24, 24, 3 * 24), (20 * 24, 24, 18 * 24), (1000, 24, 900), (1439, 24, 1295), (60, 1, 54), (2880, 288, 2304)],
)
def test_a_training_for_use_leaves_the_last_tenth_or_two_days(steps: int, per_day: int, cut: int) -> None:
    split = split_for_use(steps, per_day)
    assert (split.train, split.validation, len(split.test)) == (range(cut), range(cut, steps), 0)


def test_a_day_of_few_steps_has_an_origin_at_each() -> None:
    assert [steps_apart(per_day, 4) for per_day in (288, 24, 6, 3, 1)] == [72, 6, 1, 1, 1]


def test_validation_folds_never_touch_the_last_fifth() -> None:
    folds = validation_folds(1000)
    assert len(folds) == 4
    for fold in folds:
        assert fold.train.stop == fold.validation.start
        assert fold.validation.stop == fold.test.start
        assert fold.test.stop <= 800


def test_origins_give_whole_windows_only() -> None:
    origins = origins_within(range(100, 160), horizon=24, every=6)
    assert list(origins) == [100, 106, 112, 118, 124, 130, 136]


def test_calendar_knows_holidays() -> None:
    clock = pd.date_range("2024-05-01", periods=48, freq="1h")
    calendar = Calendar.of(clock, 24, [date(2024, 5, 1)])
    assert set(calendar.day_type[:24].tolist()) == {SUNDAY_OR_HOLIDAY}
    assert set(calendar.day_type[24:].tolist()) == {WEEKDAY}
    assert calendar.slot.tolist() == list(range(24)) * 2


@pytest.fixture
def windows(tmp_path: Path) -> Windows:
    panel = Panel.of(make_city(tmp_path / "city", stations=3, days=10))
    return Windows(
        panel,
        Graph(torch.zeros(2, 0, dtype=torch.long), torch.zeros(0), len(panel.station_ids)),
        context=72,
        horizon=24,
    )


def test_a_window_is_what_lies_before_and_after_its_origin(windows: Windows) -> None:
    batch = windows.batch(np.array([100]))
    np.testing.assert_array_equal(batch.past[0], windows.panel.values[:, 28:100])
    np.testing.assert_array_equal(batch.future[0], windows.panel.values[:, 100:124])
    assert batch.past_calendar.slot[0, -1] == 3
    assert batch.future_calendar.slot[0, 0] == 4


def test_what_lies_before_the_data_is_missing(windows: Windows) -> None:
    past = windows.batch(np.array([10])).past
    assert past[:, :, :62].isnan().all()
    np.testing.assert_array_equal(past[0, :, 62:], windows.panel.values[:, :10])


def test_what_is_older_than_the_history_is_missing(windows: Windows) -> None:
    young = Windows(windows.panel, windows.graph, context=72, horizon=24, history=24)
    past = young.batch(np.array([100, 10])).past
    assert past[:, :, :48].isnan().all()
    np.testing.assert_array_equal(past[0, :, 48:], windows.panel.values[:, 76:100])
    np.testing.assert_array_equal(past[1, :, 62:], windows.panel.values[:, :10])


def test_stations_may_be_of_different_age(windows: Windows) -> None:
    ages = np.array([24] + [72] * (len(windows.panel.station_ids) - 1))
    young = Windows(windows.panel, windows.graph, context=72, horizon=24, history=ages)
    past = young.batch(np.array([100])).past[0]
    assert past[0, :48].isnan().all()
    np.testing.assert_array_equal(past[:, 48:], windows.panel.values[:, 76:100])
    np.testing.assert_array_equal(past[1:], windows.panel.values[1:, 28:100])


@pytest.mark.parametrize("origin", [0, -5, 241])
def test_an_origin_outside_the_data_is_refused(windows: Windows, origin: int) -> None:
    with pytest.raises(UserError, match="origin"):
        windows.batch(np.array([origin]))


def test_no_window_is_refused_by_name(windows: Windows) -> None:
    with pytest.raises(UserError, match="too short"):
        windows.batch(np.array([], dtype=int))


def test_positions_are_metres_even_across_the_date_line() -> None:
    positions = metric_positions(np.array([179.99, -179.99]), np.array([0.0, 0.0]))
    assert np.linalg.norm(positions[0] - positions[1]) == pytest.approx(0.02 * 111_320, rel=0.01)


@pytest.mark.parametrize(("start", "missing", "steps"), [("2024-03-30", 1, 72), ("2024-10-26", 0, 72)])
def test_clock_changes_keep_the_local_hour_in_its_place(tmp_path: Path, start: str, missing: int, steps: int) -> None:
    """The hour that does not exist is missing, the hour that comes twice is averaged: every day has 24 slots."""
    zone = "Europe/Rome"
    index = pd.date_range(
        start, pd.Timestamp(start) + pd.Timedelta(days=3), freq="1h", tz=zone, inclusive="left", name="timestamp"
    )
    values = np.asarray(index.hour, dtype=np.float32)[:, None].repeat(2, 1)
    template = make_city(tmp_path / "template", stations=2, days=10)
    traffic = pd.DataFrame(values, index=index, columns=list(template.station_ids))
    meta = CityMeta(name="Clock", timezone=zone, interval="1h", unit="MB")
    panel = Panel.of(write_city(tmp_path / "clock", meta, template.stations, traffic))
    assert panel.steps == steps
    assert int(np.isnan(panel.values[0]).sum()) == missing
    known = ~np.isnan(panel.values[0])
    np.testing.assert_array_equal(panel.values[0][known], np.asarray(panel.clock.hour)[known])
