"""One page on a station: chip, facts, chart, and how far to trust it. HTML that stands alone and prints on A4."""

import base64

import pandas as pd

from lecdiff_core import __version__
from lecdiff_core.city.folder import City
from pages.parts.charts import drawing
from pages.parts.data import forecasts
from pages.parts.data.forecasts import Fan, PastCoverage
from pages.parts.look import formats, markup
from pages.parts.map import basemap

KINDS_OF_IMAGE = {".jpg": "jpeg", ".png": "png", ".webp": "webp"}
ROWS = 8  # of the table of numbers


def page(
    city: City,
    station_id: str,
    origin: pd.Timestamp,
    fan: Fan,
    facts: dict[str, str],
    sentences: list[str],
    said: str,
    held: PastCoverage | None,
) -> str:
    """The report as HTML. `facts` and `sentences`: what the panel says; `said`: of the station's surroundings."""
    model = forecasts.model_of(city)
    chart = drawing.fan_drawing(city, station_id, origin, fan).replace("<svg ", '<svg class="chart" ', 1)
    return markup.page(
        "report",
        station_id=station_id,
        city=city.meta.name,
        timezone=city.meta.timezone,
        origin=formats.moment(origin),
        chip=_chip(city, station_id),
        locator=drawing.locator_drawing(city, station_id),
        facts=facts,
        said=said,
        sentences=sentences,
        chart=chart,
        rows=_numbers(city, fan),
        trust=coverage_sentence(held) if held and held.count else "",
        model=model,
        samples=forecasts.SAMPLES,
        version=__version__,
        credit=basemap.credit(city),
    )


def _chip(city: City, station_id: str) -> str:
    """The image as an address that holds it; empty where there is none."""
    file = city.chip(station_id)
    if file is None:
        return ""
    packed = base64.b64encode(file.read_bytes()).decode()
    return f"data:image/{KINDS_OF_IMAGE[file.suffix]};base64,{packed}"


def _numbers(city: City, fan: Fan) -> list[list[str]]:
    """A few steps of the forecast, evenly spread, a row each: start and five quantiles."""
    unit = city.meta.unit

    def row(step: int) -> list[str]:
        amounts = (fan.low_90[step], fan.low_50[step], fan.median[step], fan.high_50[step], fan.high_90[step])
        return [f"{fan.timestamps[step]:%a %H:%M}", *(formats.amount(float(amount), unit) for amount in amounts)]

    return [row(step) for step in range(0, len(fan.timestamps), max(1, len(fan.timestamps) // ROWS))]


def coverage_sentence(held: PastCoverage) -> str:
    """How often past intervals of the station held what was observed, in words."""
    return (
        f"Over the {held.days} days before, forecasts made a day ahead held {formats.share(held.inside_50)} of its values in "
        f"their 50{formats.THIN}% interval and {formats.share(held.inside_90)} in their 90{formats.THIN}% interval "
        f"({held.count:,} values)."
    )
