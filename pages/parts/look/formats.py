"""How numbers, units, times and names are written, the same on every page."""

import html
import math
import re
import string

import pandas as pd

THIN = "\N{NARROW NO-BREAK SPACE}"
BYTES = {"B": 1.0, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12, "PB": 1e15}
BYTE_NAMES = {name.lower(): name for name in BYTES} | {"byte": "B", "bytes": "B"}
THOUSANDS = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9}
IN_WORDS = {"k": "thousands", "M": "millions", "G": "billions"}  # of a traffic without unit
LINK, JOINER = re.compile(r"https?://|www(?=\.)|@(?=[-\w])", re.IGNORECASE), "\N{WORD JOINER}"
COMMAND = re.compile(r"`(lecdiff [a-z][a-z -]*)`")
PUNCTUATION = str.maketrans({mark: f"\\{mark}" for mark in string.punctuation})


def escaped(text: object) -> str:
    """`text` as HTML that shows it literally."""
    return html.escape(str(text), quote=True)


def literal(text: object) -> str:
    """`text` as Markdown that shows it literally, for labels of widgets.

    What looks like a web or mail address gets an invisible mark, or the browser would make a link of it after all escaping.
    """
    return LINK.sub(lambda start: f"{start[0]}{JOINER}", str(text)).translate(PUNCTUATION)


def sentence(text: object) -> str:
    """A sentence of the core as Markdown: literal, but for the commands it names, such as `lecdiff train`."""
    parts = COMMAND.split(str(text))
    return "".join(f"`{part}`" if place % 2 else literal(part) for place, part in enumerate(parts))


def shortened(text: object, longest: int = 60) -> str:
    """`text` on one line, cut off where it is longer."""
    line = " ".join(str(text).split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def scale(top: float, unit: str) -> tuple[float, str]:
    """The divisor and the unit in which values up to `top`, given in the city's `unit`, read best.

    Bytes move between prefixes (1,240 MB become 1.24 GB); any other unit is counted in thousands and millions.
    """
    name = BYTE_NAMES.get(unit.strip().lower())
    factors = BYTES if name else THOUSANDS
    here = BYTES[name] if name else 1.0
    size = abs(top) * here if math.isfinite(top) else 0.0
    fitting = [prefix for prefix, factor in factors.items() if factor <= size]
    if not size:
        return 1.0, name or unit.strip()
    prefix = fitting[-1] if fitting else next(iter(factors))
    return factors[
        prefix
    ] / here, prefix if name else f"{prefix}{THIN if prefix and unit else ''}{unit.strip()}".strip()


def number(value: float) -> str:
    """A number with about three significant digits and thousands separated."""
    if not math.isfinite(value):
        return "–"
    if value == 0:
        return "0"
    decimals = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:,.{min(decimals, 4)}f}"


def amount(value: float, unit: str) -> str:
    """Traffic with its unit, such as 1.24 GB, 312 MB or 12.4 k activity; a dash where it is missing."""
    if not math.isfinite(value):
        return "–"
    divisor, symbol = scale(value, unit)
    text = number(value / divisor)
    return f"{text}{THIN}{symbol}" if symbol else text


def share(fraction: float) -> str:
    """A fraction as per cent."""
    if not math.isfinite(fraction):
        return "–"
    percent = 100 * fraction
    if 0 < percent < 0.1:
        return f"<{THIN}0.1{THIN}%"
    return f"{percent:.1f}{THIN}%" if 0 < percent < 10 else f"{percent:.0f}{THIN}%"


def duration(interval: pd.Timedelta) -> str:
    """A length of time, such as 30 min, 1 h or 24 h."""
    seconds = int(interval.total_seconds())
    if seconds % 3600 == 0:
        return f"{seconds // 3600}{THIN}h"
    return f"{seconds // 60}{THIN}min" if seconds % 60 == 0 else f"{seconds}{THIN}s"


def rate(unit: str, interval: pd.Timedelta) -> str:
    """The unit of an axis: traffic per interval, such as GB / 30 min."""
    return f"{IN_WORDS.get(unit, unit)} / {duration(interval)}" if unit else f"per {duration(interval)}"


def moment(time: pd.Timestamp) -> str:
    """A point in time on the city's clock, such as Tue 12 Aug 2025, 14:30."""
    return f"{time:%a} {time.day} {time:%b %Y, %H:%M}"


def day(time: pd.Timestamp) -> str:
    """A date, such as 12 Aug 2025."""
    return f"{time.day} {time:%b %Y}"


def distance(metres: float) -> str:
    """A distance on the ground, such as 340 m or 2.1 km."""
    return f"{metres:.0f}{THIN}m" if metres < 1000 else f"{number(metres / 1000)}{THIN}km"


def position(lon: float, lat: float) -> str:
    """Coordinates in degrees with their half of the globe."""
    return f"{abs(lat):.5f}°{THIN}{'N' if lat >= 0 else 'S'}, {abs(lon):.5f}°{THIN}{'E' if lon >= 0 else 'W'}"
