"""A new site, put on the map by a click, in real Chromium."""

from browser import assert_nothing_is_cut_off, in_chromium, wait_until

pytestmark = in_chromium


def test_a_click_on_the_map_puts_a_site_and_another_one_ranks_them(visit):
    visitor = visit("new-site?city=flatland", 1280, 900)
    page = visitor.page
    chart = page.locator("[data-testid=stDeckGlJsonChart]")
    chart.wait_for()
    box = chart.bounding_box()
    put(page, box["x"] + 0.37 * box["width"], box["y"] + 0.41 * box["height"], "Site A")
    page.get_by_text("Stations around, mean load before and after").wait_for()
    put(page, box["x"] + 0.62 * box["width"], box["y"] + 0.58 * box["height"], "Site B")
    page.get_by_role("columnheader", name="Taken from neighbours").wait_for()
    wait_until(page, "new URLSearchParams(location.search).getAll('site').length === 2")
    assert_nothing_is_cut_off(page)
    visitor.shoot("new-site")
    page.reload()
    page.get_by_role("heading", name="Site B").wait_for()


def put(page, x: float, y: float, heading: str) -> None:
    """Click a cell, again where the browser was too busy to take the click."""
    for _ in range(5):
        page.mouse.move(x, y)
        page.locator(".deck-tooltip", has_text="Put a site here").wait_for()
        page.mouse.down()
        page.mouse.up()
        try:
            page.get_by_role("heading", name=heading).wait_for(timeout=20_000)
            return
        except Exception as error:  # noqa: BLE001 (Playwright's own)
            last = error
    raise last
