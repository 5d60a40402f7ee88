"""What if, for a station that has a history: other words for its surroundings, a neighbour switched off, more demand.

The station's own forecast is taken and changed. *Other words*: the regression over places (regression.py), which does not ask the
station itself, says how much more or less a place with the new surroundings carries than one with the old, and how sure that is;
each sample is multiplied by it. *Switched off*: the neighbours' samples go to the stations whose ground becomes nearest
(catchment.py). *Demand*: all samples are scaled. It is an estimate, and nothing of it is saved.

Letters: S samples, H steps.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from lecdiff_core.city.folder import City, closest, named
from lecdiff_core.errors import UserError
from lecdiff_core.forecast import Forecast
from lecdiff_core.forecaster import Forecaster
from lecdiff_core.images import ImageError, read_image
from lecdiff_core.models.names import PREFERRED
from lecdiff_core.models.protocol import RowNoise
from lecdiff_core.sites.catchment import shares_left
from lecdiff_core.sites.forecast import SiteForecaster, side_by_side
from lecdiff_core.sites.regression import Places
from lecdiff_core.sites.rules import Regressed
from lecdiff_core.sites.surroundings import Surroundings, look_at, lookalikes, station_rows

ESTIMATE = "an estimate from stations in like surroundings; nothing of it is saved"
LEAST_DEMAND, MOST_DEMAND = 0.0, 100.0


@dataclass(frozen=True)
class WhatIf:
    """A station's forecast as it is and as it would be.

    before, after: the station alone (N = 1), sample by sample of the same future.  factor: (H,) median of what other words multiply
    the forecast by; ones without.  lookalikes: the stations that it resembles, with the cosine of each; `after` by the new words.
    """

    station_id: str
    before: Forecast
    after: Forecast
    factor: np.ndarray
    lookalikes_before: tuple[tuple[str, float], ...]
    lookalikes_after: tuple[tuple[str, float], ...]
    notices: tuple[str, ...]


def what_if(
    city: City | Path | str,
    station_id: str,
    text: str | None = None,
    switched_off: Sequence[str] = (),
    demand: float = 1.0,
    origin: pd.Timestamp | str | None = None,
    samples: int = 100,
    seed: int = 0,
    model: str = PREFERRED,
    forecaster: Forecaster | None = None,
    sites: SiteForecaster | None = None,
) -> WhatIf:
    """A station's next 24 hours if other things stood around it, neighbours were switched off, or demand were another.

    Args:
        city: opened, or its folder.
        station_id: the station.
        text: new words for its surroundings; None = as they are.
        switched_off: neighbours whose traffic others take over.
        demand: what the whole is multiplied by.
        origin: start of the forecast; None = the end of the data.
        samples: S.
        seed: of the random numbers.
        model: that forecasts, see `Forecaster.load`.
        forecaster, sites: loaded before, where many questions are asked of one city.

    Raises:
        UserError: for an unknown station, words without embeddings to compare them with, neighbours without known places, or a
            demand that is not from 0 to 100.

    Examples:
        >>> from lecdiff_core.demo import DEMO_CITY
        >>> from lecdiff_core.sites.what_if import what_if
        >>> answer = what_if(DEMO_CITY, "BS-001", demand=2.0)
        >>> bool((answer.after.samples == 2 * answer.before.samples).all())
        True
    """
    if not LEAST_DEMAND <= demand <= MOST_DEMAND:
        raise UserError(f"demand must be from {LEAST_DEMAND:g} to {MOST_DEMAND:g} times today's, not {demand:g}")
    forecaster = forecaster or Forecaster.load(city, model)
    opened = forecaster.city
    off = tuple(dict.fromkeys(switched_off))
    _check_stations(opened, station_id, off)
    asked = [station_id, *off]
    together = forecaster.forecast(origin, samples=samples, stations=asked, seed=seed)
    if station_id not in together.station_ids:
        raise UserError(
            f"station {station_id!r} has too little history to be forecast; ask `lecdiff site` about its place"
        )
    before = replace(together.station(station_id), source=together.source, notices=together.notices)
    after, notices = before.samples[:, 0], [ESTIMATE]
    if off:
        sites = sites or SiteForecaster(opened)
        after = after + _inherited(sites, station_id, off, together)
    old, new, factor = None, None, np.ones((samples, before.samples.shape[2]))
    if text is not None:
        sites = sites or SiteForecaster(opened)
        old, new = described_anew(sites, station_id, text)
        factor = _factor(sites, station_id, old, new, origin, samples, seed)
        notices += new.notices
    after = (after * factor * demand).astype(np.float32)
    return WhatIf(
        station_id,
        before,
        replace(before, samples=after[:, None]),
        np.median(factor, axis=0),
        _alike(sites, station_id, old),
        _alike(sites, station_id, new),
        tuple(notices),
    )


def described_anew(sites: SiteForecaster, station_id: str, text: str) -> tuple[Surroundings, Surroundings]:
    """A station's surroundings as they are embedded, and with other words beside its chip.

    Raises UserError where the words say nothing.
    """
    city, table = sites.city, sites.table
    file, image = city.chip(station_id), None
    if file is not None:
        try:
            image = read_image(file.read_bytes()).convert("RGB")
        except (OSError, ImageError) as error:
            raise UserError(f"{file}: the chip of {station_id} cannot be read ({error})") from error
    new = look_at(city, table, image, text)
    if "text" not in new.kinds or table is None:
        why = "; ".join(new.notices) or "describe and embed them first"
        raise UserError(f"the words for {station_id} cannot be compared with the stations' descriptions: {why}")
    rows = {kind: part[0] for kind, part in station_rows(table, (station_id,), new.kinds).items()}
    if not all(part.any() for part in rows.values()):
        raise UserError(
            f"station {station_id!r} is not described and embedded, so there is nothing to change; see `lecdiff embed`"
        )
    return Surroundings(new.kinds, rows), new


def _factor(
    sites: SiteForecaster,
    station_id: str,
    old: Surroundings,
    new: Surroundings,
    origin: pd.Timestamp | str | None,
    samples: int,
    seed: int,
) -> np.ndarray:
    """(S, H) what a sample is multiplied by: the change of level, as sure as it is, times the change of shape."""
    _, step = sites.origin(origin)
    row = sites.panel.station_ids.index(station_id)
    position = sites.panel.positions[[row, row]] if sites.city.has_places else None
    model, view, _ = sites.model_without(new.kinds, station_id, step)
    both = Places(2, side_by_side(view, [new, old]), position)
    assert isinstance(model.rule, Regressed)
    said = model.rule(both)
    level, _ = model.level(said)
    shape = model.shape(said)
    spread = model.rule.spread_of_change(both)
    noise = RowNoise.of([f"{step}|{station_id}|what if"], seed).normal(samples, 1).numpy()[:, 0]
    return np.asarray(np.exp(level[0] - level[1] + spread * noise) * shape[0] / shape[1])


def _inherited(sites: SiteForecaster, station_id: str, off: Sequence[str], together: Forecast) -> np.ndarray:
    """(S, H) what a station takes over from those that are switched off, of the same futures."""
    city, panel = sites.city, sites.panel
    if not city.has_places:
        raise UserError(f"nothing is known of where the stations of {city.meta.name} stand, so nobody is a neighbour")
    row = {name: index for index, name in enumerate(panel.station_ids)}
    gone = np.array([row[name] for name in off])
    taken = np.zeros(together.samples[:, 0].shape)
    for name in off:
        if name in together.station_ids:
            share = shares_left(row[name], gone, panel.positions, sites.usual)[row[station_id]]
            taken = taken + share * together.samples[:, together.station_ids.index(name)]
    return np.asarray(taken)


def _alike(sites: SiteForecaster | None, station_id: str, seen: Surroundings | None) -> tuple[tuple[str, float], ...]:
    """Whom a station resembles beside itself; nothing where words were not asked about."""
    if sites is None or seen is None or sites.table is None:
        return ()
    others = tuple(name for name in sites.panel.station_ids if name != station_id)
    return tuple(lookalikes(seen, station_rows(sites.table, others, seen.kinds), others))


def _check_stations(city: City, station_id: str, off: Sequence[str]) -> None:
    unknown = [name for name in (station_id, *off) if name not in city.station_ids]
    if unknown:
        close = named([repr(name) for name in closest(unknown[0], city.station_ids)])
        raise UserError(f"the city has no station {unknown[0]!r}{f'; most like it: {close}' if close else ''}")
    if station_id in off:
        raise UserError(f"station {station_id!r} is asked about and switched off; name its neighbours alone")
