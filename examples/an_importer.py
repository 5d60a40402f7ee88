"""A layout of one's own: a vendor's mean throughput of each cell and quarter of an hour, imported as megabytes.

    python examples/an_importer.py

A layout says what the columns that it reads are called, and turns a `Source` of files into `Readings`; here `long` reads the
rows, so that whatever is wrong with them is said by file, row and column.
"""

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pandas as pd

from lecdiff_core import City
from lecdiff_core.city.importers import importing, long
from lecdiff_core.city.importers.readings import Readings, Source

EXPORT = """Cell name;Measured at;Mean downlink
North-1;2024-03-01 00:00;800,5
North-1;2024-03-01 00:15;760,0
North-1;2024-03-01 00:30;690,0
North-1;2024-03-01 00:45;720,0
South-2;2024-03-01 00:00;2410,25
South-2;2024-03-01 00:15;2380,0
South-2;2024-03-01 00:30;2205,5
South-2;2024-03-01 00:45;2190,0
"""


class MeanThroughput:
    """Quarter-hourly means in kbit/s."""

    COLUMNS: Mapping[str, str] = {
        "station_id": "Cell name",
        "timestamp": "Measured at",
        "traffic": "Mean downlink",
    }
    LENGTH = pd.Timedelta("15min")

    def read(self, source: Source) -> Readings:
        """The amounts of each quarter of an hour in MB, which can be summed as rates cannot."""
        rates = long.read(source, self.LENGTH)
        return replace(rates, value=rates.value * self.LENGTH.total_seconds() / 8 / 1000)


def main() -> None:
    """Register the layout and import a file with it."""
    importing.register("mean-throughput", MeanThroughput())
    with tempfile.TemporaryDirectory() as folder:
        file, path = Path(folder) / "export.csv", Path(folder) / "city"
        file.write_text(EXPORT, "utf-8")
        report = importing.import_city(
            path,
            file,
            layout="mean-throughput",
            interval="30min",
            timezone="Europe/Rome",
            unit="MB",
            coordinates="none",
            decimal=",",
        )
        print(f"{report.rows} rows of {report.stations} stations")
        print(City.open(path).traffic)


if __name__ == "__main__":
    main()
