"""What the search by words finds: `python -m benchmarks.surroundings.search [CITY]`, default the shipped demo city.

Each query is for a land use. A station is right where that covers at least a twentieth of the surroundings by the generator's own
account (`truth/land_use.parquet`, which no search reads). Writes `results/search.json`: average precision and the share of right
stations among the first ten (of those that can be), by the chip alone and with the words of the descriptions.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from benchmarks.record import record
from lecdiff_core.city.folder import City
from lecdiff_core.city.layout import LAND_USE_FILE
from lecdiff_core.demo import DEMO_CITY
from lecdiff_core.environment.embedding.table import read_environment
from lecdiff_core.environment.search.neighbours import WORDS, encode_text, search

LEAST_SHARE = 0.05
FIRST = 10
QUERIES = {
    "stadium": "stadium",
    "football arena": "stadium",
    "hospital": "hospital",
    "campus": "campus",
    "university": "campus",
    "shopping centre": "shopping",
    "retail park": "shopping",
    "rail yard": "rail",
    "railway": "rail",
    "motorway": "motorway",
    "multi-lane highway": "motorway",
    "river": "water",
    "lake or river": "water",
    "park with trees": "park",
    "industrial halls": "industry",
    "warehouses": "industry",
    "office blocks": "offices",
    "town centre": "centre",
    "forest": "forest",
    "farmland": "farmland",
}


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("city", nargs="?", type=Path, default=DEMO_CITY)
    city = City.open(parser.parse_args().city)
    torch.set_num_threads(1)
    table = read_environment(city)
    assert table is not None, "embed the city first"
    truth = pd.read_parquet(city.path / LAND_USE_FILE).set_index("station_id").loc[list(table.station_ids)]
    queries: dict[str, dict[str, Any]] = {}
    for text, use in QUERIES.items():
        right = (truth[f"share of {use}"] >= LEAST_SHARE).to_numpy()
        fit = dict(search(city, text, top=len(right)))
        ranked = {
            "chip": table.image @ encode_text(city, text),
            "chip and words": np.array([fit.get(station, -1.0) for station in table.station_ids]),
        }
        queries[text] = {"stations": int(right.sum()), **{how: scores(fit, right) for how, fit in ranked.items()}}
    result = {
        "city": city.meta.name,
        "encoder": table.encoder[:12],
        "weight_of_words": WORDS,
        "mean": {
            how: {
                name: mean([one[how][name] for one in queries.values()]) for name in ("average_precision", "first_ten")
            }
            for how in ("chip", "chip and words")
        },
        "queries": queries,
    }
    record("search", result)


def scores(fit: np.ndarray, right: np.ndarray) -> dict[str, float]:
    """Average precision of a ranking, and the share of right stations among the first ten that could be right."""
    ranked = right[np.argsort(-fit, kind="stable")]
    precision = np.cumsum(ranked) / np.arange(1, len(ranked) + 1)
    return {
        "average_precision": round(float((precision * ranked).sum() / ranked.sum()), 3),
        "first_ten": round(float(ranked[:FIRST].sum() / min(FIRST, ranked.sum())), 3),
    }


def mean(values: list[float]) -> float:
    """Rounded for a person."""
    return round(float(np.mean(values)), 3)


if __name__ == "__main__":
    main()
