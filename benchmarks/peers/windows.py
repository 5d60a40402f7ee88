"""Write the cities for the peers: what they may know of each, as plain files, into results/partial/peers/CITY.

python -m benchmarks.peers.windows [milan nanjing demo] [--to FOLDER]
"""

import argparse
import os
import tempfile
from pathlib import Path

from benchmarks.accuracy.forecasting import CITIES, ROOT, TRAINED
from benchmarks.peers.exchange import Known, write_city
from lecdiff_core.city.folder import City
from lecdiff_core.city.panel import Panel
from lecdiff_core.city.splits import origins_within, protocol_split
from lecdiff_core.evaluation.backtest import PROTOCOL, SAMPLES
from lecdiff_core.training import ORIGINS_A_DAY

FOLDER = ROOT / "benchmarks" / "results" / "partial" / "peers"


def export(city: City, folder: Path) -> None:
    """Write one city: traffic and calendar on the panel's grid, the protocol's split and origins."""
    panel = Panel.of(city)
    split = protocol_split(panel.steps)
    day = panel.steps_per_day
    parts = {"train": split.train, "validation": split.validation, "test": split.test}
    measured = {name: parts[name] for name in ("validation", "test")}
    calendar = {name: part.numpy()[: panel.steps] for name, part in vars(panel.calendar).items()}
    write_city(
        folder,
        Known(panel.values, steps_per_day=day, start=panel.clock[0].isoformat(), **calendar),
        {
            "city": city.meta.name,
            "protocol": PROTOCOL,
            "samples": SAMPLES,
            "data_hash": city.data_hash,
            "stations": panel.station_ids,
            "positions": None if panel.cells is None else panel.positions.tolist(),
            "holidays": [day.isoformat() for day in panel.holidays],
            "origins": {
                name: origins_within(part, day, day // ORIGINS_A_DAY).tolist() for name, part in measured.items()
            },
            **{name: [part.start, part.stop] for name, part in parts.items()},
        },
    )


def main() -> None:
    """Write the cities named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cities", nargs="*")
    parser.add_argument("--to", type=Path, default=FOLDER)
    chosen = parser.parse_args()
    data = Path(os.environ.get("LECDIFF_REAL_DATA", ROOT.parent / "shared" / "data"))
    for name in chosen.cities or TRAINED:
        with tempfile.TemporaryDirectory() as folder:
            export(CITIES[name](Path(folder) / name, data), chosen.to / name)


if __name__ == "__main__":
    main()
