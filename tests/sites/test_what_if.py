"""What if: other words, a neighbour gone, more demand; and that nothing is saved."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from lecdiff_core.demo import DEMO_CITY
from lecdiff_core.errors import UserError
from lecdiff_core.forecaster import Forecaster
from lecdiff_core.sites.forecast import SiteForecaster
from lecdiff_core.sites.what_if import what_if
from tests.conftest import make_city

STATION = "BS-001"
WORDS = "Dense offices and a shopping centre fill the chip. A stadium and a car park stand in the south-east."


@pytest.fixture(scope="module")
def loaded() -> dict[str, object]:
    return {"forecaster": Forecaster.load(DEMO_CITY), "sites": SiteForecaster(DEMO_CITY)}


def contents(folder: Path) -> dict[str, str]:
    return {str(file): hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.rglob("*") if file.is_file()}


def test_other_words_move_forecast_and_lookalikes_and_nothing_is_saved(loaded: dict) -> None:
    saved = contents(DEMO_CITY)
    answer = what_if(DEMO_CITY, STATION, WORDS, **loaded)
    assert contents(DEMO_CITY) == saved
    assert answer.lookalikes_before != answer.lookalikes_after
    assert STATION not in dict(answer.lookalikes_after)
    assert answer.factor.mean() > 1  # farmland and a settlement before
    assert answer.after.mean.mean() > answer.before.mean.mean()
    assert answer.notices[0].startswith("an estimate")


def test_the_same_words_as_before_change_little(loaded: dict) -> None:
    from lecdiff_core.environment.descriptions.record import current_descriptions, read_descriptions

    described = current_descriptions(read_descriptions(DEMO_CITY / "descriptions.jsonl"))[STATION]
    answer = what_if(DEMO_CITY, STATION, described[0].kept_text, **loaded)
    np.testing.assert_allclose(answer.factor, 1, atol=0.1)


def test_more_demand_scales_every_sample(loaded: dict) -> None:
    answer = what_if(DEMO_CITY, STATION, demand=1.5, **loaded)
    np.testing.assert_allclose(answer.after.samples, 1.5 * answer.before.samples, rtol=1e-6)
    assert (answer.factor == 1).all()


def test_a_neighbour_switched_off_leaves_its_traffic_to_those_around(loaded: dict) -> None:
    sites = loaded["sites"]
    assert isinstance(sites, SiteForecaster)
    metres = np.linalg.norm(sites.panel.positions - sites.panel.positions[0], axis=1)
    near, far = (sites.panel.station_ids[row] for row in (metres.argsort()[1], metres.argmax()))
    gained = what_if(DEMO_CITY, STATION, switched_off=[near], **loaded)
    assert (gained.after.samples >= gained.before.samples).all()
    assert gained.after.mean.sum() > gained.before.mean.sum()
    kept = what_if(DEMO_CITY, STATION, switched_off=[far], **loaded)
    np.testing.assert_allclose(kept.after.samples, kept.before.samples)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"station_id": "BS-1"}, "no station 'BS-1'"),
        ({"station_id": STATION, "switched_off": [STATION]}, "neighbours alone"),
        ({"station_id": STATION, "demand": -1.0}, "demand must be"),
        ({"station_id": STATION, "demand": float("nan")}, "demand must be"),
        ({"station_id": STATION, "text": " "}, "empty"),
        (
            {"station_id": STATION, "text": "Dichte Wohnhäuser und eine breite Straße liegen im Norden der Stadt."},
            "not in English",
        ),
    ],
)
def test_bad_questions_are_refused_by_name(loaded: dict, asked: dict, told: str) -> None:
    with pytest.raises(UserError, match=told):
        what_if(DEMO_CITY, **asked, **loaded)


def test_words_need_embeddings(tmp_path: Path) -> None:
    city = make_city(tmp_path / "city", stations=8)
    with pytest.raises(UserError, match="embed"):
        what_if(city, city.station_ids[0], "Dense housing.")
