import csv
import os
from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image
from pyproj import Geod, Transformer
from rasterio.transform import Affine

from lecdiff_core.environment.imagery import geotiff
from lecdiff_core.environment.imagery.chips import fetch_imagery, read_chip_records
from lecdiff_core.errors import UserError
from tests.environment.imagery.test_chips import make_city, red_centre

MILAN = (9.19, 45.47)
PROJECTIONS = ["EPSG:4326", "EPSG:32632", "EPSG:3857", "EPSG:3035"]


def write_raster(path: Path, crs: str, marks=(MILAN,), metres=10.0, pixels=300, rotation=0.0, **options) -> Path:
    """Noise of about `metres` a pixel around Milan, with a red square of 5 pixels on every mark."""
    project = Transformer.from_crs("EPSG:4326", crs, always_xy=True)
    x, y = project.transform(*MILAN)
    step = metres / 111_320 if crs == "EPSG:4326" else metres
    corner = Affine.translation(-pixels / 2, -pixels / 2)
    transform = Affine.translation(x, y) @ Affine.rotation(rotation) @ Affine.scale(step, -step) @ corner
    bands = np.random.default_rng(0).integers(1, 90, (options.pop("count", 3), pixels, pixels)).astype(np.uint8)
    for mark in marks:
        column, row = ~transform @ project.transform(*mark)
        box = np.s_[:, round(row) - 3 : round(row) + 3, round(column) - 3 : round(column) + 3]
        bands[box] = 1
        bands[0][box[1:]] = 255
    bands[3:] = 255
    if (hole := options.pop("hole", None)) is not None:
        bands[:, hole, hole] = 0
    profile = {"driver": "GTiff", "dtype": "uint8", "crs": crs, "transform": transform, **options}
    with rasterio.open(path, "w", count=len(bands), width=pixels, height=pixels, **profile) as raster:
        raster.write(bands.astype(profile["dtype"]))
    return path


@pytest.mark.parametrize("crs", PROJECTIONS)
@pytest.mark.parametrize("bearing", [0, 90, 200])
def test_a_chip_is_centred_north_up_and_to_scale_in_any_projection(tmp_path, crs, bearing):
    lon, lat, _ = Geod(ellps="WGS84").fwd(*MILAN, bearing, 200)
    raster = write_raster(tmp_path / "ortho.tif", crs, marks=[(lon, lat)], metres=5.0)
    city = make_city(tmp_path / "city", {"A": MILAN})
    report = fetch_imagery(city, str(raster))
    assert report.made == ["A"], report.failed
    with Image.open(city.chip("A")) as chip:
        assert chip.size == (256, 256)
        column, row = red_centre(chip)
    assert column == pytest.approx(80 * np.sin(np.radians(bearing)), abs=3)
    assert row == pytest.approx(-80 * np.cos(np.radians(bearing)), abs=3)


def test_a_rotated_raster_gives_a_chip_with_north_up(tmp_path):
    lon, lat, _ = Geod(ellps="WGS84").fwd(*MILAN, 90, 200)
    raster = write_raster(tmp_path / "ortho.tif", "EPSG:32632", marks=[(lon, lat)], metres=5.0, rotation=30)
    city = make_city(tmp_path / "city", {"A": MILAN})
    assert fetch_imagery(city, str(raster)).made == ["A"]
    with Image.open(city.chip("A")) as chip:
        assert red_centre(chip) == pytest.approx((80, 0), abs=3)


@pytest.mark.parametrize("crs", PROJECTIONS)
def test_a_station_whose_chip_is_not_wholly_inside_is_named(tmp_path, crs):
    raster = write_raster(tmp_path / "ortho.tif", crs, metres=5.0)
    edge = Geod(ellps="WGS84").fwd(*MILAN, 0, 600)[:2]
    places = {"in": MILAN, "edge": edge, "far": (30.0, 10.0), "antipode": (-170.8, -45.5), "pole": (0.0, 90.0)}
    city = make_city(tmp_path / "city", places)
    report = fetch_imagery(city, str(raster))
    assert report.made == ["in"]
    assert set(report.failed) == {"edge", "far", "antipode", "pole"}
    assert all("not wholly inside" in reason for reason in report.failed.values())


def test_a_hole_in_the_raster_is_told(tmp_path):
    raster = write_raster(tmp_path / "ortho.tif", "EPSG:32632", metres=5.0, nodata=0, hole=slice(100, 120))
    city = make_city(tmp_path / "city", {"A": MILAN})
    assert "no data" in fetch_imagery(city, str(raster)).failed["A"]


def test_one_grey_band_becomes_grey_pixels(tmp_path):
    raster = write_raster(tmp_path / "ortho.tif", "EPSG:32632", marks=[], count=1)
    city = make_city(tmp_path / "city", {"A": MILAN})
    assert fetch_imagery(city, str(raster)).made == ["A"]
    with Image.open(city.chip("A")) as chip:
        pixels = np.asarray(chip, dtype=int)
    assert np.ptp(pixels, axis=2).max() <= 2


