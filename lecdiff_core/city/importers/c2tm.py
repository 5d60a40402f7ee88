"""Layout `c2tm`: the City Cellular Traffic Map, `BS, Time_hour, Users, Packets, Bytes`, hours in epoch seconds.

Its stations are `BS, Lon, Lat`. Source: https://github.com/caesar0301/city-cellular-traffic-map
"""

import pandas as pd

from lecdiff_core.city.importers import long
from lecdiff_core.city.importers.readings import Readings, Source

COLUMNS = {"station_id": "BS", "timestamp": "Time_hour", "traffic": "Bytes"}


def read(source: Source) -> Readings:
    """Read hourly rows; `--column traffic=Users` or `traffic=Packets` takes another measure than bytes."""
    return long.read(source, pd.Timedelta("1h"))
