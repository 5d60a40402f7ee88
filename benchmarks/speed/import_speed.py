"""How long the import of a large city takes, and how much memory: 8,000 stations × 58 days × 30 min, long Parquet.

Generates the file in a temporary folder, imports it in a process of its own, and writes seconds and peak resident memory
to `benchmarks/results/import.json`:

    python -m benchmarks.speed.import_speed [--stations 8000] [--days 58] [--runs 3]
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet

from benchmarks.record import record

TIMEZONE, INTERVAL = "Asia/Shanghai", "30min"


def write_files(folder: Path, stations: int, days: int, seed: int = 0) -> tuple[Path, Path, int]:
    """A long traffic file, station by station, its stations, and the number of its rows."""
    rng = np.random.default_rng(seed)
    ids = [f"BS{number:05d}" for number in range(stations)]
    places = pd.DataFrame(
        {"station_id": ids, "lon": rng.uniform(118.4, 119.2, stations), "lat": rng.uniform(31.6, 32.4, stations)}
    )
    places.to_csv(folder / "stations.csv", index=False)
    times = pd.date_range("2021-02-02", periods=days * 48, freq=INTERVAL, tz=TIMEZONE).as_unit("us")
    schema = pa.schema(
        [("station_id", pa.string()), ("timestamp", pa.timestamp("us", TIMEZONE)), ("traffic", pa.float32())]
    )
    with pa.parquet.ParquetWriter(folder / "traffic.parquet", schema) as writer:
        for block in np.array_split(np.array(ids, dtype=object), max(stations // 200, 1)):
            columns = [
                np.repeat(block, len(times)),
                np.tile(times.asi8, len(block)),
                rng.gamma(1.0, 30.0, len(block) * len(times)),
            ]
            arrays = [pa.array(column).cast(kind) for column, kind in zip(columns, schema.types, strict=True)]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
    return folder / "traffic.parquet", folder / "stations.csv", stations * len(times)


def measure(folder: Path, traffic: Path, stations: Path) -> tuple[float, float]:
    """Wall seconds and peak resident memory (GiB) of `lecdiff import` in a process of its own."""
    words = ["import", str(folder / "city"), "--traffic", str(traffic), "--stations", str(stations)]
    words += ["--timezone", TIMEZONE, "--interval", INTERVAL]
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", "from lecdiff_core.cli import main; main()", *words], check=True)
    # Linux counts in KiB; the largest of all children, and every run is the same.
    return time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20


def main() -> None:
    """Measure and write the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stations", type=int, default=8000)
    parser.add_argument("--days", type=int, default=58)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        traffic, stations, rows = write_files(Path(name), options.stations, options.days)
        runs = [measure(Path(name), traffic, stations) for _ in range(options.runs)]
    result = {
        "what": "lecdiff import of a long Parquet file, whole process",
        "stations": options.stations,
        "days": options.days,
        "interval": INTERVAL,
        "rows": rows,
        "seconds": round(float(np.median([seconds for seconds, _ in runs])), 1),
        "seconds_of_runs": [round(seconds, 1) for seconds, _ in runs],
        "peak_resident_gib": round(max(peak for _, peak in runs), 2),
    }
    record("import", result)


if __name__ == "__main__":
    main()
