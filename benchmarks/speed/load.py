"""Ten visitors at once for a minute, each with a click every two seconds, against one server.

    python -m benchmarks.speed.load [CITY] [--visitors 10] [--seconds 60]

Every visitor is a real session over a websocket (visits.py) without a browser: drawing is left out. The next click is sent two
seconds after the one before, or as soon as that was answered where this takes longer; how often it did is told. Told are also
errors, the time from click to chart, whether the last click is what is shown, in the end and after three at once, and the server's
memory beside that after one visitor, which tells whether the model is there once. Writes `benchmarks/results/load.json`.
"""

import argparse
import os
import threading
import time
from pathlib import Path

import numpy as np

from benchmarks.record import record
from benchmarks.speed.visits import Run, Visit, server
from lecdiff_core.assets import assets_folder
from lecdiff_core.city.folder import City

PAUSE_SECONDS = 2.0


def visitor(port: int, link: str, stations: list[str], seconds: float, outcomes: list[dict]) -> None:
    """One visitor's minute, its outcome appended to `told`."""
    visit = Visit(port, link)
    visit.open()
    runs: list[Run] = []
    begun, errors = time.monotonic(), list[str]()
    for number, station_id in enumerate(stations[: int(seconds / PAUSE_SECONDS)]):
        time.sleep(max(0.0, begun + number * PAUSE_SECONDS - time.monotonic()))
        runs.append(visit.click(station_id))
        errors += runs[-1].errors
        last = station_id
    outcomes.append(
        {
            "clicks": len(runs),
            "errors": errors,
            "chart_seconds": [run.chart_seconds or run.seconds for run in runs],
            "last_click_shown": any(f"<h2>{last}</h2>" in text for text in runs[-1].texts),
            "late": sum(run.seconds > PAUSE_SECONDS for run in runs),
        }
    )
    visit.close()


def burst(port: int, link: str, stations: list[str]) -> bool:
    """Three clicks at once: whether the last one is what is shown."""
    visit = Visit(port, link)
    visit.open()
    for station_id in stations[:3]:
        visit.send_click(station_id)
    shown: list[str] = []
    while not any(f"<h2>{stations[2]}</h2>" in text for text in shown):
        shown = visit.answer().texts
    last = visit.rerun().texts
    visit.close()
    return any(f"<h2>{stations[2]}</h2>" in text for text in last)


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("city", type=Path, nargs="?", default=assets_folder() / "demo")
    parser.add_argument("--visitors", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=60)
    options = parser.parse_args()
    city = City.open(options.city)
    link = f"city={options.city.resolve().name}"
    rng = np.random.default_rng(0)
    with server(options.city) as (port, process):
        first = Visit(port, link)
        first.open()
        first.click(city.station_ids[0])
        alone = process.memory_info().rss
        cpu, load = process.cpu_times(), os.getloadavg()[0]
        outcomes: list[dict] = []
        clicks = [list(rng.permutation(city.station_ids)) * 10 for _ in range(options.visitors)]
        threads = [
            threading.Thread(target=visitor, args=(port, link, stations, options.seconds, outcomes))
            for stations in clicks
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        together, spent = process.memory_info().rss, process.cpu_times()
        last_wins = burst(port, link, clicks[0])
    seconds = [value for one in outcomes for value in one["chart_seconds"]]
    result = {
        "what": "sessions over websockets, each a click on another station every 2 s, or as soon as the last was answered",
        "city": city.meta.name,
        "stations": len(city.station_ids),
        "visitors": options.visitors,
        "finished": len(outcomes),
        "clicks": sum(one["clicks"] for one in outcomes),
        "errors": sum(len(one["errors"]) for one in outcomes),
        "clicks_answered_after_the_next_was_due": sum(one["late"] for one in outcomes),
        "last_click_shown": all(one["last_click_shown"] for one in outcomes) and len(outcomes) == options.visitors,
        "last_of_three_clicks_at_once_shown": last_wins,
        "chart_median_ms": round(1000 * float(np.median(seconds))),
        "chart_p95_ms": round(1000 * float(np.quantile(seconds, 0.95))),
        "memory_one_visitor_mb": round(alone / 2**20),
        "memory_all_visitors_mb": round(together / 2**20),
        "server_cpu_seconds": round(spent.user + spent.system - cpu.user - cpu.system, 1),
        "load_average": round(load, 1),
    }
    record("load", result)


if __name__ == "__main__":
    main()
