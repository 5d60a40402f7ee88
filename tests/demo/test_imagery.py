"""The aerial rendering: the same pixels whatever the window, chips that agree with tiles, and a shipped city that fits."""

import math
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lecdiff_core.city.folder import City
from lecdiff_core.demo import DEMO_SEED, GENERATOR_VERSION, demo_city, generate_town
from lecdiff_core.demo.imagery import CHIP_METRES, TILE, Aerial, write_chips
from lecdiff_core.demo.painting import FINE_ZOOM, Painter, metres_per_pixel
from lecdiff_core.demo.plan import CODE, Plan

ORIGIN = 2 ** (FINE_ZOOM - 1)


@pytest.fixture(scope="module")
def demo() -> City:
    return City.open(demo_city())


def test_a_pixel_does_not_depend_on_the_window() -> None:
    large = Painter(Plan(60, 5)).paint(-150, -260, 300, 300)
    small = Painter(Plan(60, 5)).paint(-40, -130, 120, 110)
    assert large.shape == (300, 300, 3)
    gap = np.abs(large[130:240, 110:230].astype(int) - small)
    assert (gap > 0).mean() < 0.01  # an edge may round to the neighbouring pixel where a window cuts its shape
    assert gap.mean() < 0.1


def test_towns_look_different() -> None:
    one, two = (Painter(Plan(60, seed)).paint(-60, -60, 120, 120).reshape(-1, 3).mean(axis=0) for seed in (0, 1))
    assert np.abs(one - two).max() > 3


class Striped(Aerial):
    """An aerial whose pixels say where they are, so that cutting can be checked without painting."""

    def block(self, column: int, row: int) -> np.ndarray:
        y, x = np.mgrid[row * 1024 : (row + 1) * 1024, column * 1024 : (column + 1) * 1024]
        return np.stack([x % 251, y % 241, (x // 16 + y // 16) % 2 * 200], axis=-1).astype(np.uint8)


def test_windows_join_blocks_without_a_seam() -> None:
    window = Striped(Plan(20, 0)).window(-700, 900, 900, 300)
    y, x = np.mgrid[900:1200, -700:200]
    assert (window[..., 0] == x % 251).all()
    assert (window[..., 1] == y % 241).all()


def test_chips_are_written_for_every_station(tmp_path: Path) -> None:
    sites = np.array([[0.0, 0.0], [500.0, -700.0]])
    write_chips(tmp_path, Striped(Plan(20, 0)), ("BS-001", "BS-002"), sites)
    for name in ("BS-001", "BS-002"):
        with Image.open(tmp_path / "imagery" / "chips" / f"{name}.jpg") as chip:
            assert chip.size == (256, 256)
            assert chip.format == "JPEG"


def test_shipped_city_is_complete_and_small(demo: City) -> None:
    assert demo.meta.generator == GENERATOR_VERSION
    assert demo.meta.imagery == "local"
    assert demo.has_tiles
    assert all(demo.chip(station) is not None for station in demo.station_ids)
    made = [demo.path / name for name in ("city.toml", "stations.parquet", "traffic.parquet")]
    made += [p for part in ("imagery", "truth") for p in (demo.path / part).rglob("*") if p.is_file()]
    assert sum(p.stat().st_size for p in made) <= 25e6


@pytest.mark.parametrize("zoom", range(12, 18))
def test_tiles_cover_the_town_without_gaps(demo: City, zoom: int) -> None:
    found = {(int(p.parent.name), int(p.stem)) for p in (demo.path / "imagery" / "tiles" / str(zoom)).rglob("*.jpg")}
    columns, rows = ({c for c, _ in found}, {r for _, r in found})
    assert len(found) == len(columns) * len(rows)
    side = metres_per_pixel(zoom) * TILE
    xy = demo.stations.to_crs(3857).geometry.get_coordinates().to_numpy()
    for x, y in xy:
        for dx, dy in ((-1, -1), (1, 1)):
            column = math.floor((x + dx * CHIP_METRES / 2) / side) + 2 ** (zoom - 1)
            row = math.floor((-y + dy * CHIP_METRES / 2) / side) + 2 ** (zoom - 1)
            assert (column, row) in found


def tile_window(folder: Path, px: int, py: int, size: int) -> Image.Image:
    image = Image.new("RGB", (size, size))
    for row in range(py // TILE, (py + size - 1) // TILE + 1):
        for column in range(px // TILE, (px + size - 1) // TILE + 1):
            data = (folder / str(FINE_ZOOM) / str(ORIGIN + column) / f"{ORIGIN + row}.jpg").read_bytes()
            image.paste(Image.open(BytesIO(data)), (column * TILE - px, row * TILE - py))
    return image


@pytest.mark.parametrize("number", [0, 40, 77, 149])
def test_shipped_chips_show_what_the_tiles_show(demo: City, number: int) -> None:
    metres = metres_per_pixel(FINE_ZOOM)
    x, y = demo.stations.to_crs(3857).geometry.get_coordinates().to_numpy()[number]
    left, top, size = (x - CHIP_METRES / 2) / metres, (-y - CHIP_METRES / 2) / metres, CHIP_METRES / metres
    px, py = math.floor(left), math.floor(top)
    image = tile_window(demo.path / "imagery" / "tiles", px, py, math.ceil(size) + 2)
    box = (left - px, top - py, left - px + size, top - py + size)
    cut = np.asarray(image.resize((256, 256), Image.Resampling.BOX, box=box), dtype=float)
    chip_file = demo.chip(demo.station_ids[number])
    assert chip_file is not None
    chip = np.asarray(Image.open(chip_file).convert("RGB"), dtype=float)
    assert np.abs(chip - cut).mean() < 8
    assert np.corrcoef(chip.mean(axis=2).ravel(), cut.mean(axis=2).ravel())[0, 1] > 0.95


def test_shipped_city_is_what_the_generator_makes(demo: City, tmp_path: Path) -> None:
    again = generate_town(tmp_path / "again", seed=DEMO_SEED, imagery=False)
    assert again.meta == demo.meta
    assert again.stations.equals(demo.stations)
    np.testing.assert_allclose(again.traffic.to_numpy(), demo.traffic.to_numpy(), rtol=1e-4)
    for name in ("events.json", "land_use.parquet"):
        assert (again.path / "truth" / name).read_bytes() == (demo.path / "truth" / name).read_bytes()
    painted = Painter(Plan(len(demo.station_ids), DEMO_SEED)).paint(-TILE, 0, TILE, TILE)
    shipped = tile_window(demo.path / "imagery" / "tiles", -TILE, 0, TILE)
    assert np.abs(painted - np.asarray(shipped, dtype=float)).mean() < 12
    assert np.corrcoef(painted.mean(axis=2).ravel(), np.asarray(shipped).mean(axis=2).ravel())[0, 1] > 0.96


@pytest.mark.parametrize("seed", [1, 6])
def test_every_special_land_use_can_be_furnished(seed: int) -> None:
    painter = Painter(Plan(150, seed))
    town = painter.plan.towns[0]
    for name in ("campus", "stadium", "hospital", "shopping", "park", "offices"):
        cells = np.flatnonzero(town.cell_class == CODE[name])
        scenes = [painter.ground.scene_of_cell(0, int(cell)) for cell in cells]
        assert any(scene.buildings or scene.arena for scene in scenes)
        assert all(scene.fills for scene in scenes)
