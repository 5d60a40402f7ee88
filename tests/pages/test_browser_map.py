"""What the network map can be asked, and the tour, in real Chromium."""

import csv
import io
import re
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from browser import NOON, assert_nothing_is_cut_off, in_chromium, wait_until
from PIL import Image
from test_tour import STOPS

pytestmark = in_chromium


def choose_view(page, label):
    page.locator("[data-testid=stSelectbox] input[aria-label*='Colour by']").click()
    page.get_by_role("option", name=label, exact=True).click()


def query_of(page):
    return parse_qs(urlsplit(page.url).query)


def test_colours_of_the_forecast_play_and_comparing(visit):
    visitor = visit(f"?city=flatland&station=ST-04&t={NOON}", 1280, 800)
    page = visitor.page
    choose_view(page, "Risk of exceeding capacity")
    with page.expect_response(lambda answer: "by=risk" in answer.url) as told:
        page.locator(".lec-legend", has_text="Risk in 24").wait_for()
    assert told.value.ok and len(told.value.json()) == 12
    wait_until(page, "new URLSearchParams(location.search).get('by') === 'risk'")
    visitor.shoot("risk")
    page.get_by_role("button", name="Play").click()
    page.get_by_role("button", name="Pause").wait_for()
    page.locator(".lec-legend", has_text=re.compile(r"Risk Thu 12:\d0")).wait_for()
    page.get_by_role("button", name="Pause").click()
    page.get_by_role("button", name="Play").wait_for()
    page.locator("[data-testid=stSlider]").first.wait_for()
    page.get_by_text("Compare", exact=True).click()
    page.get_by_role("heading", name="1 station").wait_for()
    several = page.get_by_role("combobox", name="Stations to compare")
    several.focus()
    page.keyboard.type("Mast 7")
    page.keyboard.press("Enter")
    page.keyboard.press("Escape")
    page.get_by_role("heading", name="2 stations").wait_for()
    page.locator(".legendtext", has_text="ST-07").wait_for()
    wait_until(page, "new URLSearchParams(location.search).getAll('with').includes('ST-07')")
    assert query_of(page)["station"] == ["ST-04"]
    assert_nothing_is_cut_off(page)
    visitor.shoot("compared")
    page.reload()
    page.get_by_role("heading", name="2 stations").wait_for()


def test_numbers_picture_and_report_can_be_taken_away(visit):
    visitor = visit(f"?city=flatland&station=ST-04&t={NOON}", 1280, 1000)
    page = visitor.page
    page.locator(".lec-kept").wait_for()
    with page.expect_download() as loading:
        page.get_by_role("button", name="CSV").click(no_wait_after=True)
    rows = list(csv.DictReader(io.StringIO(Path(loading.value.path()).read_text())))
    assert len(rows) == 48 and rows[0]["station_id"] == "ST-04" and float(rows[0]["q95"]) >= float(rows[0]["q50"])
    with page.expect_download() as loading:
        page.get_by_role("button", name="PNG").press("Enter", no_wait_after=True)
    picture = Image.open(loading.value.path())
    assert loading.value.suggested_filename == "Flatland-ST-04-2025-06-12T1200.png"
    assert picture.size == (1840, 800) and len(picture.convert("RGB").getcolors(1 << 20)) > 20
    with page.expect_download() as loading:
        page.get_by_role("button", name="Report").click(no_wait_after=True)
    report = Path(loading.value.path()).read_text()
    paper = page.context.browser.new_page()
    asked = []
    paper.on("request", lambda request: asked.append(request.url))
    paper.set_content(report)
    assert paper.get_by_role("heading", name="ST-04").is_visible() and paper.locator("svg.chart").is_visible()
    assert paper.locator("img").evaluate("image => image.naturalWidth") == 256
    assert all(url.startswith("data:") for url in asked)
    pages = paper.pdf(format="A4", prefer_css_page_size=True)
    assert len(re.findall(rb"/Type\s*/Page\b", pages)) == 1
    paper.screenshot(path=visitor.shots() / "report.png", full_page=True)
    paper.close()


def test_the_tour_by_keyboard(visit):
    visitor = visit("tour?city=demo&stop=1", 1280, 800)
    page = visitor.page
    for number in range(1, STOPS + 1):
        page.get_by_text(f"Stop {number} of {STOPS}").wait_for()
        wait_until(page, f"new URLSearchParams(location.search).get('stop') === '{number}'")
        if page.get_by_text("left their forecasts with it").count():
            page.locator(".legendtext", has_text="observed since").wait_for()
            visitor.shoot("tour-surge")
            page.get_by_role("link", name="All surges").wait_for()
        if number < STOPS:
            page.get_by_role("button", name="Next").focus()
            page.keyboard.press("Enter")
    page.get_by_role("button", name="From the start").wait_for()
    page.get_by_role("heading", name="What if?").wait_for()
    page.get_by_role("button", name="Back").press("Enter")
    page.get_by_text(f"Stop {STOPS - 1} of {STOPS}").wait_for()
