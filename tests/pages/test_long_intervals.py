"""Cities whose intervals are longer than an hour, over a clock change, on the pages that show traffic."""

import numpy as np
import pandas as pd
import pytest
from visitor import text_of

from lecdiff_core.city.importers.importing import import_city


@pytest.mark.parametrize(("interval", "last"), [("2h", "2024-10-28"), ("8h", "2024-04-01"), ("24h", "2024-04-01")])
def test_a_city_of_long_intervals_is_shown(open_app, cities_folder, tmp_path, interval, last):
    hours = pd.date_range(end=pd.Timestamp(last, tz="Europe/Rome"), periods=24 * 20, freq="1h", inclusive="left")
    rows = [(name, time, 5.0 + time.hour) for name in ("a", "b") for time in hours]
    pd.DataFrame(rows, columns=["station_id", "timestamp", "traffic"]).to_parquet(tmp_path / "t.parquet")
    (tmp_path / "s.csv").write_text("station_id,lon,lat\na,9.19,45.46\nb,9.2,45.47\n")
    name = f"long-{interval}-{last}"
    report = import_city(
        cities_folder / name, tmp_path / "t.parquet", tmp_path / "s.csv", interval=interval, timezone="Europe/Rome"
    )
    assert report.end == pd.Timestamp(last, tz="Europe/Rome")
    assert np.isclose(report.missing_share, 0, atol=0.06)
    for link in ({}, {"station": "a"}, {"station": "a", "time": pd.Timestamp(last).isoformat()}):
        app = open_app(city=name, **link)
        assert not app.exception
        assert name in text_of(app)
    app.switch_page("pages/data.py")
    assert not app.run().exception
