"""The map page in real Chromium, served by `lecdiff app` from an empty folder."""

import http.client
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from tile_host import tile_host
from visitor import ENCODER, HOSTILE_ID, HOSTILE_NAME, INJECTION, MODEL, picture

from lecdiff_core.city.folder import City
from pages.parts.map import WORLD, mercator, view_of

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = [
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
PATIENCE = 60_000
NOON = "2025-06-12T12:00"


@pytest.fixture(scope="module")
def tiles():
    with tile_host(picture((60, 80, 120))) as host:
        yield host


@pytest.fixture(scope="module")
def server(cities_folder, tiles, tmp_path_factory):
    """Address of the app, started as a person starts it."""
    empty, port = tmp_path_factory.mktemp("empty"), free_port()
    log = tmp_path_factory.mktemp("server") / "log"
    start = "from lecdiff_core.cli import main; main()"
    words = ["app", str(cities_folder / "flatland"), "--port", str(port), "--headless"]
    environment = os.environ | {"LECDIFF_CITIES": str(cities_folder), "LECDIFF_TILE_URL": tiles.template}
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


@pytest.fixture(scope="module")
def chromium():
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
        self.page.goto(f"{self.server}/{link}")
        self.page.locator(".lec-under").wait_for()

    def heading(self, text: str):
        return self.page.get_by_role("heading", name=text, exact=True)

    def click_station(self, city: City, station_id: str) -> None:
        """Hover until the tooltip names the station, which shows that data and shaders are there, then click."""
        box = self.page.locator("[data-testid=stDeckGlJsonChart]").bounding_box()
        seen, place = view_of(city, None), city.stations.geometry[city.station_ids.index(station_id)]
        scale = WORLD * 2 ** seen["zoom"]
        x = box["x"] + box["width"] / 2 + (place.x - seen["longitude"]) / 360 * scale
        y = box["y"] + box["height"] / 2 - (mercator(place.y) - mercator(seen["latitude"])) * scale
        tooltip = self.page.locator(".deck-tooltip")
        for attempt in range(120):
            self.page.mouse.move(x + attempt % 3 - 1, y)
            self.page.wait_for_timeout(250)
            if tooltip.count() and station_id in (tooltip.text_content() or "") and tooltip.is_visible():
                self.page.mouse.down()
                self.page.mouse.up()
                try:
                    self.heading(station_id).wait_for(timeout=8000)
                except playwright.TimeoutError:
                    continue
                return
        raise AssertionError(f"{station_id} could not be clicked at ({x:.0f}, {y:.0f})")

    def shoot(self, name: str) -> None:
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=SCREENSHOTS / f"{name}.png")


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
        assert visitor.errors == []


def test_from_a_click_on_the_map_to_the_forecast_and_on(visit, cities_folder):
    visitor = visit(f"?city=flatland&t={NOON}")
    visitor.click_station(City.open(cities_folder / "flatland"), "ST-04")
    page = visitor.page
    page.get_by_text("forecast →").wait_for()
    page.get_by_text(f"Model {MODEL}, computed on CPU").wait_for()
    page.locator(".legendtext", has_text="90 % interval").wait_for()
    page.locator(".legendtext", has_text="observed since").wait_for()
    page.wait_for_function("document.querySelector('.lec-chip img').naturalWidth === 256")
    assert parse_qs(urlsplit(page.url).query)["station"] == ["ST-04"]
    assert any("/city/flatland/tiles/1" in url for url in visitor.asked)
    assert page.get_by_text("Drawn by hand").is_visible()
    visitor.shoot("station")
    search_by_keyboard(visitor)
    move_the_slider(visitor)
    for width, height, scheme in ((1280, 800, "light"), (1920, 1080, "dark")):
        page.set_viewport_size({"width": width, "height": height})
        page.emulate_media(color_scheme=scheme)
        page.wait_for_timeout(2000)
        visitor.shoot(f"{width}-{scheme}")
        assert_nothing_is_cut_off(page, height)


def search_by_keyboard(visitor):
    visitor.page.get_by_role("combobox", name="Station").focus()
    visitor.page.keyboard.type("Mast 7")
    visitor.page.keyboard.press("Enter")
    visitor.heading("ST-07").wait_for()


def move_the_slider(visitor):
    page = visitor.page
    page.locator("[data-testid=stSlider] input").first.focus()
    with page.expect_request(lambda request: "stations.json?at=2025-06-12T12%3A30" in request.url):
        page.keyboard.press("ArrowRight")
    page.wait_for_function("new URLSearchParams(location.search).get('t').startsWith('2025-06-12T12:30')")
    page.get_by_text("Load 12:00–12:30").wait_for()


