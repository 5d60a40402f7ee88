"""The Surges page in real Chromium: from the list to an event, and on to congestion."""

from browser import assert_nothing_is_cut_off, in_chromium, wait_until
from made_up_surges import made_up

pytestmark = in_chromium


def test_a_link_opens_an_event_and_the_list_another(flatland, visit):
    event = made_up(flatland).events["event_id"][2]
    visitor = visit(f"surges?city=flatland&event={event}", 1280, 800)
    page = visitor.page
    page.get_by_role("heading", name="Below the forecast at ST-07").wait_for()
    page.get_by_text("forecast →").wait_for()
    page.locator(".js-plotly-plot .hm").first.wait_for()
    assert_nothing_is_cut_off(page)
    visitor.shoot("surges")
    grid = page.locator("[data-testid=stDataFrame]").first.bounding_box()
    page.mouse.click(grid["x"] + 18, grid["y"] + 38 + 17)  # the box before the first row
    page.get_by_role("heading", name="Above the forecast at ST-04").wait_for()
    wait_until(page, "new URLSearchParams(location.search).get('event').endsWith('ST-04')")
    page.get_by_role("radio", name="Congestion ahead").click()
    page.get_by_role("heading", name="ST-00: forecast and capacity").wait_for()
    wait_until(page, "new URLSearchParams(location.search).get('show') === 'congestion'")
    visitor.shoot("congestion")