def test_an_alpha_band_is_not_a_colour_and_says_where_there_is_no_data(tmp_path):
    raster = write_raster(tmp_path / "ortho.tif", "EPSG:32632", marks=[], count=4, photometric="RGB", alpha="YES")
    city = make_city(tmp_path / "city", {"A": MILAN})
    assert fetch_imagery(city, str(raster)).made == ["A"]
    with rasterio.open(raster, "r+") as file:
        file.write(np.zeros((300, 300), np.uint8), 4)
    assert "no data" in fetch_imagery(city, str(raster)).failed["A"]


def test_rights_in_the_file_become_the_attribution(tmp_path):
    raster = write_raster(tmp_path / "ortho.tif", "EPSG:32632")
    with rasterio.open(raster, "r+") as file:
        file.update_tags(TIFFTAG_COPYRIGHT="Survey of Nowhere")
    city = make_city(tmp_path / "city", {"A": MILAN})
    assert fetch_imagery(city, str(raster)).attribution == "Survey of Nowhere"
    assert "Survey of Nowhere" in (city.path / "city.toml").read_text()
    assert read_chip_records(city)["A"][-1].source == "ortho.tif"


def test_chips_are_kept_until_the_file_changes(tmp_path):
    raster = write_raster(tmp_path / "ortho.tif", "EPSG:32632")
    city = make_city(tmp_path / "city", {"A": MILAN})
    fetch_imagery(city, str(raster))
    os.utime(raster, (1e9, 1e9))  # the same raster, copied or checked out later
    assert fetch_imagery(city, str(raster)).kept == ["A"]
    write_raster(raster, "EPSG:32632", metres=5.0)
    assert fetch_imagery(city, str(raster)).made == ["A"]


def make_text(path):
    path.write_text("no raster")


def make_png(path):
    Image.new("RGB", (64, 64)).save(path, "PNG")


def make_sixteen_bits(path):
    write_raster(path, "EPSG:32632", dtype="uint16")


def make_five_bands(path):
    write_raster(path, "EPSG:32632", count=5)


def make_without_place(path):
    with rasterio.open(path, "w", driver="GTiff", dtype="uint8", width=9, height=9, count=3) as raster:
        raster.write(np.ones((3, 9, 9), np.uint8))


def make_truncated(path):
    write_raster(path, "EPSG:32632")
    path.write_bytes(path.read_bytes()[:100])


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (make_text, "cannot be read as a GeoTIFF"),
        (make_png, "cannot be read as a GeoTIFF"),
        (make_truncated, "cannot be read as a GeoTIFF"),
        (make_sixteen_bits, "uint16"),
        (make_five_bands, "5 bands"),
        (make_without_place, "where it lies"),
        (Path.mkdir, "no file"),
    ],
)
def test_a_file_that_is_no_usable_raster_is_one_line(tmp_path, make, message):
    path = tmp_path / "bad.tif"
    make(path)
    city = make_city(tmp_path / "city", {"A": MILAN})
    with pytest.raises(UserError, match=message) as caught:
        fetch_imagery(city, str(path))
    assert "\n" not in str(caught.value)
    assert not (city.path / "imagery" / "chips").exists()


def test_a_raster_whose_pixels_are_cut_off_fails_by_station(tmp_path):
    raster = write_raster(tmp_path / "ortho.tif", "EPSG:32632", tiled=True, blockxsize=64, blockysize=64)
    raster.write_bytes(raster.read_bytes()[:60_000])
    city = make_city(tmp_path / "city", {"A": MILAN})
    report = fetch_imagery(city, str(raster))
    assert set(report.failed) == {"A"} and report.failed["A"]


@pytest.mark.real
def test_cells_of_the_milan_image_get_their_chips(tmp_path):
    root = Path(os.environ.get("LECDIFF_REAL_DATA", Path(__file__).parents[4] / "shared" / "data")) / "milan-imagery"
    if not root.is_dir():
        pytest.skip(f"no real data at {root}; set LECDIFF_REAL_DATA")
    with (root / "cells_in_image.csv").open() as file:
        places = {row["cell_id"]: (float(row["lon"]), float(row["lat"])) for row in csv.DictReader(file)}
    some = dict(list(places.items())[::20])
    city = make_city(tmp_path / "city", some)
    report = fetch_imagery(city, str(root / "milan_sentinel2_rgb.tif"))
    assert set(report.made) | set(report.failed) == set(some) and len(report.made) >= 20
    rim = []
    with geotiff.open_raster(root / "milan_sentinel2_rgb.tif") as raster:
        for place in places.values():
            try:
                assert geotiff.chip(raster, *place, 640, 16).size == (16, 16)
            except ValueError:
                rim.append(place)
        assert (len(places), len(rim)) == (452, 26), "26 cells at the rim have less than 640 m of image"
        assert all(geotiff.chip(raster, *place, 500, 16).size == (16, 16) for place in rim)
