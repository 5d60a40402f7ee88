import hashlib
import json
import threading
import time
import tomllib
from contextlib import closing

import geopandas
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from shapely import Point

from lecdiff_core import retries, web
from lecdiff_core.city.folder import City, CityMeta, write_city, write_meta
from lecdiff_core.environment.imagery import chips, tiles
from lecdiff_core.environment.imagery.chips import fetch_imagery, read_chip_records
from lecdiff_core.errors import UserError
from tests.environment.tile_server import (
    RIGHTS,
    TileServer,
    answer,
    draw_tile,
    encoded,
    half_body,
    half_file,
    hang_up,
    placeholder,
    stall,
)

FAST = {"per_second": 2000.0}
SHANGHAI = {"S1": (121.4737, 31.2304), "S2": (121.4760, 31.2320), "S3": (121.5500, 31.2000)}


def make_city(path, places=SHANGHAI) -> City:
    stations = geopandas.GeoDataFrame(
        {"station_id": list(places)}, geometry=[Point(*place) for place in places.values()], crs="EPSG:4326"
    )
    index = pd.date_range("2024-01-01", periods=4, freq="30min", tz="UTC", name="timestamp")
    traffic = pd.DataFrame(1.0, index=index, columns=list(places), dtype="float32")
    return write_city(path, CityMeta(name="Test", timezone="UTC", interval="30min", unit="MB"), stations, traffic)


@pytest.fixture
def server():
    with closing(TileServer()) as running:
        yield running


@pytest.fixture
def city(tmp_path):
    return make_city(tmp_path / "city")


@pytest.fixture(autouse=True)
def quick_back_off(monkeypatch):
    monkeypatch.setattr(retries, "BACK_OFF", lambda state: 0.01)


@pytest.fixture
def esri(server, monkeypatch):
    """ArcGIS and Wayback, both played by the loopback server."""
    monkeypatch.setenv("LECDIFF_ARCGIS_URL", server.url + "/World_Imagery/MapServer")
    monkeypatch.setenv("LECDIFF_WAYBACK_URL", server.url + "/wayback")
    described = {"copyrightText": RIGHTS, "tileInfo": {"lods": [{"level": level} for level in range(20)]}}
    server.documents["/World_Imagery/MapServer"] = json.dumps(described).encode()
    server.documents["/wayback/MapServer/WMTS/1.0.0/WMTSCapabilities.xml"] = capabilities(
        ("2014-02-20", 10), ("2014-07-30", 4230), ("2014-09-03", 26376), ("2021-02-24", 1049)
    )
    return server


def capabilities(*releases) -> bytes:
    layers = "".join(
        f"""<Layer><ows:Title>World Imagery (Wayback {day})</ows:Title><ows:Identifier>WB_{number}</ows:Identifier>
        <ResourceURL format="image/jpeg" resourceType="tile"
        template="https://elsewhere.example/{{TileMatrixSet}}/MapServer/tile/{number}/{{TileMatrix}}/{{TileRow}}/{{TileCol}}"/>
        </Layer>"""
        for day, number in releases
    )
    return (
        '<?xml version="1.0"?><Capabilities xmlns="http://www.opengis.net/wmts/1.0" '
        f'xmlns:ows="http://www.opengis.net/ows/1.1"><Contents>{layers}</Contents></Capabilities>'
    ).encode()


def red_centre(chip: Image.Image) -> tuple[float, float]:
    """Column and row of the middle of the red disc, in pixels from the chip's centre."""
    pixels = np.asarray(chip, dtype=np.int16)
    rows, columns = np.nonzero((pixels[:, :, 0] > 150) & (pixels[:, :, 1] < 90))
    assert len(rows) > 0, "there is no red disc in the chip"
    return columns.mean() + 0.5 - chip.width / 2, rows.mean() + 0.5 - chip.height / 2


# ---- what a chip shows


