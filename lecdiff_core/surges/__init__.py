"""Surges: where and when traffic left the forecasts that were made before the fact, how far, for how long and with whom.

The way of the data:

    a forecast every 3 hours after what the model was fitted on ─ each observation against those of 1 to 12 h before: `Evidence`
    deviations ─ set against what the neighbourhood does and what is normal for the station: scores, standard normal in quiet times
    scores beyond ±1.645 in a row ─ a station's runs ─ runs of neighbours that overlap in time: events
    the same for areas, by how unlikely it is that these stations together come so far out (districts.py)
    events of the part that calibrated the model ─ how many as strong normal traffic gives in a day: what an event's strength means

A single value of a single forecast says little: 100 samples resolve no probability below 1 %, and traffic is correlated in time and
space. So a deviation is measured in half-widths of the 90 % interval, averaged over the forecasts, which is finer than samples are;
its tail probability comes from the samples of all stations and steps together, each in units of its own interval. Whether an event
is rare is not read off these numbers, but counted on the days that calibrated the model. Of a model trained for use these are
searched, too; an event of theirs then counts among the ordinary ones that it is compared with, which gives the rate that is asked
for where nothing surged, and reports fewer where something did.

Letters: N stations, T steps looked at, S samples, H horizon steps.
"""

from lecdiff_core.surges.circumstances import Circumstances, circumstances
from lecdiff_core.surges.evidence import LEADS
from lecdiff_core.surges.search import are_current, find_surges, surges_now
from lecdiff_core.surges.table import COLUMNS, FILED, Surges, read_surges, write_surges

__all__ = [
    "COLUMNS",
    "FILED",
    "LEADS",
    "Circumstances",
    "Surges",
    "are_current",
    "circumstances",
    "find_surges",
    "read_surges",
    "surges_now",
    "write_surges",
]
