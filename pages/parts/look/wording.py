"""What steps say of files, columns and options, in the words of their forms on the pages."""

import re

from lecdiff_core.jobs.background import INPUT

ROLES = {
    "station_id": "Station",
    "timestamp": "Time",
    "traffic": "Traffic",
    "start": "Start of the session",
    "end": "End of the session",
    "device": "Device",
    "lon": "Longitude",
    "lat": "Latitude",
    "bytes": "Traffic",
    "country": "Country",
    "name": "Name",
    "capacity": "Capacity",
}
ON_THE_PAGE = {
    f"{INPUT}/traffic/": "",
    f"{INPUT}/stations/": "",
    "--stations FILE": "a file of places",
    "--coordinates none": "Places “Not known”",
    "--date-format": "“How times are written”",
    "--decimal .": "Decimals “Point”",
    "--decimal ,": "Decimals “Comma”",
    "--na": "“Texts for a missing value”",
    "--interval": "the Interval",
    "--unit": "Unit",
    "--timezone": "time zone",
    "--on-unknown drop": "“Leave them out”",
    "--on-duplicate sum or last": "“Add them up” or “Keep the last”",
    "--crs": "Coordinates",
    "--country": "“Public holidays of”",
    "--layout": "Layout",
    "--device": "Compute on",
}
COLUMN = re.compile(r"--column (?:traffic:|stations:)?(\w+)=('[^']*'|[^\s;,]+)")


def on_the_page(text: str) -> str:
    """A sentence of a step with the names of boxes for options of the command line."""
    for option, name in ON_THE_PAGE.items():
        text = text.replace(option, name)
    return COLUMN.sub(lambda option: f"the box “{ROLES.get(option[1], option[1])}”", text)
