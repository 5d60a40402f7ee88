"""Make a town: one call from seed to city folder, and the copy of the one that is shipped."""

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from lecdiff_core.assets import assets_folder
from lecdiff_core.city.layout import LAND_USE_FILE, TRUE_EVENTS_FILE
from lecdiff_core.errors import UserError
from lecdiff_core.progress import Report, silent
from lecdiff_core.storage import Change, changing, holds_nothing, recover

if TYPE_CHECKING:
    from lecdiff_core.city.folder import City
    from lecdiff_core.demo.plan import Array

GENERATOR_VERSION = "1"
DEMO_SEED = 4
LARGEST_PAINTED = 1000  # stations up to which imagery is made unless asked otherwise
HOLIDAY_SHARES = (0.39, 0.94)  # where in the time the public holidays fall: one in training, one in the test part
TOWN_NAMES = (
    "Nullhaven", "Zerobridge", "Equinox Bay", "Meridian Falls", "Gulfmouth", "Primeford", "Latchmere", "Origin Cross",
    "Datumfield", "Southing", "Eastnaught", "Graticule",
)  # fmt: skip


def demo_city() -> Path:
    """The shipped demo city. Raises UserError where the installation lacks it."""
    return assets_folder() / "demo"


def copy_demo_city(path: Path) -> "City":
    """Copy the shipped demo city to `path`, which must not exist or be empty. Raises UserError otherwise."""
    from lecdiff_core.city.folder import City

    path = Path(path)
    _must_be_free(path)
    with changing(path) as change:
        _copy(demo_city(), change.root)
    return City.open(path)


def _copy(source: Path, target: Path) -> None:
    """Copy a folder. Raises the first OSError, which `shutil.copytree` hides among all of them."""
    for file in sorted(path for path in source.rglob("*") if path.is_file()):
        copy = target / file.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(file, copy)


def generate_town(
    path: Path,
    stations: int = 150,
    seed: int = 0,
    days: int = 60,
    imagery: bool | Literal["chips"] | None = None,
    report: Report = silent,
) -> "City":
    """Generate the town of `seed` with its traffic, its truth and, if asked, its imagery, as a city folder.

    imagery: True for map tiles and station chips, "chips" for the chips alone, False for neither; None for both up to 1,000
    stations, beyond that neither.

    The ground grows with the number of stations: one town up to 400, beyond that a region of towns. The same arguments
    give the same files. Raises UserError for fewer than 1 station or 7 days, or where `path` holds something.
    """
    from lecdiff_core.city.folder import City, CityMeta, write_city
    from lecdiff_core.demo.events import plant_events
    from lecdiff_core.demo.plan import Plan
    from lecdiff_core.demo.stations import place_stations, station_table, surroundings
    from lecdiff_core.demo.traffic import FIRST_DAY, TIMEZONE, add_gaps, make_traffic, rhythms

    path = Path(path)
    if stations < 1 or days < 7 or seed < 0:
        raise UserError("a town needs at least 1 station, 7 days and a seed of at least 0")
    _must_be_free(path)
    if imagery is None:
        imagery = stations <= LARGEST_PAINTED
    plan = Plan(stations, seed)
    sites, use = place_stations(plan, stations)
    shares = surroundings(plan, sites)
    rhythm = rhythms(plan, sites, shares)
    table = station_table(sites, use, rhythm.planned_mean, seed)
    holidays = [pd.Timestamp(FIRST_DAY) + pd.Timedelta(days=round(days * share)) for share in HOLIDAY_SHARES]
    ids = table["station_id"].tolist()
    index, values = make_traffic(plan, sites, rhythm, days, holidays, report)
    events = plant_events(values, index, ids, plan, sites, use)
    add_gaps(values, index, ids, events, seed)
    np.round(values, 2, out=values)
    meta = CityMeta(
        name=f"{TOWN_NAMES[seed % len(TOWN_NAMES)]} (synthetic)",
        timezone=TIMEZONE,
        interval="30min",
        unit="MB",
        holidays=[day.date() for day in holidays],
        coordinates="true",
        imagery="local",
        attribution="Synthetic imagery and traffic, generated for LEC-Diff; no real place",
        generator=GENERATOR_VERSION,
    )
    with changing(path) as change:
        city = write_city(change.root, meta, table, pd.DataFrame(values, index=index, columns=ids, copy=False))
        _write_truth(change, events, ids, use, shares)
        if imagery:
            from lecdiff_core.demo.imagery import Aerial, write_chips, write_tiles

            aerial = Aerial(plan)
            if imagery != "chips":
                write_tiles(change.root, aerial, report)
            write_chips(change.root, aerial, city.station_ids, sites, report)
    return City.open(path)


def _write_truth(change: Change, events: list[dict], ids: list[str], use: np.ndarray, shares: "Array") -> None:
    from lecdiff_core.demo.plan import CLASSES

    change.file(TRUE_EVENTS_FILE).write_text(json.dumps(events, indent=1), encoding="utf-8")
    table = pd.DataFrame(shares.astype(np.float32), columns=[f"share of {name}" for name in CLASSES])
    table.insert(0, "station_id", ids)
    table.insert(1, "land_use", [CLASSES[code] for code in use])
    table.to_parquet(change.file(LAND_USE_FILE), index=False)


def _must_be_free(path: Path) -> None:
    recover(path)
    if path.exists() and not (path.is_dir() and holds_nothing(path)):
        raise UserError(f"{path} already holds something; name a new folder for the town")
