"""The base model: LEC-Diff as it starts, with a few numbers fitted over networks; it forecasts any city from its second day.

An untrained LEC-Diff is a forecast already: its seasonal mean, the usual errors of past days, and noise that hangs together. What
it cannot know of a new city is fitted on other networks: the parameters of the seasonal mean and of the usual errors
(group "prior" of `LecDiff`), the shape of residuals (diffusion/tails.py), the shares of the noise (diffusion/field.py) and the
temperature. All times in them are hours or days, so one set of numbers serves every interval. They lie in
`assets/base/config.json`, made by benchmarks/accuracy/base.py, with the ids of the stations they were read off, hashed: a city
of one of these networks gets numbers that saw nothing of it (`network_of`).
"""

import hashlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lecdiff_core.assets import assets_folder
from lecdiff_core.bounded import read_json
from lecdiff_core.city.layout import CONFIG_FILE
from lecdiff_core.diffusion.field import LEVELS, MEMORY_HOURS
from lecdiff_core.errors import UserError
from lecdiff_core.models.conditional import LecDiffConfig
from lecdiff_core.models.lecdiff import LecDiff
from lecdiff_core.models.names import BASE

FILE = CONFIG_FILE
FORMAT_VERSION = 1
MINUTES_A_DAY = 24 * 60
HASH_LENGTH = 16  # hexadecimal digits of a station id's SHA-256
SAME_NETWORK = 0.5  # share of a city's stations that a network must hold to be the city's

Number = Annotated[float, Field(allow_inf_nan=False)]


class Network(BaseModel):
    """One network that numbers were read off: where its data come from, and its stations, hashed."""

    model_config = ConfigDict(extra="forbid")

    source: str
    licence: str
    stations: list[str]


class Numbers(BaseModel):
    """What is fitted over networks: prior parameters by name, `Tails.shape`, `NoiseField.shares` and the temperature."""

    model_config = ConfigDict(extra="forbid")

    prior: dict[str, Number | list[Number] | list[list[Number]] | list[list[list[Number]]]]
    tails: list[Number] = Field(min_length=3, max_length=3)
    shares: list[list[Annotated[float, Field(ge=0, allow_inf_nan=False)]]] = Field(min_length=LEVELS, max_length=LEVELS)
    temperature: Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Base(BaseModel):
    """The base model's file. without: the numbers of all networks but one, for cities of that one."""

    model_config = ConfigDict(extra="forbid")

    format_version: int
    recipe: int  # of LEC-Diff, whose start the numbers were read off
    interval_minutes: list[int]
    networks: dict[str, Network]
    all: Numbers
    without: dict[str, Numbers]


def folder() -> Path:
    """Where the base model lies."""
    return assets_folder() / BASE


@cache
def read(file: Path | None = None) -> Base:
    """The base model's file. Raises UserError where it is damaged or of another version than this program."""
    file = file or folder() / FILE
    again = "install lecdiff again, or make it with benchmarks/accuracy/base.py"
    try:
        raw = read_json(file)
        version = raw.get("format_version") if isinstance(raw, dict) else None
        if version != FORMAT_VERSION:
            raise UserError(
                f"{file}: base model of format {version}, this program reads format {FORMAT_VERSION}; {again}"
            )
        base = Base.model_validate(raw)
    except (OSError, ValueError, ValidationError) as error:
        raise UserError(f"{file}: cannot be read ({str(error).splitlines()[0]}); {again}") from error
    if base.recipe != LecDiff.recipe:
        raise UserError(f"{file}: made for recipe {base.recipe}, this program has recipe {LecDiff.recipe}; {again}")
    if any(len(row) != len(MEMORY_HOURS) for row in base.all.shares):
        raise UserError(f"{file}: its shares are not of {len(MEMORY_HOURS)} memories; {again}")
    return base


def sha256() -> str:
    """Of the base model's file."""
    return hashlib.sha256((folder() / FILE).read_bytes()).hexdigest()


def hashed(station_id: str) -> str:
    """A station's id as the base model's file holds it."""
    return hashlib.sha256(station_id.encode()).hexdigest()[:HASH_LENGTH]


def network_of(station_ids: Iterable[str]) -> str | None:
    """The network among the base's that at least half of these stations are of; None where there is none."""
    asked = {hashed(name) for name in station_ids}
    shares = {
        name: len(asked & set(network.stations)) / max(len(asked), 1) for name, network in read().networks.items()
    }
    best = max(shares, key=lambda name: shares[name], default=None)
    return best if best is not None and shares[best] >= SAME_NETWORK else None


def knows(steps_per_day: int) -> bool:
    """Whether the base was made for intervals of which a day has so many."""
    return MINUTES_A_DAY / steps_per_day in read().interval_minutes


def check_interval(steps_per_day: int) -> None:
    """Raise UserError for an interval that the base does not know, naming the nearest two."""
    known, minutes = read().interval_minutes, MINUTES_A_DAY / steps_per_day
    if not knows(steps_per_day):
        nearest = sorted(sorted(known, key=lambda other: abs(np.log(other / minutes)))[:2])
        raise UserError(
            f"the base model does not know intervals of {minutes:g} minutes, the nearest it knows are "
            f"{nearest[0]} and {nearest[1]} minutes; import the city with one of these, or train a model (`lecdiff train`)"
        )


@torch.no_grad()
def start_from(model: LecDiff, station_ids: Iterable[str], without: str | None = None, prior: bool = True) -> LecDiff:
    """Give an untrained model the base's numbers, fitted on networks other than that of the stations. Returns the model.

    without: the network that they saw nothing of, where the stations do not say it.  prior: also those of the seasonal mean.
    Raises UserError where the base has none of that name.
    """
    base, network = read(), without or network_of(station_ids)
    if network is not None and network not in base.without:
        raise UserError(
            f"the base model has no numbers without a network {network!r}, but without {', '.join(base.without)}"
        )
    numbers = base.all if network is None else base.without[network]
    for name, parameter in model.named_parameters():
        if prior and name in numbers.prior:
            parameter.copy_(torch.tensor(numbers.prior[name]))
    model.tails.shape.copy_(torch.tensor(numbers.tails))
    model.field.set_shares(np.array(numbers.shares))
    model.temperature.fill_(numbers.temperature)
    return model


def build(steps_per_day: int, station_ids: Iterable[str], noise: str = "shared", without: str | None = None) -> LecDiff:
    """The base model for a city; see `start_from`. Raises UserError for an interval it does not know."""
    check_interval(steps_per_day)
    model = LecDiff(LecDiffConfig(steps_per_day, noise=noise))
    return start_from(model, station_ids, without).requires_grad_(False).eval()
