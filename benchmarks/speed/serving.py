"""What the network map costs on a large town: clicks, reruns, bytes, and the first paint in a browser.

    python -m benchmarks.speed.serving [--stations 8000] [--clicks 40] [--browser]

Generates a town of so many stations without imagery, gives it the demo city's model and embeddings drawn from the demo city's, and
measures a session over a websocket (visits.py): from click to chart and to the end of the page's run, a rerun of the page
with nothing changed, the bytes that each sends, and the stations fetched by URL. `--browser` adds Chromium: first paint, and the
time until the map's stations came. Writes `benchmarks/results/serving.json`, a town beside the other.
"""

import argparse
import json
import os
import shutil
import tempfile
import time
import urllib.request
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.record import RESULTS, record
from benchmarks.speed.visits import Run, Visit, server
from lecdiff_core.assets import assets_folder
from lecdiff_core.city.folder import City
from lecdiff_core.demo.town import generate_town
from lecdiff_core.environment.embedding.table import EnvironmentTable, read_environment, write_environment
from pages.parts.data import traffic_levels

WARM = 3  # clicks that are not counted
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = ("--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")


def make_town(folder: Path, stations: int, days: int) -> City:
    """A town that can be forecast, without imagery."""
    city = generate_town(folder, stations, seed=1, days=days, imagery=False)
    demo = City.open(assets_folder() / "demo")
    shutil.copytree(demo.model_folder("lec-diff"), city.model_folder("lec-diff"))
    table = read_environment(demo)
    assert table is not None
    rows = np.random.default_rng(0).integers(0, len(table.station_ids), stations)
    parts = (np.ascontiguousarray(part[rows]) for part in (table.image, table.text, table.unified))
    digests = tuple(table.image_sha256[row] for row in rows)
    write_environment(city, EnvironmentTable(city.station_ids, *parts, table.encoder, digests))
    return city


def spread(values: list[float]) -> dict[str, int]:
    """Median and 95th percentile of seconds, in milliseconds."""
    return {f"p{level}_ms": round(1000 * float(np.quantile(values, level / 100))) for level in (50, 95)}


def sessions(port: int, city: City, clicks: int) -> dict:
    """Clicks and reruns of one session."""
    visit = Visit(port, f"city={city.path.name}")
    first = visit.open()
    ids = np.random.default_rng(0).permutation(city.station_ids)[: clicks + WARM].tolist()
    runs: list[Run] = [visit.click(station_id) for station_id in ids][WARM:]
    again = [visit.rerun() for _ in range(clicks)]
    errors = [error for run in (first, *runs, *again) for error in run.errors]
    assert not errors, errors
    assert all(f"<h2>{ids[-1]}</h2>" in " ".join(run.texts) for run in again)
    visit.close()
    return {
        "first_run_ms": round(1000 * first.seconds),
        "click_to_chart": spread([run.chart_seconds or run.seconds for run in runs]),
        "click_to_end": spread([run.seconds for run in runs]),
        "rerun": spread([run.seconds for run in again]),
        "largest_click_kb": round(max(run.sent_bytes for run in runs) / 1000, 1),
        "largest_rerun_kb": round(max(run.sent_bytes for run in again) / 1000, 1),
    }


def stations_by_url(port: int, city: City) -> dict:
    """Size and time of the stations' own address, which a browser asks for once a time and view."""
    origin = traffic_levels.opening_time(city, pd.Timestamp.now(tz=city.meta.timezone)).isoformat()
    address = f"http://127.0.0.1:{port}/city/{city.path.name}/stations.json?at={urllib.request.quote(origin)}"
    request = urllib.request.Request(address, headers={"Accept-Encoding": "gzip"})
    seconds, size = [], 0
    for _ in range(5):
        begun = time.perf_counter()
        with urllib.request.urlopen(request, timeout=600) as answer:
            size = len(answer.read())
        seconds.append(time.perf_counter() - begun)
    return {"stations_url_kb": round(size / 1000), "stations_url_ms": round(1000 * float(np.median(seconds)))}


def in_browser(port: int, city: City) -> dict:
    """First paint and the arrival of the stations in Chromium with software rendering, the server warm."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        browser = started.chromium.launch(headless=True, executable_path=CHROMIUM, args=list(FLAGS))
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        begun = time.perf_counter()
        with page.expect_response(lambda answer: "stations.json" in answer.url, timeout=300_000) as stations:
            page.goto(f"http://127.0.0.1:{port}/?city={city.path.name}")
        stations.value.finished()
        arrived = time.perf_counter() - begun
        paint = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
        first = page.evaluate(paint)
        browser.close()
    return {"first_paint_ms": round(first), "stations_arrived_ms": round(1000 * arrived)}


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stations", type=int, default=8000)
    parser.add_argument("--days", type=int, default=14)
    parser.add_argument("--clicks", type=int, default=40)
    parser.add_argument("--browser", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        city = make_town(Path(folder) / "town", options.stations, options.days)
        load = os.getloadavg()[0]
        with server(city.path) as (port, process):
            town = {"days": options.days, "clicks": options.clicks, **sessions(port, city, options.clicks)}
            town |= stations_by_url(port, city)
            if options.browser:
                town |= in_browser(port, city)
            town |= {"server_memory_mb": round(process.memory_info().rss / 2**20), "load_average": round(load, 1)}
    file = RESULTS / "serving.json"
    others = json.loads(file.read_text("utf-8"))["towns"] if file.is_file() else {}
    towns = others | {str(options.stations): town}
    record(
        "serving", {"what": "the network map over a websocket, warm", "towns": dict(sorted(towns.items(), key=_size))}
    )


def _size(town: tuple[str, dict]) -> int:
    return int(town[0])


if __name__ == "__main__":
    main()
