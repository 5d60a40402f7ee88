"""How long a place without history takes: into results/site_latency.json.

    python -m benchmarks.speed.site_latency

The demo city, 100 samples of the day and of a usual week: loading with the first answer, then one site with words and the chip of
its place, and twenty of them, warm, each the median and the fastest of seven. Every question is of another place, so nothing is
remembered but what was fitted.
"""

import time
from collections.abc import Sequence

import numpy as np

from benchmarks.record import record
from lecdiff_core.demo import DEMO_CITY
from lecdiff_core.sites.candidates import Candidate
from lecdiff_core.sites.forecast import SiteForecaster

NAME = "site_latency"
TIMES = 7
WORDS = "Dense housing surrounds a small park. A wide road runs from north to south."


def main() -> None:
    """Time it and write."""
    started = time.perf_counter()
    sites = SiteForecaster(DEMO_CITY)
    sites.forecast(places(1, 0))
    first = time.perf_counter() - started
    record(
        NAME,
        {
            "city": "demo",
            "stations": len(sites.panel.station_ids),
            "samples": 100,
            "first_seconds": round(first, 3),
            "warm": [timed(sites, count) for count in (1, 20)],
        },
    )


def timed(sites: SiteForecaster, count: int) -> dict[str, float]:
    """Seconds of a question about so many sites."""
    taken = []
    for turn in range(1, TIMES + 1):
        asked = places(count, turn)
        started = time.perf_counter()
        sites.forecast(asked)
        taken.append(time.perf_counter() - started)
    return {
        "sites": count,
        "median_seconds": round(float(np.median(taken)), 3),
        "fastest_seconds": round(min(taken), 3),
    }


def places(count: int, turn: int) -> Sequence[Candidate]:
    """Sites within the town, others each turn."""
    rng = np.random.default_rng(turn)
    lon, lat = rng.uniform(-0.012, 0.012, (2, count))
    return [Candidate(f"{turn}-{row}", float(lon[row]), float(lat[row]), text=WORDS) for row in range(count)]


if __name__ == "__main__":
    main()
