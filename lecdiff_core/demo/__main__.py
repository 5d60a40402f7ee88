"""Write the shipped demo city again: `python -m lecdiff_core.demo [FOLDER] [--without-imagery]`.

Replaces what the generator makes (city.toml, stations, traffic, imagery, truth) and leaves what others derived from it
(descriptions, encoder, models), which notice by their hashes that they are out of date.
"""

import argparse
from pathlib import Path

from lecdiff_core.city.layout import IMAGERY_FOLDER, META_FILE, STATIONS_FILE, TRAFFIC_FILE, TRUTH_FOLDER
from lecdiff_core.demo.town import DEMO_SEED, demo_city, generate_town
from lecdiff_core.progress import Report
from lecdiff_core.storage import changing

MADE = (TRUTH_FOLDER, IMAGERY_FOLDER, STATIONS_FILE, TRAFFIC_FILE, META_FILE)


def printing() -> Report:
    """A report that prints one line for every twentieth part."""
    said: dict[str, int] = {}

    def report(done: float, total: float, message: str) -> None:
        part = int(20 * done / total)
        if said.get(message) != part:
            said[message] = part
            print(f"{message}: {100 * done / total:.0f} %", flush=True)

    return report


def main() -> None:
    """Generate the town and let it take the place of what the generator made before, as one change."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("folder", nargs="?", type=Path, default=None)
    options.add_argument("--without-imagery", action="store_true")
    chosen = options.parse_args()
    folder = chosen.folder or demo_city()
    with changing(folder) as change:
        town = generate_town(change.root, seed=DEMO_SEED, imagery=not chosen.without_imagery, report=printing())
        for name in MADE:
            if not (town.path / name).exists():
                continue
            for file in (folder / name, *(folder / name).rglob("*")):
                inside = file.relative_to(folder)
                if file.is_file() and not (town.path / inside).exists():
                    change.remove(inside.as_posix())


if __name__ == "__main__":
    main()
