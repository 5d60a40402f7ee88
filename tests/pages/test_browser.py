"""The pages in real Chromium, served by `lecdiff app` from an empty folder."""

import http.client
from urllib.parse import parse_qs, urlsplit

from browser import NOON, TILES_FAILED, assert_nothing_is_cut_off, in_chromium, wait_until
from visitor import ENCODER, HOSTILE_ID, HOSTILE_NAME, INJECTION, MODEL

from lecdiff_core.city.folder import City

pytestmark = in_chromium


def test_from_a_click_on_the_map_to_the_forecast_and_on(visit, cities_folder):
    visitor = visit(f"?city=flatland&t={NOON}")
    visitor.click_station(City.open(cities_folder / "flatland"), "ST-04")
    page = visitor.page
    page.get_by_label("Observed and forecast load of ST-04").get_by_text("forecast →").wait_for()
    page.get_by_text(f"Model {MODEL}, computed on CPU").wait_for()
    page.locator(".legendtext", has_text="90 % interval").wait_for()
    page.locator(".legendtext", has_text="observed since").wait_for()
    wait_until(page, "document.querySelector('.lec-chip img').naturalWidth === 256")
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
    page.locator("[data-testid=stSlider]").filter(has_text="at (").locator("input").first.focus()
    with page.expect_request(lambda request: "stations.json?at=2025-06-12T12%3A30" in request.url):
        page.keyboard.press("ArrowRight")
    wait_until(page, "new URLSearchParams(location.search).get('t').startsWith('2025-06-12T12:30')")
    page.get_by_text("Load 12:00–12:30").wait_for()


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
        page.get_by_text("This city has no model of its own yet").wait_for()
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
    wait_until(page, "[...document.querySelectorAll('button img')].every(e => e.naturalWidth === 256)")
    assert_nothing_is_cut_off(page)
    visitor.shoot("environment")
    alike.click()
    visitor.heading("ST-05").wait_for()
    page.get_by_text("measured from the image, no language model").wait_for()
    wait_until(page, "new URLSearchParams(location.search).get('station') === 'ST-05'")
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
    page.locator("[data-testid=stSlider]").first.wait_for()


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
