"""How long an exact search among embeddings takes: `python -m benchmarks.speed.neighbours_speed`.

Writes `benchmarks/results/neighbours.json`: median, and the 95th percentile, of a search for the 10 nearest of N stations, for the
product of the shipped encoder's width and one thread as for all, with random embeddings.
"""

import argparse
import time
from typing import Any

import numpy as np

from benchmarks.record import record
from lecdiff_core.environment.search.neighbours import nearest

STATIONS = (1_000, 8_000, 100_000)
K, QUERIES, SEED = 10, 100, 0


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=128, help="D, length of an embedding")
    width = parser.parse_args().width
    result = {
        "what": f"nearest(): exact search for the {K} nearest of N embeddings of width {width}, {QUERIES} queries",
        "target": "100,000 stations in under 50 ms",
        "milliseconds": {str(stations): measure(stations, width) for stations in STATIONS},
    }
    record("neighbours", result)


def measure(stations: int, width: int) -> dict[str, Any]:
    """Wall time and processor time of one search."""
    rows = np.random.default_rng(SEED).standard_normal((stations, width), np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    nearest(rows, rows[0], K)
    wall, cpu = [], []
    for query in rows[np.random.default_rng(1).integers(0, stations, QUERIES)]:
        began, began_cpu = time.perf_counter(), time.process_time()
        nearest(rows, query, K)
        wall.append(time.perf_counter() - began)
        cpu.append(time.process_time() - began_cpu)
    milliseconds = 1e3 * np.array(wall)
    return {
        "median": round(float(np.median(milliseconds)), 2),
        "p95": round(float(np.percentile(milliseconds, 95)), 2),
        "median_processor": round(1e3 * float(np.median(cpu)), 2),
    }


if __name__ == "__main__":
    main()
