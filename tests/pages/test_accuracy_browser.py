"""The Accuracy page in real Chromium."""

import made_up_results
from browser import assert_nothing_is_cut_off, in_chromium

from lecdiff_core.city.folder import City
from lecdiff_core.city.layout import benchmark_file

pytestmark = in_chromium


def test_how_good_the_forecasts_of_a_measured_city_are(visit, cities_folder):
    flatland = City.open(cities_folder / "flatland")
    file = benchmark_file(flatland.path, "test")
    results = made_up_results.city_results(flatland.station_ids)
    made_up_results.write(file, made_up_results.benchmark("Flatland", results))
    try:
        visitor = visit("accuracy?city=flatland", 1280, 800)
        page = visitor.page
        page.get_by_text("ST-11 has the highest").wait_for()
        page.locator(".js-plotly-plot").nth(5).wait_for()
        page.get_by_text("LEC-Diff wins").first.wait_for()
        assert_nothing_is_cut_off(page)
        visitor.shoot("accuracy")
        page.get_by_text("All figures").click()
        page.get_by_test_id("stDataFrame").wait_for()
    finally:
        file.unlink()
