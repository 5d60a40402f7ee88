"""Places without history on real traffic: Nanchang's cells, told from their points of interest."""

from pathlib import Path

import pandas as pd
import pytest

from lecdiff_core.city.folder import City
from lecdiff_core.city.importers.importing import import_city
from lecdiff_core.environment.embedding.embed import embed_city
from lecdiff_core.evaluation.backtest import Run
from lecdiff_core.evaluation.unseen import Unseen
from lecdiff_core.models.names import OURS

pytestmark = pytest.mark.real


def test_intervals_of_cells_never_seen_hold(real_data: Path, tmp_path: Path) -> None:
    """The last three of the first five days, a fifth of the cells held out: the day's total lies inside as often as it should."""
    source = real_data / "nanchang"
    traffic = pd.read_parquet(source / "traffic.parquet")
    first = traffic["timestamp"].min()
    traffic[traffic["timestamp"] < first + pd.Timedelta(days=5)].to_parquet(tmp_path / "traffic.parquet")
    import_city(
        tmp_path / "city", tmp_path / "traffic.parquet", interval="30min", timezone="Asia/Shanghai", coordinates="none"
    )
    city = City.open(tmp_path / "city")
    embed_city(city, table=source / "poi.csv")
    row = Unseen(city).measure(Run(OURS, 0, "zero-shot", 0.2, False, 0)).rows()["own"]
    for score in ("step", "day_total"):
        assert 0.35 <= row[score]["coverage_50"] <= 0.65
        assert 0.8 <= row[score]["coverage_90"] <= 0.97
