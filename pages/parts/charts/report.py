"""One page on a station: chip, facts, chart, and how far to trust it. HTML that stands alone and prints on A4."""

import base64

import pandas as pd

from lecdiff_core import __version__
from lecdiff_core.city.folder import City
from pages.parts.charts import drawing
from pages.parts.data import forecasts
from pages.parts.data.forecasts import Fan, Kept
from pages.parts.look import formats
from pages.parts.look.formats import escaped
from pages.parts.map import basemap

KINDS_OF_IMAGE = {".jpg": "jpeg", ".png": "png", ".webp": "webp"}
# Nothing in the page may be fetched or run, whatever the names in it say.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
STYLE = """
@page { size: A4; margin: 12mm }
* { box-sizing: border-box }
body { font: 14px/1.45 system-ui, 'Segoe UI', Roboto, 'Helvetica Neue', sans-serif; color: #17242d; margin: 0 auto; padding: 24px;
  max-width: 860px; -webkit-print-color-adjust: exact; print-color-adjust: exact }
header { display: flex; justify-content: space-between; align-items: baseline; border-bottom: 2px solid #0072b2; gap: 1rem }
h1 { font-size: 24px; margin: 0 0 4px; overflow-wrap: anywhere } h2 { font-size: 15px; margin: 18px 0 4px }
p { margin: 4px 0; overflow-wrap: anywhere } .quiet { color: #56646e; font-size: 12px }
.top { display: flex; gap: 16px; margin-top: 14px } .top img { width: 150px; height: 150px; object-fit: cover; border-radius: 8px }
dl { display: grid; grid-template-columns: 1fr 1fr; gap: 6px 18px; margin: 0; flex: 1; align-content: start }
dt { color: #56646e; font-size: 12px } dd { margin: 0; font-weight: 600; overflow-wrap: anywhere }
.chart { width: 100%; height: auto; margin-top: 10px }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }
td, th { text-align: right; padding: 2px 8px; border-bottom: 1px solid #e4eaee; font-size: 13px }
th { color: #56646e; font-weight: 400 }
td:first-child, th:first-child { text-align: left; padding-left: 0 }
footer { margin-top: 18px; border-top: 1px solid #d9e1e6; padding-top: 6px }
@media print {
  body { padding: 0; font-size: 12px; line-height: 1.35 } h1 { font-size: 20px } h2 { margin-top: 10px }
  .top img, .top svg { width: 120px; height: 120px } td, th { font-size: 11px; padding: 1px 8px } .chart { max-height: 74mm }
  footer { margin-top: 10px }
}
"""
ROWS = 8  # of the table of numbers


def page(
    city: City,
    station_id: str,
    origin: pd.Timestamp,
    fan: Fan,
    facts: dict[str, str],
    sentences: list[str],
    said: str,
    kept: Kept | None,
) -> str:
    """The report as HTML. `facts` and `sentences`: what the panel says; `said`: of the station's surroundings."""
    model = forecasts.model_of(city)
    rows = "".join(f"<div><dt>{escaped(name)}</dt><dd>{escaped(value)}</dd></div>" for name, value in facts.items())
    told = "".join(f"<p>{escaped(sentence)}</p>" for sentence in sentences if sentence)
    around = f"<h2>Surroundings</h2><p>{escaped(said)}</p>" if said else ""
    chart = drawing.fan_drawing(city, station_id, origin, fan).replace("<svg ", '<svg class="chart" ', 1)
    held = f"<h2>How far to trust it</h2><p>{escaped(kept_sentence(kept))}</p>" if kept and kept.count else ""
    credit = basemap.credit(city)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f"<title>{escaped(station_id)} · {escaped(city.meta.name)}</title><style>{STYLE}</style></head><body>"
        f"<header><div><h1>{escaped(station_id)}</h1><p>{escaped(city.meta.name)}</p></div>"
        f'<p class="quiet">Forecast of {escaped(formats.moment(origin))} ({escaped(city.meta.timezone)})</p></header>'
        f'<div class="top">{_chip(city, station_id)}{drawing.locator_drawing(city, station_id)}<dl>{rows}</dl></div>'
        f"{around}<h2>Forecast</h2>{told}{chart}{_numbers(city, fan)}{held}"
        f'<footer class="quiet"><p>Model {escaped(model)}, {forecasts.SAMPLES} sampled futures, made by LEC-Diff {__version__}. '
        f"An interval of 90 % is meant to hold nine of ten values.</p><p>{escaped(credit)}</p></footer></body></html>"
    )


def _chip(city: City, station_id: str) -> str:
    file = city.chip(station_id)
    if file is None:
        return ""
    packed = base64.b64encode(file.read_bytes()).decode()
    kind = KINDS_OF_IMAGE[file.suffix]
    return f'<img src="data:image/{kind};base64,{packed}" alt="Satellite image around {escaped(station_id)}">'


def _numbers(city: City, fan: Fan) -> str:
    """A few steps of the forecast, evenly spread, as a table."""
    unit = city.meta.unit

    def row(step: int) -> str:
        amounts = (fan.low_90[step], fan.low_50[step], fan.median[step], fan.high_50[step], fan.high_90[step])
        cells = "".join(f"<td>{escaped(formats.amount(float(amount), unit))}</td>" for amount in amounts)
        return f"<tr><td>{fan.timestamps[step]:%a %H:%M}</td>{cells}</tr>"

    steps = range(0, len(fan.timestamps), max(1, len(fan.timestamps) // ROWS))
    head = "".join(f"<th>{name}</th>" for name in ("Start", "5 %", "25 %", "median", "75 %", "95 %"))
    return f"<table><tr>{head}</tr>{''.join(row(step) for step in steps)}</table>"


def kept_sentence(kept: Kept) -> str:
    """How often past intervals of the station held what was observed, in words."""
    return (
        f"Over the {kept.days} days before, forecasts made a day ahead held {formats.share(kept.inside_50)} of its values in "
        f"their 50{formats.THIN}% interval and {formats.share(kept.inside_90)} in their 90{formats.THIN}% interval "
        f"({kept.count:,} values)."
    )
