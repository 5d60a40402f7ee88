"""Places without history by the protocol: folds, no look at a station's own past, names, what is kept."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lecdiff_core.api import benchmark
from lecdiff_core.city.folder import City
from lecdiff_core.city.splits import protocol_split
from lecdiff_core.errors import UserError
from lecdiff_core.evaluation.backtest import Run
from lecdiff_core.evaluation.unseen import DEFAULT, Told, Unseen, Window, tiles
from lecdiff_core.models.names import CITY_MEAN, NEAREST, OURS, WITH_IMAGE, WITHOUT_SURROUNDINGS
from lecdiff_core.sites.known_days import KnownDays
from tests.conftest import make_city


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> City:
    return make_city(tmp_path_factory.mktemp("unseen") / "city", stations=24)


def test_each_station_is_unknown_once_in_blocks_that_the_seed_deals(city: City) -> None:
    unseen = Unseen(city)
    folds = unseen.folds(0)
    np.testing.assert_array_equal(np.sort(np.concatenate(folds)), np.arange(24))
    assert [fold.tolist() for fold in folds] == [fold.tolist() for fold in unseen.folds(0)]
    assert [fold.tolist() for fold in folds] != [fold.tolist() for fold in unseen.folds(1)]
    tile = tiles(unseen.panel.positions)
    for fold in folds:  # a tile is whole in one fold
        assert not set(tile[fold]) & set(np.delete(tile, fold))


def test_tiles_hold_equally_many() -> None:
    assert np.bincount(tiles(np.random.default_rng(0).uniform(size=(160, 2)))).tolist() == [10] * 16


def test_a_file_of_results(city: City, tmp_path: Path) -> None:
    out = tmp_path / "sites.json"
    document = benchmark(city, out, models=[WITHOUT_SURROUNDINGS, CITY_MEAN, NEAREST], seeds=1, history_hours=0)
    rows = {row["model"]: row for row in json.loads(out.read_text())["results"]}
    assert set(rows) == {WITHOUT_SURROUNDINGS, CITY_MEAN, NEAREST}
    for row in rows.values():
        assert row["history_hours"] == 0
        assert row["step"]["scored"] > row["day_total"]["scored"] > 0
        assert {"level_error", "profile_error", "day_peak", "coverage_90"} <= set(row)
        assert "area_all" not in row
        assert len(row["ncrps_by_station"]) == 24
    before = out.read_bytes()
    again = benchmark(city, out, models=[CITY_MEAN], seeds=1, history_hours=0)
    assert out.read_bytes() == before
    assert len(again["results"]) == len(document["results"]) == 3


def test_the_own_past_of_a_station_is_never_seen(city: City) -> None:
    """Other values of a fold's stations before the origin change nothing that is forecast for them."""
    run = Run(WITHOUT_SURROUNDINGS, 0, "test", 0.2, False, 0)
    told = Unseen(city)
    (fold,) = told.folds(0, 0.2)
    samples, level = _told(told, run, fold)
    other = Unseen(city)
    values = other.panel.values.copy()
    values[fold] = 1e4
    other.panel = replace(other.panel, values=values)
    other.days = KnownDays(other.panel)
    changed, changed_level = _told(other, run, fold)
    np.testing.assert_array_equal(samples[:, fold], changed[:, fold])
    np.testing.assert_array_equal(level[fold], changed_level[fold])


def _told(unseen: Unseen, run: Run, fold: np.ndarray) -> Told:
    steps = unseen.panel.steps_per_day
    told = Told.nothing(len(unseen.panel.station_ids), steps)
    split = protocol_split(unseen.panel.steps)
    unseen._tell(Window(run, split, 20 * steps, 20 * steps), 0, fold, {}, told)
    return told


def test_the_default_rows_are_those_that_the_city_can_give(city: City) -> None:
    unseen = Unseen(city)
    assert unseen.chosen(None) == (WITHOUT_SURROUNDINGS, CITY_MEAN, NEAREST)
    assert set(unseen.chosen(("all",))) <= {*DEFAULT, WITH_IMAGE}


@pytest.mark.parametrize(
    ("models", "told"), [(["climatology"], "needs history"), ([OURS], "lecdiff embed"), ([WITH_IMAGE], "lecdiff embed")]
)
def test_models_that_cannot_be_measured_are_named(city: City, tmp_path: Path, models: list[str], told: str) -> None:
    with pytest.raises(UserError, match=told):
        benchmark(city, tmp_path / "x.json", models=models, history_hours=0)
