"""The search for surges in a city, and whether what it gave is of the traffic and the model as they are now."""

from pathlib import Path
from typing import Any

import pandas as pd

from lecdiff_core.city.folder import City, duration_text
from lecdiff_core.city.panel import Panel
from lecdiff_core.city.timeline import moment
from lecdiff_core.errors import UserError
from lecdiff_core.forecaster import Forecaster
from lecdiff_core.locks import working
from lecdiff_core.models.checkpoint import read_metrics, source_now
from lecdiff_core.models.names import PREFERRED
from lecdiff_core.progress import Report, silent
from lecdiff_core.provenance import Source, is_current
from lecdiff_core.surges.events import detect
from lecdiff_core.surges.evidence import LONGEST_INTERVAL, discard_unfinished, gather
from lecdiff_core.surges.table import Surges, event_table, read_surges, score_table, stored_events, write_surges
from lecdiff_core.training import Parts, parts_of

METHOD = 3  # raised when the same city and model can give other surges


def find_surges(
    city: City | Path | str,
    model: str = PREFERRED,
    since: pd.Timestamp | str | None = None,
    device: str = "auto",
    report: Report = silent,
) -> Surges:
    """Find when and where traffic left the forecasts that were made before, and keep it in the city's folder.

    What is there and current is read. Stopped half-way, the same call goes on. The method is the project's own (docs/surges.md).

    Args:
        city: opened, or its folder.
        model: its name in the folder.
        since: where to begin; None = the end of what the model was fitted on.
        device: "auto", "cpu" or "cuda".
        report: called with what is done, how much there is to do, and words.

    Returns:
        Events, and scores (T, N) in half-widths of the 90 % interval.

    Raises:
        UserError: without a trained model, with too little traffic, or for a `since` that the model learned from.

    Examples:
        >>> from lecdiff_core import find_surges
        >>> from lecdiff_core.demo import DEMO_CITY
        >>> surges = find_surges(DEMO_CITY)
        >>> list(surges.at_most(0.5).columns)[:4], surges.scores.shape[1]
        (['event_id', 'direction', 'start', 'end'], 150)
    """
    city = City.of(city)
    parts, first = _searched(city, model, since)
    stored = read_surges(city)
    if stored is not None and stored.source == _source(source_now(city, model), first):
        return stored
    with working(city.path, "surges"):
        return _search(city, model, parts, first, device, report)


def _search(city: City, model: str, parts: Parts, first: int, device: str, report: Report) -> Surges:
    forecaster = Forecaster.load(city, model, device)
    panel, source = forecaster.panel, _source(forecaster.source, first)
    begin = parts.calibration.start
    evidence = gather(forecaster, begin, source, report)
    quiet = slice(0, len(parts.calibration))
    searched = slice(first - begin, None)
    detections = detect(
        evidence.deviation, quiet, searched, forecaster.graph, panel.steps_per_day, evidence.areas, panel.positions
    )
    events = stored_events(event_table(detections, evidence, panel), panel.timezone)
    surges = Surges(events, score_table(detections.scores, first - begin, evidence, panel), source)
    write_surges(city, surges)
    discard_unfinished(city)
    return surges


def _searched(city: City, model: str, since: pd.Timestamp | str | None) -> tuple[Parts, int]:
    """What the model learned from, and the first step that is searched."""
    if city.interval > LONGEST_INTERVAL:
        raise UserError(
            f"{city.path}: surges are judged by the forecasts of the hours before, which takes intervals of at most "
            f"{duration_text(LONGEST_INTERVAL)}; this city's are of {city.meta.interval}"
        )
    panel = Panel.of(city)
    parts = parts_of(read_metrics(city.model_folder(model)), panel)
    if len(parts.calibration) < panel.steps_per_day:
        raise UserError(
            f"{city.path}: surges need at least a day of traffic that calibrated the model; there are only "
            f"{panel.steps / panel.steps_per_day:.1f} days in all"
        )
    if since is None:
        return parts, parts.since
    clock = moment(since, panel.timezone, "--since").tz_localize(None)
    first, last = panel.clock[parts.since], panel.clock[-1]
    if not first <= clock <= last:
        raise UserError(
            f"--since {clock:%Y-%m-%d %H:%M}: surges are looked for after what the model learned from, from "
            f"{first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M}"
        )
    return parts, int(panel.clock.searchsorted(clock))


def _source(read: Source, first: int) -> dict[str, Any]:
    """All that surges are derived from, given what the forecasts read."""
    return {"method": METHOD, **read, "first_step": first}


def surges_now(city: City, model: str) -> dict[str, Any]:
    """What surges judged by a model would be derived from now; empty without such a model."""
    read = source_now(city, model)
    return {"method": METHOD, **read} if read else {}


def are_current(city: City, surges: Source) -> bool | None:
    """Whether surges, by the source they were kept with, are of this traffic and of their model as it is now; None = not known."""
    now = surges_now(city, str(surges.get("model")))
    return is_current(surges, now) if now else False