@pytest.mark.parametrize("place", [(121.4737, 31.2304), (0.0, 0.0), (-70.9, -53.1), (25.0, 70.0), (10.0, 84.9)])
def test_a_chip_is_centred_on_its_station(tmp_path, server, place):
    server.marks = [place]
    city = make_city(tmp_path / "city", {"A": place})
    report = fetch_imagery(city, server.template, **FAST)
    assert report.made == ["A"] and not report.failed
    with Image.open(city.chip("A")) as chip:
        assert chip.size == (256, 256)
        assert np.hypot(*red_centre(chip)) < 1.0


@pytest.mark.parametrize("place", [(121.4737, 31.2304), (180.0, -16.5)])
@pytest.mark.parametrize("bearing", [0, 90, 180, 270])
def test_a_chip_has_its_metres_and_north_up(tmp_path, server, place, bearing):
    from pyproj import Geod

    lon, lat, _ = Geod(ellps="WGS84").fwd(*place, bearing, 200)
    server.marks = [(lon, lat), (lon + 360, lat), (lon - 360, lat)]
    city = make_city(tmp_path / "city", {"A": place})
    fetch_imagery(city, server.template, **FAST)
    with Image.open(city.chip("A")) as chip:
        column, row = red_centre(chip)
    expected = 200 / 640 * 256
    assert column == pytest.approx(expected * np.sin(np.radians(bearing)), abs=1.2)
    assert row == pytest.approx(-expected * np.cos(np.radians(bearing)), abs=1.2)


def test_tiles_on_both_sides_of_the_antimeridian_exist(tmp_path, server):
    city = make_city(tmp_path / "city", {"W": (180.0, 0.0), "E": (-180.0, 0.0), "N": (179.9999, 10.0)})
    report = fetch_imagery(city, server.template, **FAST)
    assert sorted(report.made) == ["E", "N", "W"]
    columns = {int(path.split("/")[3]) for path in server.tiles_asked}
    zoom = int(next(iter(server.tiles_asked)).split("/")[2])
    assert columns <= set(range(2**zoom)) and {0, 2**zoom - 1} <= columns


@pytest.mark.parametrize("latitude", [85.2, 89.9, 90.0, -90.0, -86.0])
def test_a_station_beyond_web_mercator_is_named_and_the_others_go_on(tmp_path, server, latitude):
    city = make_city(tmp_path / "city", {"polar": (12.0, latitude), "fine": (12.0, 45.0)})
    report = fetch_imagery(city, server.template, **FAST)
    assert report.made == ["fine"]
    assert "85.05" in report.failed["polar"]


def test_zoom_is_the_coarsest_that_is_fine_enough():
    assert tiles.choose_zoom(0, 156543.1, 19) == 0
    assert tiles.choose_zoom(31.23, 2.5, 19) == 16
    assert tiles.choose_zoom(31.23, 2.0, 19) == 17
    assert tiles.choose_zoom(31.23, 0.01, 19) == 19
    for latitude in (0, 31.23, 60, 84):
        zoom = tiles.choose_zoom(latitude, 2.5, 23)
        assert tiles.EQUATOR / 256 / 2**zoom * np.cos(np.radians(latitude)) <= 2.5


def test_size_and_metres_are_the_callers(city, server):
    report = fetch_imagery(city, server.template, size=64, metres=320, **FAST)
    assert len(report.made) == 3
    record = read_chip_records(city)["S1"][-1]
    assert (record.size, record.metres, record.zoom) == (64, 320, 15)
    with Image.open(city.chip("S1")) as chip:
        assert chip.size == (64, 64)


# ---- a server that misbehaves


def test_trouble_that_passes_is_overcome(city, server):
    troubles = [answer(status=500), answer(status=503), half_body, half_file, hang_up]

    def behave(tile, times):
        return troubles[(tile[1] + tile[2]) % len(troubles)] if times == 0 else None

    server.behave = behave
    report = fetch_imagery(city, server.template, **FAST)
    assert sorted(report.made) == ["S1", "S2", "S3"] and not report.failed
    assert set(server.tiles_asked.values()) == {2}


