"""The app in real Chromium, served by `lecdiff app` from an empty folder: fixtures and what a visitor does there."""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from tile_host import tile_host
from visitor import picture

from lecdiff_core.city.folder import City
from pages.parts.map.station_map import WORLD, mercator, view_of

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
in_chromium = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium; on Debian: apt-get install chromium"),
]
SCREENSHOTS = Path(__file__).resolve().parents[1] / "screenshots"
FLAGS = [
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
]
ONLY_LOOPBACK = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost"
# What Streamlit itself writes into the console: it probes for its server under a page's path.
ALLOWED = re.compile(r"_stcore/(health|host-config)")
TILES_FAILED = re.compile(r"Failed to fetch|net::ERR_EMPTY_RESPONSE|net::ERR_CONNECTION")
PATIENCE = 180_000  # ms: a cold Chromium and server on a crowded machine
NOON = "2025-06-12T12:00"


@pytest.fixture(scope="session")
def tiles():
    with tile_host(picture((60, 80, 120))) as host:
        yield host


@pytest.fixture(scope="session")
def server(cities_folder, tiles, tmp_path_factory):
    """Address of the app on the shared cities."""
    with serving(
        cities_folder, tiles.template, tmp_path_factory.mktemp("server"), cities_folder / "flatland"
    ) as address:
        yield address


@contextmanager
def serving(root: Path, tiles: str, scratch: Path, *city: Path) -> Iterator[str]:
    """The app over the cities in `root`, started as a person starts it in an empty folder of `scratch`; its address."""
    port, empty, log = free_port(), scratch / "empty", scratch / "log"
    empty.mkdir()
    start = "from lecdiff_core.cli import main; main()"
    words = ["app", *map(str, city), "--port", str(port), "--headless"]
    environment = os.environ | {"LECDIFF_CITIES": str(root), "LECDIFF_TILE_URL": tiles}
    environment.pop("LECDIFF_CITY", None)
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", start, *words], cwd=empty, env=environment, stdout=output, stderr=output
        )
    try:
        wait_for(port, process, log)
        yield f"http://127.0.0.1:{port}"
        assert "Traceback" not in log.read_text()
        assert "external" not in log.read_text().lower(), "Streamlit asked a host outside for this machine's address"
    finally:
        process.terminate()
        process.wait(20)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(port: int, process: subprocess.Popen, log: Path) -> None:
    for _ in range(240):
        assert process.poll() is None, log.read_text()
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                return
        except OSError:
            time.sleep(0.25)
    raise AssertionError(f"the app did not start: {log.read_text()}")


@pytest.fixture(scope="session")
def chromium():
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(headless=True, executable_path=CHROMIUM, args=[*FLAGS, ONLY_LOOPBACK])
        yield browser
        browser.close()


class Visitor:
    """One tab, with all that it asked for and complained about."""

    def __init__(self, chromium, server: str, width: int, height: int, scheme: str) -> None:
        self.page = chromium.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
        self.page.set_default_timeout(PATIENCE)
        self.server, self.asked, self.errors = server, [], []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("dialog", lambda dialog: self.errors.append(f"dialog: {dialog.message}"))
        self.page.on("console", self._console)

    def _console(self, message) -> None:
        text = f"{message.text} {message.location.get('url', '')}"
        if message.type == "error" and not ALLOWED.search(text):
            self.errors.append(text)

    def open(self, link: str) -> None:
        self.page.goto(f"{self.server}/{link}", wait_until="commit")
        self.page.locator(".lec-attribution, .lec-tour").first.wait_for()

    def heading(self, text: str):
        return self.page.get_by_role("heading", name=text, exact=True)

    def click_station(self, city: City, station_id: str) -> None:
        """Hover until the tooltip names the station, which shows that data and shaders are there, then click."""
        from playwright.sync_api import TimeoutError as TooLate

        tooltip, last = self.page.locator(".deck-tooltip"), time.monotonic() + PATIENCE / 1000
        while time.monotonic() < last:
            x, y = self._place_of(city, station_id)
            for aside in (-1, 0, 1):
                self.page.mouse.move(x + aside, y)
                self.page.wait_for_timeout(250)
            if tooltip.count() and station_id in (tooltip.text_content() or "") and tooltip.is_visible():
                self.page.mouse.down()
                self.page.mouse.up()
                try:
                    self.heading(station_id).wait_for(timeout=8000)
                except TooLate:
                    continue
                return
        self.shoot("not-clicked")
        raise AssertionError(f"{station_id} could not be clicked at ({x:.0f}, {y:.0f})")

    def _place_of(self, city: City, station_id: str) -> tuple[float, float]:
        """Where the station is on the screen now, in pixels: the map may still be finding its size."""
        box = self.page.locator("[data-testid=stDeckGlJsonChart]").bounding_box()
        seen = view_of(city, None, (box["width"], box["height"]))
        place, scale = city.stations.geometry[city.station_ids.index(station_id)], WORLD * 2 ** seen["zoom"]
        east = (place.x - seen["longitude"]) / 360 * scale
        north = (mercator(place.y) - mercator(seen["latitude"])) * scale
        return box["x"] + box["width"] / 2 + east, box["y"] + box["height"] / 2 - north

    def shots(self) -> Path:
        """Where screenshots are kept."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        return SCREENSHOTS

    def shoot(self, name: str) -> None:
        self.page.screenshot(path=self.shots() / f"{name}.png")


@pytest.fixture
def visit(chromium, server):
    """Opens a tab at a link; afterwards no host but this machine may have been asked, and no error may be in the console."""
    visitors = []

    def opened(link: str, width: int = 1100, height: int = 800, scheme: str = "light") -> Visitor:
        visitors.append(Visitor(chromium, server, width, height, scheme))
        visitors[-1].open(link)
        return visitors[-1]

    yield opened
    for visitor in visitors:
        visitor.page.close()
        hosts = {urlsplit(url).hostname for url in visitor.asked if not url.startswith(("data:", "blob:"))}
        assert hosts == {"127.0.0.1"}
        assert visitor.errors == [], visitor.errors


def wait_until(page, expression: str) -> None:
    """Wait until a JavaScript expression is true. Asked from outside: the page's policy lets no text be evaluated in it."""
    last = time.monotonic() + PATIENCE / 1000
    while not page.evaluate(expression):
        assert time.monotonic() < last, f"never true: {expression}"
        page.wait_for_timeout(100)


def assert_nothing_is_cut_off(page, height=None):
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    cut = page.evaluate(
        "[...document.querySelectorAll('h1, h2, dt, dd, .lec-under span, button p')]"
        ".filter(e => e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).display !== 'inline').map(e => e.innerText)"
    )
    assert cut == []
    if height is not None:
        slider = page.locator("[data-testid=stSlider]").last.bounding_box()
        assert slider["y"] + slider["height"] <= height
