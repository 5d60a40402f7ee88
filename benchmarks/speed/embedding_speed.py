"""How long a city of 8,000 chips takes to embed with the shipped encoder: `python -m benchmarks.speed.embedding_speed`.

The chips are the demo city's, shifted so that no two are alike, each with a description. `lecdiff embed` runs over them once, and
once more when nothing has changed. Writes `results/embedding_speed.json`: wall and processor time and peak memory, with the load of
the machine when it began, for all chips and for the first thousand.
"""

import argparse
import hashlib
import os
import resource
import tempfile
import time
from io import BytesIO
from pathlib import Path

import geopandas
import numpy as np
import pandas as pd
import torch
from PIL import Image, ImageChops

from benchmarks.record import record
from lecdiff_core.city.folder import City, CityMeta, write_city
from lecdiff_core.city.layout import DESCRIPTIONS_FILE
from lecdiff_core.demo import DEMO_CITY
from lecdiff_core.environment.descriptions.record import read_descriptions, write_descriptions
from lecdiff_core.environment.embedding.embed import embed_city

STATIONS, FEWER = 8000, 1000
TARGET_MINUTES = 10.0


def main() -> None:
    """Make the city, embed it twice, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stations", type=int, default=STATIONS)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    result = {
        "what": "lecdiff embed on chips of 256 pixels a side with a description each, shipped encoder",
        "target": f"{STATIONS:,} chips in {TARGET_MINUTES:.0f} minutes on 2 cores",
        "threads": chosen.threads,
        "load_before": round(os.getloadavg()[0], 1),
    }
    for count in sorted({min(FEWER, chosen.stations), chosen.stations}):
        with tempfile.TemporaryDirectory() as folder:
            city = many_chips(Path(folder) / "city", count)
            result[f"{count} chips"] = {"first": embedded(city), "again": embedded(city)}
    result["peak_gib"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2)
    record("embedding_speed", result)


def embedded(city: City) -> dict[str, float]:
    """Embed what is new, and how long it took."""
    wall, cpu = time.perf_counter(), time.process_time()
    report = embed_city(city, device="cpu")
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return {"embedded": len(report.made), "seconds": round(wall, 1), "processor_seconds": round(cpu, 1)}


def many_chips(path: Path, count: int) -> City:
    """A city of so many stations, each with a chip of its own and a description; its traffic is a placeholder."""
    demo = City.open(DEMO_CITY)
    names = [f"S{number:05d}" for number in range(count)]
    points = geopandas.points_from_xy(np.linspace(0, 1, count), np.zeros(count))
    stations = geopandas.GeoDataFrame({"station_id": names}, geometry=points, crs="EPSG:4326")
    index = pd.date_range("2025-01-01", periods=24, freq="1h", tz="UTC", name="timestamp")
    traffic = pd.DataFrame(np.float32(0), index=index, columns=names)
    city = write_city(path, CityMeta(name="Many", timezone="UTC", interval="1h", imagery="local"), stations, traffic)
    chips = path / "imagery" / "chips"
    chips.mkdir(parents=True)
    described = {one.station_id: one for one in read_descriptions(DEMO_CITY / DESCRIPTIONS_FILE)}
    written = []
    for number, name in enumerate(names):
        station = demo.station_ids[number % len(demo.station_ids)]
        source = demo.chip(station)
        assert source is not None
        content = shifted(source, 3 * (number // len(demo.station_ids)))
        (chips / f"{name}.jpg").write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        written.append(described[station].model_copy(update={"station_id": name, "image_sha256": digest}))
    write_descriptions(path / DESCRIPTIONS_FILE, written)
    return city


def shifted(file: Path, pixels: int) -> bytes:
    """A chip moved sideways, what leaves on one side coming in on the other, as JPEG."""
    written = BytesIO()
    with Image.open(file) as chip:
        ImageChops.offset(chip.convert("RGB"), pixels, pixels // 7).save(written, "JPEG", quality=88)
    return written.getvalue()


if __name__ == "__main__":
    main()