def test_retry_after_is_honoured_by_every_request(tmp_path, server):
    city = make_city(tmp_path / "city", {"A": (121.4737, 31.2304)})
    refused = []

    def behave(tile, times):
        if not refused:
            refused.append(time.monotonic())
            return answer(status=429, Retry_After="1")
        return None

    server.behave = behave
    assert fetch_imagery(city, server.template, concurrency=1, **FAST).made == ["A"]
    assert min(start for start in server.started if start > refused[0]) - refused[0] >= 1.0


def test_a_wait_of_hours_is_not_waited_for(tmp_path, server):
    city = make_city(tmp_path / "city", {"A": (121.4737, 31.2304)})
    server.behave = lambda tile, times: answer(status=429, Retry_After="7200")
    report = fetch_imagery(city, server.template, **FAST)
    assert "7200 s" in report.failed["A"]


def bomb() -> bytes:
    return encoded(Image.new("1", (20000, 20000)), "PNG")


@pytest.mark.parametrize(
    ("trouble", "reason", "asked"),
    [
        (answer(status=404), "HTTP 404", 1),
        (answer(status=403), "HTTP 403", 1),
        (answer(status=500), "HTTP 500", 4),
        (half_body, "before the answer was complete", 4),
        (half_file, "truncated", 4),
        (hang_up, "before the answer was complete", 4),
        (answer(b""), "empty", 4),
        (answer(b"<!DOCTYPE html><p>log in"), "a web page", 1),
        (answer(b'{"error": {"code": 498}}'), "JSON text", 1),
        (answer(b"\x00" * 1000), "something else", 1),
        (answer(encoded(Image.new("RGB", (512, 512)))), "512×512", 1),
        (answer(encoded(Image.new("RGBA", (256, 256)), "PNG")), "transparent", 1),
        (answer(encoded(Image.new("RGB", (256, 256), (70, 90, 60)))), "no imagery here", 1),
        (answer(placeholder()), "no imagery here", 1),
        (answer(b"\xff" * (5 * 1024 * 1024)), "larger than", 1),
        (answer(status=302, Location="http://localhost:1/x"), "redirects to another place", 1),
        (answer(status=302, Location="file:///etc/passwd"), "", 1),
        (answer(status=204), "HTTP 204", 1),
    ],
)
def test_trouble_that_stays_is_told_by_station(city, server, trouble, reason, asked):
    """S1 and S2 share a tile that is bad; S3 lies elsewhere."""
    bad = tiles.window(*SHANGHAI["S1"], 640, 16).tiles.keys() & tiles.window(*SHANGHAI["S2"], 640, 16).tiles.keys()
    column, row = min(bad)
    server.behave = lambda tile, times: trouble if tile == (16, column, row) else None
    report = fetch_imagery(city, server.template, **FAST)
    assert report.made == ["S3"]
    assert set(report.failed) == {"S1", "S2"}
    assert reason in report.failed["S1"] and f"16/{column}/{row}" in report.failed["S1"]
    assert server.tiles_asked[f"/tiles/16/{column}/{row}.jpg"] == asked
    assert city.chip("S1") is None


def test_a_decompression_bomb_is_not_unpacked(city, server):
    body = bomb()
    server.behave = lambda tile, times: answer(body)
    report = fetch_imagery(city, server.template, **FAST)
    assert set(report.failed) == {"S1", "S2", "S3"}
    assert "pixels" in report.failed["S1"]


def test_a_slow_server_times_out(tmp_path, server, monkeypatch):
    city = make_city(tmp_path / "city", {"A": (121.4737, 31.2304)})
    monkeypatch.setattr(chips, "Web", lambda per_second, **options: web.Web(per_second, timeout=0.1, **options))
    server.behave = lambda tile, times: stall(0.5)
    assert "timed out" in fetch_imagery(city, server.template, **FAST).failed["A"]


