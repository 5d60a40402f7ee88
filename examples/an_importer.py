"""A layout of one's own: semicolons, a comment line, and the cell's name in two columns.

    python examples/an_importer.py

A layout says which columns it reads and turns a `Source` of files into `Readings`; most need only rename columns and let the
`long` layout do the rest.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path

from lecdiff_core import City
from lecdiff_core.city.importers import importing, long
from lecdiff_core.city.importers.readings import Readings, Source

EXPORT = """Cell name;Measured at;Downlink volume
North-1;2024-03-01 00:00;12,5
North-1;2024-03-01 01:00;9,0
South-2;2024-03-01 00:00;30,25
South-2;2024-03-01 01:00;28,0
"""


class VendorExport:
    """A vendor's hourly counters."""

    COLUMNS: Mapping[str, str] = {
        "station_id": "Cell name",
        "timestamp": "Measured at",
        "traffic": "Downlink volume",
    }

    def read(self, source: Source) -> Readings:
        """As `long`, under this vendor's names."""
        return long.read(source)


def main() -> None:
    """Register the layout and import a file with it."""
    importing.register("vendor", VendorExport())
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "export.csv"
        file.write_text(EXPORT, "utf-8")
        city = Path(folder) / "city"
        importing.import_city(
            city,
            file,
            layout="vendor",
            interval="1h",
            timezone="Europe/Rome",
            unit="MB",
            coordinates="none",
            decimal=",",
        )
        print(City.open(city).traffic)


if __name__ == "__main__":
    main()
