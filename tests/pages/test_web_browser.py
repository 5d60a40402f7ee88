"""Below a path of its own, and under the content security policy, in real Chromium."""

import time
from contextlib import ExitStack

import pytest
from browser import PATIENCE, Visitor, in_chromium, serving

pytestmark = in_chromium


@pytest.fixture(scope="module")
def below_a_path(cities_folder, tiles, tmp_path_factory):
    with ExitStack() as stack:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("STREAMLIT_SERVER_BASE_URL_PATH", "lec")
            scratch = tmp_path_factory.mktemp("below")
            root = stack.enter_context(serving(cities_folder, tiles.template, scratch, cities_folder / "flatland"))
        yield f"{root}/lec"


def kinds_of(answers):
    """The content type of what was observed of a city, by its kind."""
    return {url.split("/city/")[1].split("/")[1].partition("?")[0]: kind for url, kind in answers if "/city/" in url}


def test_tiles_chips_and_stations_come_below_the_path(chromium, below_a_path):
    visitor = Visitor(chromium, below_a_path, 1100, 800, "light")
    answers = []
    visitor.page.on("response", lambda answer: answers.append((answer.url, answer.headers.get("content-type"))))
    visitor.open("environment?city=flatland")
    visitor.page.locator("img[src*='/chips/']").first.wait_for()
    visitor.open("?city=flatland")
    expected = {"tiles": "image/jpeg", "chips": "image/jpeg", "stations.json": "application/json"}
    last = time.monotonic() + PATIENCE / 1000
    while kinds_of(answers) != expected and time.monotonic() < last:
        visitor.page.wait_for_timeout(100)
    assert kinds_of(answers) == expected
    assert all("/lec/city/" in url for url, _ in answers if "/city/" in url)
    assert visitor.errors == []
    visitor.page.close()


@pytest.mark.parametrize("text", ["https://evil.example", "www.evil.example", "a@b.example"])
def test_what_a_link_says_never_becomes_a_link(visit, text):
    visitor = visit(f"?city=flatland&station={text}")
    notice = visitor.page.locator("[data-testid=stAlert]").filter(has_text="has no station")
    notice.wait_for()
    assert text in notice.inner_text().replace("\u2060", "")
    assert notice.locator("a").count() == 0
