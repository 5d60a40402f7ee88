"""The generator: the same town for the same seed, and traffic that follows from surroundings, neighbours and events."""

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lecdiff_core.city.folder import City
from lecdiff_core.demo import copy_demo_city, demo_city, generate_town
from lecdiff_core.demo.plan import CLASSES, Plan
from lecdiff_core.errors import UserError

STATIONS, DAYS = 150, 60


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("towns") / "town"
    generate_town(path, STATIONS, seed=11, days=DAYS, imagery=False)
    return path


@pytest.fixture(scope="module")
def city(folder: Path) -> City:
    return City.open(folder)


@pytest.fixture(scope="module")
def events(folder: Path) -> list[dict]:
    return json.loads((folder / "truth" / "events.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def land_use(folder: Path) -> pd.DataFrame:
    return pd.read_parquet(folder / "truth" / "land_use.parquet")


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_the_same_seed_gives_the_same_files_and_another_seed_another_town(tmp_path: Path) -> None:
    for name, seed in (("a", 2), ("b", 2), ("c", 3)):
        generate_town(tmp_path / name, 40, seed=seed, days=14, imagery=False)
    first, second, other = (files(tmp_path / name) for name in "abc")
    assert first == second
    assert all(first[name] != other[name] for name in first)


def test_city_says_what_it_is(city: City) -> None:
    assert "synthetic" in city.meta.name
    assert "Synthetic" in city.meta.attribution
    assert city.meta.generator is not None
    assert city.meta.coordinates == "true"
    assert len(city.station_ids) == STATIONS
    assert city.traffic.shape == (DAYS * 48, STATIONS)


def test_stations_stand_around_null_island_and_apart(city: City) -> None:
    xy = city.stations.to_crs(3857).geometry.get_coordinates().to_numpy()
    assert np.abs(xy).max() < 3500
    gap = np.hypot(*(xy[:, None] - xy[None]).T)
    np.fill_diagonal(gap, np.inf)
    assert gap.min() >= 89.0


@pytest.mark.parametrize("seed", range(6))
def test_every_land_use_has_its_stations(seed: int, tmp_path: Path) -> None:
    generate_town(tmp_path / "town", STATIONS, seed=seed, days=7, imagery=False)
    table = pd.read_parquet(tmp_path / "town" / "truth" / "land_use.parquet")
    counts = table["land_use"].value_counts()
    assert set(counts.index) == set(CLASSES)
    assert counts.min() >= 4
    assert np.allclose(table.filter(like="share of").sum(axis=1), 1.0, atol=1e-5)


def test_towns_differ_in_plan() -> None:
    grid = np.stack(np.meshgrid(np.arange(-3000, 3000, 100.0), np.arange(-3000, 3000, 100.0)), axis=-1).reshape(-1, 2)
    uses = [Plan(STATIONS, seed).classify(grid) for seed in range(4)]
    for i in range(4):
        for j in range(i):
            assert (uses[i] == uses[j]).mean() < 0.7


def test_missing_share_and_zeros(city: City, events: list[dict]) -> None:
    assert 0.005 < float(city.traffic.isna().to_numpy().mean()) < 0.03
    dead = np.zeros(city.traffic.shape, dtype=bool)
    for event in events:
        if event["kind"] == "outage":
            rows = (city.traffic.index >= event["start"]) & (city.traffic.index < event["end"])
            dead[rows, city.station_ids.index(event["stations"][0])] = True
    assert not ((city.traffic == 0).to_numpy() & ~dead).any()


def test_events_keep_out_of_validation_and_fill_the_last_fifth(city: City, events: list[dict]) -> None:
    index = city.traffic.index
    train, test = index[math.floor(0.7 * len(index)) - 1], index[math.floor(0.8 * len(index))]
    late = [e for e in events if pd.Timestamp(e["start"]) >= test]
    early = [e for e in events if pd.Timestamp(e["end"]) <= train + city.interval]
    assert len(late) + len(early) == len(events)
    assert len(late) >= 12
    assert {e["kind"] for e in late} == {"match", "concert", "outage", "road_closure"}
    assert len(early) >= 8
    holidays = {pd.Timestamp(day, tz="UTC") for day in city.meta.holidays}
    assert any(day <= train for day in holidays)
    assert any(day >= test for day in holidays)


def test_events_show_in_the_traffic(city: City, events: list[dict]) -> None:
    median = city.traffic.groupby([city.traffic.index.day_of_week, city.traffic.index.time]).transform("median")
    for event in events:
        station = event["stations"][0]
        rows = (city.traffic.index >= event["start"]) & (city.traffic.index < event["end"])
        ratio = float(city.traffic.loc[rows, station].sum() / median.loc[rows, station].sum())
        if event["kind"] == "outage":
            assert ratio < 0.1
        elif event["kind"] == "road_closure":
            assert ratio < 0.9
        else:
            assert ratio > 1.0
    magnitudes = [e["magnitude"] for e in events if e["kind"] in ("match", "concert")]
    assert 1.2 < min(magnitudes) < max(magnitudes) <= 4.01


def test_surroundings_shape_level_and_rhythm(city: City, land_use: pd.DataFrame) -> None:
    assert land_use["station_id"].tolist() == list(city.station_ids)
    mean = city.traffic.mean().to_numpy()
    day = city.traffic.index.day_of_week
    week_ratio = (city.traffic[day < 5].mean() / city.traffic[day >= 5].mean()).to_numpy()
    evening = city.traffic.between_time("19:00", "22:00").mean().to_numpy() / mean

    def of(name: str, values: np.ndarray) -> float:
        return float(np.median(values[(land_use["land_use"] == name).to_numpy()]))

    assert of("offices", week_ratio) > 1.4 * of("suburban housing", week_ratio)
    assert of("park", week_ratio) < of("industry", week_ratio)
    assert of("centre", mean) > 3 * of("farmland", mean)
    assert of("suburban housing", evening) > 1.3 * of("offices", evening)
    # What the environment explains: most of the logarithm of the level, not all of it.
    shares = land_use.filter(like="share of").to_numpy()
    design = np.column_stack([shares, np.ones(len(shares))])
    target = np.log(mean)
    fitted = design @ np.linalg.lstsq(design, target, rcond=None)[0]
    explained = 1 - np.var(target - fitted) / np.var(target)
    assert 0.5 < explained < 0.97


def test_neighbours_share_shocks(city: City) -> None:
    xy = city.stations.to_crs(3857).geometry.get_coordinates().to_numpy()
    log = np.log(city.traffic.to_numpy() + 1)
    days = log.reshape(DAYS, 48, -1)
    odd = (days - np.nanmedian(days, axis=0)).reshape(len(log), -1)
    odd = np.nan_to_num(odd - np.nanmean(odd, axis=1, keepdims=True))
    corr = np.corrcoef(odd.T)
    gap = np.hypot(*(xy[:, None] - xy[None]).T)
    near, far = (gap > 0) & (gap < 600), gap > 3000
    assert corr[near].mean() > corr[far].mean() + 0.08


def test_bad_requests_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="at least 1 station"):
        generate_town(tmp_path / "town", stations=0)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "note.txt").write_text("mine")
    with pytest.raises(UserError, match="already holds something"):
        generate_town(tmp_path / "full", imagery=False)
    with pytest.raises(UserError, match="already holds something"):
        copy_demo_city(tmp_path / "full")
    assert (tmp_path / "full" / "note.txt").read_text() == "mine"


def test_one_station_is_a_town(tmp_path: Path) -> None:
    city = generate_town(tmp_path / "town", stations=1, seed=1, days=7, imagery=False)
    assert city.traffic.shape == (7 * 48, 1)


def test_copy_of_the_demo_city_opens(tmp_path: Path) -> None:
    city = copy_demo_city(tmp_path / "demo")
    assert city.data_hash == City.open(demo_city()).data_hash


@pytest.mark.slow
def test_a_region_of_many_towns(tmp_path: Path) -> None:
    city = generate_town(tmp_path / "region", stations=2000, seed=1, days=14, imagery=False)
    assert len(city.station_ids) == 2000
    table = pd.read_parquet(tmp_path / "region" / "truth" / "land_use.parquet")
    assert set(table["land_use"]) == set(CLASSES)