def test_a_body_that_never_ends_times_out(tmp_path, server, monkeypatch):
    city = make_city(tmp_path / "city", {"A": (121.4737, 31.2304)})
    monkeypatch.setattr(web, "SLOWEST_BODY", 0.1)

    def drip(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", "1000000")
        handler.end_headers()
        for _ in range(40):
            handler.wfile.write(b"\xff" * 100)
            handler.wfile.flush()
            time.sleep(0.02)

    server.behave = lambda tile, times: drip
    assert "timed out" in fetch_imagery(city, server.template, **FAST).failed["A"]


def test_a_server_that_is_gone_is_not_asked_for_ever(tmp_path, server, monkeypatch):
    places = {f"S{n}": (121.0 + n / 10, 31.0) for n in range(30)}
    city = make_city(tmp_path / "city", places)
    server.behave = lambda tile, times: hang_up
    report = fetch_imagery(city, server.template, **FAST)
    assert set(report.failed) == set(places)
    assert any("not tried" in reason for reason in report.failed.values())
    assert sum(server.tiles_asked.values()) <= (tiles.FAILURES_IN_A_ROW + 8) * retries.ATTEMPTS


def test_no_network_is_told_by_station(city):
    report = fetch_imagery(city, "http://127.0.0.1:9/{z}/{x}/{y}.jpg", **FAST)
    assert set(report.failed) == {"S1", "S2", "S3"}
    assert all("no connection" in reason or "not tried" in reason for reason in report.failed.values())


def test_a_redirect_on_the_same_host_is_followed_and_a_circle_is_not(tmp_path, server):
    city = make_city(tmp_path / "city", {"A": (121.4737, 31.2304)})

    def behave(tile, times):
        z, x, y = tile
        return answer(status=302, Location=f"/tiles/{z + 30}/{x}/{y}.jpg") if z < 30 else None

    server.behave = behave
    assert fetch_imagery(city, server.template, **FAST).made == ["A"]
    server.behave = lambda tile, times: answer(status=302, Location=f"/tiles/{tile[0]}/{tile[1]}/{tile[2]}.jpg")
    assert "redirects" in fetch_imagery(city, server.template + "?v=2", **FAST).failed["A"]


def test_the_same_picture_at_three_places_is_a_placeholder(tmp_path, server):
    city = make_city(tmp_path / "city", {"A": (10.0, 50.0), "B": (11.0, 50.0)})
    logo = encoded(draw_tile(3, 1, 1, []))
    north = tiles.window(10.0, 50.0, 640, tiles.choose_zoom(50.0, 2.5, 19)).tiles.values()
    server.behave = lambda tile, times: answer(logo) if tile in {(t.z, t.x, t.y) for t in north} else None
    assert len(list(north)) >= 3
    report = fetch_imagery(city, server.template, **FAST)
    assert report.made == ["B"] and "placeholder" in report.failed["A"]


@pytest.mark.parametrize("grey", [20, 90, 120])
def test_dark_water_and_asphalt_are_no_placeholders(grey):
    noise = np.random.default_rng(1).normal(grey, 2, (256, 256, 1)).clip(0, 255).astype(np.uint8).repeat(3, 2)
    image = Image.fromarray(noise)
    assert not tiles.is_placeholder(encoded(image), image)


# ---- politeness, resuming, never twice


def test_nothing_is_fetched_twice(city, server):
    first = fetch_imagery(city, server.template, **FAST)
    asked = server.tiles_asked
    assert first.requested_tiles == len(asked) and set(asked.values()) == {1}
    second = fetch_imagery(city, server.template, **FAST)
    assert sorted(second.kept) == ["S1", "S2", "S3"] and not second.made
    assert server.tiles_asked == asked


def test_another_size_uses_the_cached_tiles(city, server):
    fetch_imagery(city, server.template, size=256, **FAST)
    asked = server.tiles_asked
    again = fetch_imagery(city, server.template, size=250, **FAST)
    assert len(again.made) == 3 and again.requested_tiles == 0
    assert server.tiles_asked == asked


def test_a_run_that_is_stopped_resumes(city, server):
    def stop_at_third(done, total, message):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch_imagery(city, server.template, concurrency=1, report=stop_at_third, **FAST)
    assert sum(server.tiles_asked.values()) >= 3
    report = fetch_imagery(city, server.template, **FAST)
    assert len(report.made) == 3
    assert set(server.tiles_asked.values()) == {1}


def test_a_run_that_is_killed_resumes(city, server, tmp_path):
    import subprocess
    import sys

    server.behave = lambda tile, times: time.sleep(0.15)
    code = (
        "import sys; from pathlib import Path; from lecdiff_core.city.folder import City\n"
        "from lecdiff_core.environment.imagery.chips import fetch_imagery\n"
        "fetch_imagery(City.open(Path(sys.argv[1])), sys.argv[2], concurrency=1)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(city.path), server.template])
    deadline = time.monotonic() + 60
    while sum(server.tiles_asked.values()) < 4 and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    process.wait()
    server.behave = lambda tile, times: None
    report = fetch_imagery(city, server.template, **FAST)
    assert len(report.made) == 3 and not report.failed
    assert sum(server.tiles_asked.values()) <= len(server.tiles_asked) + 1, "only the tile in flight may be asked again"


def test_a_half_written_chip_and_a_half_written_tile_are_made_again(city, server):
    fetch_imagery(city, server.template, **FAST)
    good = city.chip("S1").read_bytes()
    city.chip("S1").write_bytes(good[: len(good) // 2])
    tile = next((city.path / "imagery" / "cache").rglob("*.tile"))
    tile.write_bytes(tile.read_bytes()[:100])
    report = fetch_imagery(city, server.template, **FAST)
    assert report.made == ["S1"] and sorted(report.kept) == ["S2", "S3"]
    assert city.chip("S1").read_bytes() == good
    assert report.requested_tiles <= 1


def test_somebodys_own_chip_is_never_touched(city, server):
    own = city.path / "imagery" / "chips" / "S2.png"
    own.parent.mkdir(parents=True)
    own.write_bytes(encoded(draw_tile(1, 1, 1, []), "PNG"))
    report = fetch_imagery(city, server.template, **FAST)
    assert report.own == ["S2"] and sorted(report.made) == ["S1", "S3"]
    assert city.chip("S2") == own.resolve()
    replaced = city.chip("S1")
    replaced.write_bytes(encoded(draw_tile(2, 1, 1, [])))
    again = fetch_imagery(city, server.template, size=128, **FAST)
    assert sorted(again.own) == ["S1", "S2"] and again.made == ["S3"]


def test_a_station_that_moved_gets_a_new_chip(tmp_path, server):
    fetch_imagery(make_city(tmp_path / "city", {"A": (10.0, 50.0), "B": (11.0, 50.0)}), server.template, **FAST)
    moved = make_city(tmp_path / "city", {"A": (10.0, 50.0), "B": (11.0, 50.01)})
    report = fetch_imagery(moved, server.template, **FAST)
    assert report.made == ["B"] and report.kept == ["A"]


def test_requests_keep_the_rate_and_the_concurrency(city, server):
    server.behave = lambda tile, times: time.sleep(0.02)
    fetch_imagery(city, server.template, per_second=25, concurrency=2)
    starts = sorted(server.started)
    assert server.busiest <= 2
    assert starts[-1] - starts[0] >= (len(starts) - 1) / 25 - 0.05


def test_progress_is_told_from_one_thread(city, server):
    seen = []
    fetch_imagery(city, server.template, report=lambda *step: seen.append((threading.get_ident(), *step)), **FAST)
    assert {ident for ident, *_ in seen} == {threading.get_ident()}
    assert all(0 < done <= total for _, done, total, _ in seen) and seen[-1][1] == seen[-1][2]


# ---- provenance, attribution, terms


def test_provenance_and_attribution_are_kept(city, esri):
    report = fetch_imagery(city, accept_terms=True, **FAST)
    assert report.attribution == f"Powered by Esri | {RIGHTS}"
    assert tomllib.loads((city.path / "city.toml").read_text())["attribution"] == report.attribution
    assert City.open(city.path).meta.attribution == report.attribution
    assert City.open(city.path).meta.imagery == "arcgis"
    record = read_chip_records(city)["S1"][-1]
    assert record.sha256 == hashlib.sha256(city.chip("S1").read_bytes()).hexdigest()
    assert (record.source, record.zoom, record.size, record.metres) == ("arcgis", 16, 256, 640)
    assert record.attribution == report.attribution and record.fetched_at.endswith("+00:00")
    fetch_imagery(city, accept_terms=True, size=128, **FAST)
    assert City.open(city.path).meta.attribution.count("Powered by Esri") == 1


def test_a_second_arcgis_run_asks_nothing(city, esri):
    fetch_imagery(city, accept_terms=True, **FAST)
    asked = sum(esri.asked.values())
    report = fetch_imagery(city, accept_terms=True, **FAST)
    assert sum(esri.asked.values()) == asked and len(report.kept) == 3
    assert report.attribution


def test_tiles_are_asked_so_that_missing_ones_are_told(city, esri):
    fetch_imagery(city, accept_terms=True, **FAST)
    assert all(path.endswith("?blankTile=false") for path in esri.tiles_asked)


@pytest.mark.parametrize(
    "source", ["arcgis", "https://services.arcgisonline.com/x/{z}/{y}/{x}", "https://tiles.arcgis.com/{z}/{y}/{x}"]
)
def test_esri_needs_its_terms_accepted(city, esri, source):
    with pytest.raises(UserError, match=r"consent.*--accept-terms.*alternatives"):
        fetch_imagery(city, source)
    assert not esri.asked and not (city.path / "imagery").exists()


@pytest.mark.parametrize(("date", "day", "number"), [("2014-08", "2014-07-30", 4230), ("2013-01", "2014-02-20", 10)])
def test_a_date_picks_the_nearest_release(city, esri, date, day, number):
    report = fetch_imagery(city, date=date, accept_terms=True, **FAST)
    assert len(report.made) == 3
    assert all(
        f"/wayback/WMTS/1.0.0/GoogleMapsCompatible/MapServer/tile/{number}/" in path for path in esri.tiles_asked
    )
    record = read_chip_records(city)["S1"][-1]
    assert (record.date, record.release) == (date, day)
    assert day in report.notes[0] and "taken earlier" in report.notes[0] and day in report.attribution


@pytest.mark.parametrize("answer_of_service", [b"", b"<html>", b"[]", b'{"tileInfo": null}', b"\xff\xfe"])
def test_a_service_that_is_not_understood_is_named(city, esri, answer_of_service):
    esri.documents["/World_Imagery/MapServer"] = answer_of_service
    report = fetch_imagery(city, accept_terms=True, **FAST)
    assert report.nothing.startswith("127.0.0.1: the service's description is not understood")


@pytest.mark.parametrize(
    "document", [b"", b"no xml", b"<a/>", b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', capabilities(("2014-99-99", 1))]
)
def test_a_list_of_releases_that_is_not_understood_is_named(city, esri, document):
    esri.documents["/wayback/MapServer/WMTS/1.0.0/WMTSCapabilities.xml"] = document
    assert "list of releases" in fetch_imagery(city, date="2014-08", accept_terms=True, **FAST).nothing


def test_no_network_for_arcgis_is_one_line(city, monkeypatch):
    monkeypatch.setenv("LECDIFF_ARCGIS_URL", "http://127.0.0.1:9/MapServer")
    report = fetch_imagery(city, accept_terms=True, **FAST)
    assert report.nothing.startswith("127.0.0.1: no connection") and set(report.failed) == set(city.station_ids)


def test_nothing_was_made_where_no_tile_came_at_all(city, server):
    server.behave = lambda tile, times: answer(status=404)
    report = fetch_imagery(city, server.template, **FAST)
    assert "HTTP 404" in report.nothing and f"{len(city.station_ids)} stations have no chip" in report.nothing
    server.behave = lambda tile, times: None
    report = fetch_imagery(city, server.template, **FAST)
    assert report.made and not report.nothing
    server.behave = lambda tile, times: answer(status=404)
    assert fetch_imagery(city, server.template, size=200, metres=900, **FAST).nothing, (
        "other chips were asked for, and none came"
    )


def test_a_place_without_imagery_is_no_failure_of_the_whole(tmp_path, server):
    city = make_city(tmp_path / "poles", {"S1": (9.0, 45.0), "S2": (9.0, 88.0)})
    for kept in (0, 1):
        report = fetch_imagery(city, server.template, **FAST)
        assert (len(report.kept), set(report.failed), report.nothing) == (kept, {"S2"}, "")


def test_stations_of_one_mast_share_their_tiles(tmp_path, server):
    city = make_city(tmp_path / "mast", {f"sector-{n}": (9.0, 45.0) for n in range(3)})
    report = fetch_imagery(city, server.template, **FAST)
    assert len(report.made) == 3 and max(server.tiles_asked.values()) == 1
    assert len({city.chip(station).read_bytes() for station in city.station_ids}) == 1


def test_a_key_in_the_template_is_never_written(city, server):
    server.behave = lambda tile, times: answer(status=404) if times == 0 and tile[1] % 2 else None
    report = fetch_imagery(city, server.template + "?key=tops3cret&style={z}", **FAST)
    assert report.made or report.failed
    assert "tops3cret" not in repr(report)
    for file in city.path.rglob("*"):
        assert "tops3cret" not in str(file)
        assert not file.is_file() or b"tops3cret" not in file.read_bytes()
    assert any("key=tops3cret" in path for path in server.asked)


def test_a_source_without_attribution_is_noted(city, server):
    assert any("attribution" in note for note in fetch_imagery(city, server.template, **FAST).notes)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"source": "ftp://example.org/{z}/{x}/{y}"}, "http or https"),
        ({"source": "file:///etc/{z}/{x}/{y}"}, "http or https"),
        ({"source": "https://user:pw@example.org/{z}/{x}/{y}"}, "password"),
        ({"source": "https://example.org/{z}/{x}.jpg"}, "must contain"),
        ({"source": "https://{s}.example.org/{z}/{x}/{y}.jpg"}, "one host"),
        ({"source": "https:///{z}/{x}/{y}.jpg"}, "http or https"),
        ({"source": "nowhere.tif"}, "no file nowhere.tif"),
        ({"size": 0}, "--size"),
        ({"size": 100000}, "--size"),
        ({"metres": 0}, "--metres"),
        ({"metres": float("nan")}, "--metres"),
        ({"date": "august"}, "not a month"),
        ({"date": "2014-13"}, "not a month"),
        ({"date": "2014-08", "source": "https://example.org/{z}/{x}/{y}.jpg"}, "--source arcgis"),
    ],
)
def test_wrong_options_are_one_line(city, options, message):
    with pytest.raises(UserError, match=message) as caught:
        fetch_imagery(city, **{"accept_terms": True, **options})
    assert "\n" not in str(caught.value) and "pw" not in str(caught.value)


@pytest.mark.parametrize(
    ("coordinates", "source", "message"),
    [
        ("none", "https://tiles.example.org/{z}/{x}/{y}.jpg", "nothing is known of where its stations stand"),
        ("none", "arcgis", "nothing is known"),
        ("nominal", "arcgis", "its places are nominal"),
    ],
)
def test_no_satellite_image_of_a_place_that_is_not_real(city, coordinates, source, message):
    write_meta(city.path, city.meta.model_copy(update={"coordinates": coordinates}))
    with pytest.raises(UserError, match=message):
        fetch_imagery(City.open(city.path), source, accept_terms=True)
