"""What the server gives out by URL, and what it never gives out."""

import json

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient
from visitor import HOSTILE_ID

from pages.parts.map.routes import routes


@pytest.fixture
def client(cities_folder, monkeypatch):
    monkeypatch.setenv("LECDIFF_CITIES", str(cities_folder))
    monkeypatch.delenv("LECDIFF_CITY", raising=False)
    return TestClient(Starlette(routes=routes()))


def test_tiles_chips_and_stations_of_a_city_at_any_depth(client):
    tile = client.get("/city/flatland/tiles/13/4096/4095")
    assert tile.status_code == 200 and tile.headers["content-type"] == "image/jpeg"
    assert client.get("/city/flatland/chips/ST-01").headers["content-type"] == "image/jpeg"
    rows = client.get("/city/north/milan/stations.json", params={"at": "2025-06-10T12:00:00+02:00"}).json()
    assert len(rows) == 12 and rows[0]["station_id"] == "ST-00"


def test_below_a_base_path(cities_folder, monkeypatch):
    monkeypatch.setenv("LECDIFF_CITIES", str(cities_folder))
    client = TestClient(Starlette(routes=routes("lec/")))
    assert client.get("/lec/city/flatland/tiles/13/4096/4095").headers["content-type"] == "image/jpeg"
    assert client.get("/lec/city/flatland/chips/ST-01").headers["content-type"] == "image/jpeg"
    assert client.get("/city/flatland/chips/ST-01").status_code == 404


def test_stations_carry_load_colour_and_size_at_that_time(client):
    def rows(at):
        return client.get("/city/flatland/stations.json", params={"at": at}).json()

    noon, night = rows("2025-06-12T14:00:00Z"), rows("2025-06-12T02:00:00Z")
    assert noon[0]["label"] == "Mast 0 (ST-00)" and noon[0]["position"] == [0.0, 0.0]
    assert noon[11]["value"].endswith("GB") and len(noon[11]["colour"]) == 4
    assert all(day["size"] > dark["size"] for day, dark in zip(noon, night, strict=True))
    assert rows("2025-06-13T12:00:00Z")[2]["value"] == "no data"


def test_hostile_names_travel_as_data(client):
    answer = client.get("/city/hostile/stations.json", params={"at": "2025-06-10T12:00:00Z"})
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert json.loads(answer.text)[0]["station_id"] == HOSTILE_ID


@pytest.mark.parametrize(
    "path",
    [
        "/city/atlantis/stations.json?at=2025-06-10T12:00:00Z",
        "/city/flatland/stations.json",
        "/city/flatland/stations.json?at=soon",
        "/city/flatland/stations.json?at=2025-06-10T12:00:00",
        "/city/flatland/stations.json?at=1999-01-01T00:00:00Z",
        "/city/flatland/stations.json?at=2025-06-10T12:07:00Z",
        "/city/flatland/tiles/13/0/0",
        "/city/flatland/tiles/13/4096/abc",
        "/city/flatland/tiles/99999999999999999999/1/1",
        f"/city/flatland/tiles/{'9' * 5000}/1/1",
        f"/city/flatland/tiles/1/{'9' * 5000}/1",
        "/city/flatland/tiles/-1/1/1",
        "/city/flatland/tiles/1/²/1",
        f"/city/flatland/stations.json?at=2025-06-12T14:00:00Z&by=forecast&step={'9' * 5000}",
        f"/city/flatland/stations.json?at={'9' * 5000}",
        f"/city/{'a/' * 3000}/stations.json?at=2025-06-12T14:00:00Z",
        "/city/flatland/chips/ST-99",
        "/city/flatland/chips/ST-11",
        "/city/flatland/chips/" + "a" * 5000,
        "/city/flatland/chips/%00",
    ],
)
def test_what_is_not_there_is_not_found(client, path):
    assert client.get(path).status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "/city/../secret/stations.json?at=2025-06-10T12:00:00Z",
        "/city/%2e%2e/secret/stations.json?at=2025-06-10T12:00:00Z",
        "/city/%2e%2e%2fsecret/stations.json?at=2025-06-10T12:00:00Z",
        "/city/..%5csecret/stations.json?at=2025-06-10T12:00:00Z",
        "/city/flatland/chips/..%2f..%2f..%2fcity.toml",
        "/city/flatland/chips/%2e%2e%2f%2e%2e%2f%2e%2e%2fsecret%2fcity.toml",
        "/city/flatland/chips/%252e%252e%252fcity",
        "/city/flatland/%2e%2e/%2e%2e/secret/chips/x",
        "/city//etc/chips/passwd",
        "/city/%2fetc/chips/passwd",
        "/city/flatland/../flatland/../../secret/tiles/1/1/1",
    ],
)
def test_no_path_leads_out_of_the_cities(client, path):
    answer = client.get(path)
    assert answer.status_code == 404 and "not for you" not in answer.text


def test_a_link_out_of_the_folder_is_not_followed(client, cities_folder, tmp_path):
    (tmp_path / "city.toml").write_text("not for you")
    (tmp_path / "x.jpg").write_bytes(b"not for you")
    outside = cities_folder / "outside"
    chip = cities_folder / "flatland" / "imagery" / "chips" / "linked.jpg"
    outside.symlink_to(tmp_path, target_is_directory=True)
    chip.symlink_to(tmp_path / "x.jpg")
    try:
        assert client.get("/city/outside/chips/x").status_code == 404
        assert client.get("/city/flatland/chips/linked").status_code == 404
    finally:
        outside.unlink()
        chip.unlink()
