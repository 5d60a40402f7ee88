"""Headers on every answer of the server."""

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient
from visitor import small_city

from pages.parts.data import cities
from pages.parts.map import headers
from pages.parts.map.headers import SecurityHeaders


@pytest.fixture
def client(tmp_path, monkeypatch):
    for key, template in (
        ("public", "https://tiles.example.org:8443/{z}/{x}/{y}.jpg"),
        ("inner", "http://10.0.0.5/{z}/{x}/{y}.jpg"),
    ):
        small_city(tmp_path / key, {"name": key, "timezone": "UTC", "imagery": template}, ["A"], (1.0, 1.0), [""])
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "city.toml").write_text("imagery = 'https://x.example; script-src *'")
    monkeypatch.setenv("LECDIFF_CITIES", str(tmp_path))
    monkeypatch.delenv("LECDIFF_CITY", raising=False)
    cities.refresh()
    headers.policy.clear()
    routes = [Route("/", lambda request: PlainTextResponse("here"))]
    yield TestClient(Starlette(routes=routes, middleware=[Middleware(SecurityHeaders)]))
    cities.refresh()
    headers.policy.clear()


@pytest.mark.parametrize("path", ["/", "/nowhere"])
def test_every_answer_has_them(client, path):
    found = client.get(path).headers
    assert (found["X-Content-Type-Options"], found["X-Frame-Options"]) == ("nosniff", "SAMEORIGIN")
    assert found["Referrer-Policy"] == "strict-origin-when-cross-origin"
    policy = found["Content-Security-Policy"]
    assert "frame-ancestors 'self'" in policy and "object-src 'none'" in policy
    assert "'unsafe-eval'" not in policy and "script-src 'self' blob: 'wasm-unsafe-eval' 'sha256-" in policy


def test_the_policy_names_the_tile_servers_that_are_allowed(client, monkeypatch):
    policy = client.get("/").headers["Content-Security-Policy"]
    assert "https://tiles.example.org:8443" in policy and "10.0.0.5" not in policy and "script-src *" not in policy
    headers.policy.clear()
    monkeypatch.setenv("LECDIFF_ALLOWED_HOSTS", "10.0.0.0/8")
    policy = client.get("/").headers["Content-Security-Policy"]
    assert "http://10.0.0.5" in policy and "tiles.example.org" not in policy


def test_the_policy_allows_the_imagery_of_a_city_that_comes_in_while_the_page_is_open(client, monkeypatch):
    for template, allowed in (("http://127.0.0.1:5/{z}/{x}/{y}", True), ("", False)):
        headers.policy.clear()
        monkeypatch.setenv("LECDIFF_TILE_URL", template)
        assert ("http://127.0.0.1:5" in client.get("/").headers["Content-Security-Policy"]) == allowed
