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
    """Hover until the tooltip offers the cell, then click; again where a busy browser lost the click."""
    tooltip = page.locator(".deck-tooltip", has_text="Put a site here")
    for turn in range(200):
        page.mouse.move(x + turn % 3, y)
        page.wait_for_timeout(250)
        if not (tooltip.count() and tooltip.is_visible()):
            continue
        page.mouse.down()
        page.mouse.up()
        for _ in range(40):  # an answer may take a while
            page.wait_for_timeout(250)
            if page.get_by_role("heading", name=heading, exact=True).count():
                return
    raise AssertionError(f"no {heading} at ({x:.0f}, {y:.0f})")
