"""The Data page in real Chromium: from a little CSV to a training that survives a reload, is stopped and goes on."""

import re
from pathlib import Path

import numpy as np
import pytest
from browser import Visitor, assert_nothing_is_cut_off, in_chromium, serving, wait_until

from lecdiff_core.city.folder import City
from lecdiff_core.jobs import background

pytestmark = in_chromium
DAYS = 22
STATIONS = ("A1", "B2", "C3", "<i>D4")


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """Hourly traffic of four stations, and their places."""
    rng = np.random.default_rng(0)
    rows = [
        f"{station},2024-03-{4 + hour // 24:02d}T{hour % 24:02d}:00,{level * (2 + np.sin(hour % 24 / 4)) * rng.gamma(20, 0.05):.2f}"
        for level, station in enumerate(STATIONS, start=1)
        for hour in range(24 * DAYS)
    ]
    traffic, places = tmp_path / "traffic.csv", tmp_path / "places.csv"
    traffic.write_text("station_id,timestamp,traffic\n" + "\n".join(rows))
    places.write_text("station_id,lon,lat\n" + "\n".join(f"{s},{9 + 0.01 * i},45.4" for i, s in enumerate(STATIONS)))
    return traffic, places


@pytest.fixture
def served(tmp_path: Path):
    """Address of the app over an empty cities folder, and that folder."""
    root = tmp_path / "cities"
    root.mkdir()
    try:
        with serving(root, "", tmp_path) as address:
            yield address, root
    finally:
        for city in root.iterdir():
            for job in background.jobs(city):
                background.cancel(job, grace=5)


def test_from_a_csv_to_a_training_that_survives_a_reload(chromium, served, files):
    address, root = served
    visitor = Visitor(chromium, address, 1280, 800, "light")
    page = visitor.page
    page.goto(f"{address}/data?step=import", wait_until="commit")
    import_a_city(page, files)
    city = City.open(root / "little-harbour")
    assert city.station_ids == STATIONS
    page.get_by_text("528 of 1h").wait_for()
    page.get_by_role("button", name="Open the city").click()
    page.get_by_role("heading", name="What Little Harbour holds").wait_for()
    start_training(page)
    bar = page.get_by_text(re.compile(r"epoch \d+ of at most")).first
    bar.wait_for()
    visitor.shoot("data-training")
    page.reload()
    bar.wait_for()
    assert_nothing_is_cut_off(page)
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Resume").wait_for()
    (job,) = [one for one in background.jobs(city.path) if one.step == "train"]
    assert job.state == "stopped" and "--model=timegrad" in job.order.options
    assert background.jobs(city.path)[0].id == job.id
    page.get_by_role("button", name="Resume").click()
    page.get_by_role("button", name="Cancel").wait_for()
    page.emulate_media(color_scheme="dark")
    wait_until(page, "getComputedStyle(document.querySelector('.stApp')).backgroundColor === 'rgb(15, 23, 29)'")
    visitor.shoot("data-dark")
    assert page.locator("i", has_text="D4").count() == 0
    page.close()
    assert background.find(city.path, job.id).state == "running"
    assert visitor.errors == []


def test_a_look_is_corrected_after_a_reload_and_imported_with_the_same_upload(chromium, served, files):
    address, root = served
    visitor = Visitor(chromium, address, 1280, 900, "light")
    page = visitor.page
    page.goto(f"{address}/data?step=import", wait_until="commit")
    upload(page, files)
    name_it(page)
    page.get_by_role("button", name="Look before importing").click()
    retry = page.get_by_role("button", name="Correct and retry")
    retry.wait_for()
    assert page.get_by_text("use the Interval 1h").count() == 2  # in the form, and under Jobs
    uploads = uploaded(visitor)
    page.reload()
    retry.click()
    page.get_by_text("First rows of traffic.csv").wait_for()
    wait_until(page, "document.querySelector('input[aria-label=\"Name of the city\"]')?.value === 'Little Harbour'")
    choose(page, "import_interval", "1 hour")
    page.get_by_role("button", name="Look before importing").click()
    page.get_by_role("heading", name="What would be imported").scroll_into_view_if_needed()
    page.locator("[data-testid=stDeckGlJsonChart]").wait_for()
    assert_nothing_is_cut_off(page)
    visitor.shoot("data-look")
    assert not (root / "little-harbour" / "city.toml").exists()
    page.get_by_role("button", name="Import", exact=True).click()
    page.get_by_role("button", name="Open the city").wait_for()
    assert City.open(root / "little-harbour").station_ids == STATIONS and uploaded(visitor) == uploads
    page.get_by_text("Places of the stations").wait_for()
    assert page.get_by_text("What would be imported").count() == 0
    page.close()
    assert visitor.errors == []


def uploaded(visitor) -> int:
    """Requests that carried a file to the server."""
    return sum("upload_file" in url for url in visitor.asked)


def upload(page, files) -> None:
    inputs = page.locator("[data-testid=stFileUploaderDropzoneInput]")
    inputs.nth(0).set_input_files(files[0])
    page.get_by_text("First rows of traffic.csv").wait_for()
    inputs.nth(1).set_input_files(files[1])
    page.get_by_text("First rows of places.csv").wait_for()


def name_it(page) -> None:
    name = page.get_by_role("textbox", name="Name of the city")
    name.fill("Little Harbour")
    name.press("Enter")


def import_a_city(page, files) -> None:
    upload(page, files)
    choose(page, "import_interval", "1 hour")
    page.get_by_role("textbox", name="Unit").fill("MB")
    name_it(page)
    start = page.get_by_role("button", name="Import", exact=True)
    start.click()  # waits until it can be clicked
    page.get_by_role("button", name="Open the city").wait_for()


def start_training(page) -> None:
    """Of a model that is slow to validate, so that it is still at work when the test comes back to it."""
    page.get_by_text("No model has been trained yet.").click()
    choose(page, "train_model", "TimeGrad")
    button = page.get_by_role("button", name="Train", exact=True)
    button.scroll_into_view_if_needed()
    button.click()


def choose(page, key: str, words: str) -> None:
    """By keyboard, in the box of this key. Its list closes where the page still scrolls or is drawn again: then once more."""
    from playwright.sync_api import TimeoutError as TooLate

    box = page.locator(f".st-key-{key}").get_by_role("combobox")
    option = page.get_by_role("option", name=words, exact=True)
    drawn = page.locator("[data-testid=stApp][data-test-script-state=notRunning]")
    for _ in range(20):
        drawn.wait_for()
        box.scroll_into_view_if_needed()
        page.wait_for_timeout(500)
        box.focus()
        page.keyboard.type(words)
        try:
            option.wait_for(timeout=5000)
        except TooLate:
            page.keyboard.press("Escape")
            continue
        page.keyboard.press("Enter")
        option.wait_for(state="hidden")
        box.blur()  # what was only typed would go now
        drawn.wait_for()
        page.wait_for_timeout(500)
        if box.input_value() == words:
            return
    raise AssertionError(f"{words} could not be chosen")
