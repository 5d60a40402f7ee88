"""How well a place without history is told: into results/sites.json.

    python -m benchmarks.surroundings.sites [CITY …] [--seeds 3] [--work FOLDER]

The demo city, two generated towns whose seeds no encoder has seen, and two real networks: Nanchang with points of interest, Beijing
5G with a knowledge graph's vectors (both without known places). Every station is told in turn as if it had no history
(lecdiff_core/evaluation/unseen.py): with its surroundings, with another station's, without, and by the yardsticks. Towns and real
cities are made in FOLDER and stay there, so that a second run need not paint again. A city's comparison is the paired difference of
CRPS a station over the sum of the traffic, averaged over seeds; its standard error counts spatial tiles where places are true,
stations elsewhere.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.accuracy.forecasting import beijing, nanchang
from benchmarks.record import RESULTS, record
from lecdiff_core.city.folder import City
from lecdiff_core.demo import DEMO_CITY, generate_town
from lecdiff_core.environment.descriptions.describe import describe_city
from lecdiff_core.environment.embedding.embed import embed_city
from lecdiff_core.environment.embedding.encoder import DEFAULT
from lecdiff_core.evaluation.backtest import PROTOCOL, Run
from lecdiff_core.evaluation.unseen import Measured, Unseen, tiles
from lecdiff_core.models.names import OURS
from lecdiff_core.sites.surroundings import kinds_of

NAME = "sites"
TOWN_STATIONS = 300
ROOT = Path(__file__).resolve().parents[2]
SCORES = ("step", "day_total", "day_peak")
KEPT = ("ncrps", "coverage_50", "coverage_90", "scored")
Result = dict[str, Any]


def demo(folder: Path, data: Path) -> City:  # noqa: ARG001 (all cities are made alike)
    """The shipped demo city."""
    return City.open(DEMO_CITY)


def town(seed: int) -> Callable[[Path, Path], City]:
    """A generated town, described offline and embedded by the shipped encoder."""

    def make(folder: Path, data: Path) -> City:  # noqa: ARG001
        if not folder.exists():
            generate_town(folder, stations=TOWN_STATIONS, seed=seed, imagery="chips")
        city = City.open(folder)
        describe_city(city, "offline", None, 1, "standard")
        embed_city(city, encoder=DEFAULT)
        return city

    return make


def with_points_of_interest(folder: Path, data: Path) -> City:
    """Nanchang, its cells' points of interest as surroundings."""
    city = City.open(folder) if folder.exists() else nanchang(folder, data)
    embed_city(city, table=data / "nanchang" / "poi.csv")
    return city


def with_knowledge_graph(folder: Path, data: Path) -> City:
    """Beijing's 5G stations, the rows of a knowledge graph's embedding as surroundings."""
    city = City.open(folder) if folder.exists() else beijing(folder, data)
    vectors = np.load(data / "beijing-5g" / "urban_kg_embedding_960x32.npy", allow_pickle=False)
    table = pd.DataFrame(vectors, columns=[f"kg_{column:02d}" for column in range(vectors.shape[1])])
    table.insert(0, "station_id", [f"bj{row:04d}" for row in range(len(vectors))])
    file = folder.parent / "beijing-kg.parquet"
    table.to_parquet(file)
    embed_city(city, table=file)
    return city


CITIES: dict[str, tuple[Callable[[Path, Path], City], str]] = {
    "demo": (demo, "test"),
    "town-301": (town(301), "test"),
    "town-302": (town(302), "test"),
    "nanchang": (with_points_of_interest, "zero-shot"),
    "beijing-5g": (with_knowledge_graph, "zero-shot"),
}


def main() -> None:
    """Measure the cities that are named, and write all there is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cities", nargs="*", choices=[*CITIES, []])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--work", type=Path, default=Path("/tmp/lecdiff-sites"))
    parser.add_argument("--part", default=None, help="validation, for choosing; else test or zero-shot, written")
    chosen = parser.parse_args()
    data = Path(os.environ.get("LECDIFF_REAL_DATA", ROOT.parent / "shared" / "data"))
    chosen.work.mkdir(parents=True, exist_ok=True)
    for name in chosen.cities or CITIES:
        make, part = CITIES[name]
        result = of_city(make(chosen.work / name, data), chosen.part or part, chosen.seeds)
        if chosen.part:
            print(json.dumps({"city": name, **result}, indent=1))
        else:
            write(name, result)


def of_city(city: City, part: str, seeds: int) -> Result:
    """The rows of a city, and how ours differs from each."""
    unseen = Unseen(city)
    runs = {}
    for model in unseen.chosen(None):
        runs[model] = [unseen.measure(Run(model, seed, part, 0.0, False, 0)) for seed in range(seeds)]
        print(f"{city.meta.name}: {model} measured", file=sys.stderr, flush=True)
    blocks = tiles(unseen.panel.positions) if city.has_true_places else np.arange(len(city.station_ids))
    return {
        "part": part,
        "seeds": seeds,
        "stations": len(city.station_ids),
        "blocks": len(set(blocks.tolist())),
        "surroundings": list(kinds_of(unseen.table)),
        "encoder": unseen.table.encoder[:12] if unseen.table else "",
        "rows": {model: row(scored) for model, scored in runs.items()},
        "differences": {
            model: difference(runs[OURS], scored, blocks) for model, scored in runs.items() if model != OURS
        },
    }


def row(measured: list[Measured]) -> Result:
    """Means over seeds."""
    summaries = [one.scores.summary() for one in measured]
    scores: Result = {
        score: {name: round(float(np.mean([summary[score][name] for summary in summaries])), 5) for name in KEPT}
        for score in SCORES
    }
    scores["level_error"] = round(float(np.mean([one.level_error for one in measured])), 4)
    scores["profile_error"] = round(float(np.mean([one.profile_error for one in measured])), 4)
    return scores


def difference(ours: list[Measured], others: list[Measured], blocks: np.ndarray) -> Result:
    """Ours less another's `step` nCRPS: by how much, its standard error over blocks, and relative to the other's."""
    mine, theirs = by_station(ours), by_station(others)
    volume = mine[:, 1]
    apart = mine[:, 0] - theirs[:, 0]
    gap = apart.sum() / volume.sum()
    count = len(set(blocks.tolist()))
    in_block = np.bincount(np.unique(blocks, return_inverse=True)[1], weights=apart - gap * volume)
    error = float(np.sqrt(count / (count - 1) * np.square(in_block).sum()) / volume.sum())
    change = apart.sum() / theirs[:, 0].sum()
    verdict = "win" if gap < -2 * error else "loss" if gap > 2 * error else "tie"
    return {
        "difference": round(gap, 5),
        "standard_error": round(error, 5),
        "change": round(change, 4),
        "verdict": verdict,
    }


def by_station(measured: list[Measured]) -> np.ndarray:
    """(N, 2) CRPS and volume of each station's steps, summed over seeds."""
    names = measured[0].scores.stations
    sums = [[one.scores.steps.by_station[name][:2] for name in names] for one in measured]
    return np.asarray(sums).sum(0)


def write(name: str, result: Result) -> None:
    """Put a city's result beside those that are there."""
    file = RESULTS / f"{NAME}.json"
    cities = json.loads(file.read_text("utf-8"))["cities"] if file.is_file() else {}
    cities = {
        city: cities[city] if city != name else result for city in [*cities, *([name] if name not in cities else [])]
    }
    record(NAME, {"protocol": PROTOCOL, "history_hours": 0, "cities": cities})


if __name__ == "__main__":
    main()