def assert_nothing_is_cut_off(page, height=None):
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    cut = page.evaluate(
        "[...document.querySelectorAll('h1, h2, dt, dd, .lec-under span, button p')]"
        ".filter(e => e.scrollWidth > e.clientWidth + 1 && getComputedStyle(e).display !== 'inline').map(e => e.innerText)"
    )
    assert cut == []
    if height is not None:
        slider = page.locator("[data-testid=stSlider]").bounding_box()
        assert slider["y"] + slider["height"] <= height


def test_another_city_lies_on_arcgis_imagery_and_without_it_on_a_plain_ground(visit, tiles, cities_folder):
    tiles.asked.clear()
    visitor = visit(f"?city=north/milan&t={NOON}")
    page = visitor.page
    for _ in range(240):
        if len(tiles.asked) > 4:
            break
        page.wait_for_timeout(250)
    assert len(tiles.asked) > 4 and all(path.startswith("/tile/") for path in tiles.asked)
    assert page.get_by_role("link", name="Esri").get_attribute("href") == "https://www.esri.com"
    assert page.get_by_text("Powered by Esri").is_visible()
    plain = page.get_by_text("Satellite tiles cannot be reached, showing a plain background.")
    assert not plain.is_visible()
    visitor.shoot("milan")
    tiles.reachable = False
    try:
        page.reload()
        plain.wait_for()
        visitor.click_station(City.open(cities_folder / "north" / "milan"), "ST-06")
        page.get_by_text("This city has no trained model yet").wait_for()
        visitor.shoot("milan-without-tiles")
    finally:
        tiles.reachable = True
    visitor.errors = [error for error in visitor.errors if not TILES_FAILED.search(error)]


def test_hostile_names_are_shown_as_text(visit, cities_folder):
    visitor = visit("?city=hostile")
    page = visitor.page
    visitor.heading(HOSTILE_NAME).wait_for()
    visitor.click_station(City.open(cities_folder / "hostile"), HOSTILE_ID)
    assert page.locator(".deck-tooltip").text_content().startswith(HOSTILE_NAME)
    assert page.locator("h2").inner_text() == HOSTILE_ID
    assert "<b>MB</b>" in page.locator(".ytitle").first.text_content()
    page.get_by_role("button", name="All stations").click()
    page.get_by_role("button", name=HOSTILE_ID).wait_for()
    assert page.locator("img[src=x]").count() == 0
    visitor.shoot("hostile")


def test_surroundings_from_the_description_to_a_lookalike_and_to_words(visit):
    visitor = visit("environment?city=flatland&station=ST-04", 1280, 800)
    page = visitor.page
    page.locator("del", has_text="A lake lies in the <i>north</i>.").wait_for()
    assert page.get_by_text("Removed: claims some water; measured 0%.").is_visible()
    assert page.get_by_text(INJECTION.strip()).is_visible()
    alike = page.locator("[class*=st-key-chips-alike]").get_by_role("button", name="ST-05")
    alike.locator("img").wait_for()
    page.wait_for_function("[...document.querySelectorAll('button img')].every(e => e.naturalWidth === 256)")
    assert_nothing_is_cut_off(page)
    visitor.shoot("environment")
    alike.click()
    visitor.heading("ST-05").wait_for()
    page.get_by_text("measured from the image, no language model").wait_for()
    page.wait_for_function("new URLSearchParams(location.search).get('station') === 'ST-05'")
    click_a_dot(page)
    if ENCODER.is_dir():
        page.get_by_role("textbox", name="What should stand there").fill("rail yard beside housing")
        page.keyboard.press("Enter")
        found = page.locator("[class*=st-key-chips-found] button")
        found.first.wait_for()
        wanted = found.last.locator("strong").inner_text()
        found.filter(has=page.locator("strong", has_text=wanted)).click()  # more may have come behind it since
        visitor.heading(wanted).wait_for()
    page.get_by_role("link", name="Its forecast on the network map").click()
    page.locator("[data-testid=stSlider]").wait_for()


def click_a_dot(page):
    dots = page.locator(".scatterlayer .trace").first.locator("path.point")
    dots.first.scroll_into_view_if_needed()
    box = dots.first.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.locator(".hoverlayer").get_by_text("ST-00").wait_for()
    page.mouse.down()
    page.mouse.up()
    page.get_by_role("heading", name="ST-00", exact=True).wait_for()


def test_no_address_leads_out_of_the_cities(server):
    host = urlsplit(server).netloc
    for path in (
        "/city/../secret/stations.json",
        "/city/%2e%2e/secret/chips/x",
        "/city/%2e%2e%2fsecret/chips/x",
        "/city/flatland/chips/..%2f..%2fcity.toml",
        "/city/flatland/chips/..%5c..%5c..%5ccity.toml",
        "/city/%2fetc/chips/passwd",
        "//etc/city/flatland/chips/x",
    ):
        connection = http.client.HTTPConnection(host, timeout=20)
        connection.request("GET", path)
        answer = connection.getresponse()
        assert answer.status in (400, 404), path
        assert b"not for you" not in answer.read()
        connection.close()
