"""From a click on the map to the chart, on the server side: the whole rerun of the page, with 100 samples of the forecast.

Clicks 40 different stations of a city that has a model, warm, and writes median and 95th percentile to
`benchmarks/results/click_to_chart.json`:

    python -m benchmarks.speed.click_to_chart [CITY] [--clicks 40]
"""

import argparse
import json
import os
import time
from pathlib import Path

import numpy as np
from streamlit.proto.WidgetStates_pb2 import WidgetState
from streamlit.testing.v1 import AppTest

from benchmarks.record import record
from lecdiff_core.assets import assets_folder
from lecdiff_core.city.folder import City
from lecdiff_core.serve import FIRST_VARIABLE

APP = Path(__file__).resolve().parents[2] / "app.py"


def click(app: AppTest, station_id: str) -> float:
    """Seconds from the arrival of a click on the server to the end of the page's rerun."""
    chart = app.get("deck_gl_json_chart")[0]
    selection = {"indices": {"stations": [0]}, "objects": {"stations": [{"station_id": station_id}]}}
    states = app._tree.get_widget_states()
    states.widgets.append(WidgetState(id=chart.proto.id, string_value=json.dumps({"selection": selection})))
    started = time.perf_counter()
    app._run(states)
    seconds = time.perf_counter() - started
    assert not app.exception and len(app.get("plotly_chart")) == 1
    assert any(f"<h2>{station_id}</h2>" in element.proto.body for element in app.get("html"))
    return seconds


def made_in(app: AppTest) -> str:
    """The page's own words on device, time and samples of the forecast."""
    bodies = [element.proto.body for element in app.get("html")]
    line = next(body for body in bodies if "computed on" in body).rpartition('<p class="lec-made">')[2]
    return line.removesuffix("</p>").replace("\N{NARROW NO-BREAK SPACE}", " ")


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("city", type=Path, nargs="?", default=assets_folder() / "demo")
    parser.add_argument("--clicks", type=int, default=40)
    options = parser.parse_args()
    os.environ[FIRST_VARIABLE] = str(options.city.resolve())
    city = City.open(options.city)
    app = AppTest.from_file(str(APP), default_timeout=600).run()
    ids = np.random.default_rng(0).permutation(city.station_ids)
    for station_id in ids[-5:]:
        click(app, station_id)
    load = os.getloadavg()[0]
    seconds = [click(app, station_id) for station_id in ids[: min(options.clicks, len(ids) - 5)]]
    result = {
        "what": "click on a station to the end of the page's rerun, on the server, warm, every click another station",
        "city": city.meta.name,
        "stations": len(ids),
        "clicks": len(seconds),
        "median_ms": round(1000 * float(np.median(seconds))),
        "p95_ms": round(1000 * float(np.quantile(seconds, 0.95))),
        "last_forecast": made_in(app),
        "load_average": round(load, 1),  # of the machine over the minute before: 0 to its cores is quiet
    }
    record("click_to_chart", result)


if __name__ == "__main__":
    main()
