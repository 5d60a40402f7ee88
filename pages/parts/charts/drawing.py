"""The fan chart as a drawing in SVG, on white, for reports and picture files: it needs no browser to be made."""

import numpy as np
import pandas as pd

from lecdiff_core.city.folder import City
from pages.parts.charts.forecast_charts import HISTORY
from pages.parts.data.forecasts import Fan
from pages.parts.data.traffic_levels import carried
from pages.parts.look import colours, formats
from pages.parts.look.formats import escaped

WIDTH, HEIGHT = 920, 400
LEFT, RIGHT, TOP, BOTTOM = 62, 12, 58, 46  # of the frame around the plot
GRID_LINES = 5
FONT = "system-ui, 'Segoe UI', Roboto, 'Helvetica Neue', 'DejaVu Sans', sans-serif"


class _Plot:
    """Where a time and an amount lie on the drawing."""

    def __init__(self, start: pd.Timestamp, end: pd.Timestamp, top: float) -> None:
        self.start, self.span, self.top = start, end - start, top

    def x(self, time: pd.Timestamp) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * ((time - self.start) / self.span)

    def y(self, amount: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * amount / self.top

    def points(self, values: pd.Series) -> list[str]:
        return [f"{self.x(time):.1f},{self.y(value):.1f}" for time, value in values.items()]

    def line(self, values: pd.Series, colour: str, width: float) -> str:
        """A line that is broken where values are missing."""
        pieces, piece = [], ""
        for time, value in values.items():
            if np.isnan(value):
                piece = ""
                continue
            command = "L" if piece else "M"
            piece = f"{command}{self.x(time):.1f} {self.y(value):.1f}"
            pieces.append(piece)
        return f'<path d="{"".join(pieces)}" fill="none" stroke="{colour}" stroke-width="{width}" stroke-linejoin="round"/>'

    def band(self, times: pd.DatetimeIndex, low: np.ndarray, high: np.ndarray, colour: str, opacity: str) -> str:
        edge = self.points(pd.Series(high, times)) + self.points(pd.Series(low, times))[::-1]
        return f'<polygon points="{" ".join(edge)}" fill="rgb({colour})" fill-opacity="{opacity}"/>'


def fan_drawing(city: City, name: str, origin: pd.Timestamp, fan: Fan) -> str:
    """History, forecast with its intervals, and what was observed, as SVG of 920 × 400 with title and legend."""
    theme = colours.LIGHT
    end = fan.timestamps[-1]
    start = max(origin - HISTORY, city.traffic.index[0])
    observed = carried(city, fan.stations, start, end)
    highest = float(np.nanmax([*observed.to_numpy(), *fan.high_90, 0])) or 1.0
    divisor, unit = formats.scale(highest, city.meta.unit)
    plot = _Plot(start, end, 1.06 * highest / divisor)
    before = city.last_before(origin)
    past, since = observed[:before] / divisor, observed[before:] / divisor
    parts = [_grid(plot, formats.rate(unit, city.interval), theme)]
    entries = [("observed", theme["past"], "1")]
    faint, strong = theme["bands"].split()
    shade = theme["forecast"]
    parts.append(plot.band(fan.timestamps, fan.low_90 / divisor, fan.high_90 / divisor, shade, faint))
    parts.append(plot.band(fan.timestamps, fan.low_50 / divisor, fan.high_50 / divisor, shade, strong))
    parts.append(plot.line(pd.Series(fan.median / divisor, fan.timestamps), f"rgb({shade})", 2.4))
    entries += [("90 % interval", f"rgb({shade})", faint), ("50 % interval", f"rgb({shade})", strong)]
    entries.append(("median", f"rgb({shade})", "1"))
    parts.append(plot.line(past, theme["past"], 1.6))
    if since[1:].notna().any():
        parts.append(plot.line(since, theme["since"], 2.0))
        entries.append(("observed since", theme["since"], "1"))
    x = plot.x(origin)
    parts.append(
        f'<path d="M{x:.1f} {TOP}V{HEIGHT - BOTTOM}" stroke="{theme["line"]}" stroke-dasharray="5 4"/>'
        f'<text x="{x + 4:.1f}" y="{TOP - 5}" font-size="12">forecast →</text>'
    )
    title = f"{name}, {city.meta.name}: forecast of {formats.moment(origin)} ({city.meta.timezone})"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img" '
        f'aria-label="{escaped(title)}" font-family="{FONT}" fill="{theme["line"]}">'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>'
        f'<text x="{LEFT}" y="22" font-size="15" font-weight="600">{escaped(_printable(title))}</text>'
        f"{''.join(parts)}{_legend(entries)}</svg>"
    )


def _grid(plot: _Plot, title: str, theme: dict[str, str]) -> str:
    step = _round_step(plot.top / GRID_LINES)
    lines = []
    for number in range(int(plot.top / step) + 1):
        y = plot.y(number * step)
        lines.append(
            f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="{theme["grid"]}"/>'
            f'<text x="{LEFT - 8}" y="{y + 4:.1f}" font-size="12" text-anchor="end">{number * step:,.4g}</text>'
        )
    clock = pd.date_range(plot.start.tz_localize(None).ceil("12h"), freq="12h", periods=12)
    for time in clock.tz_localize(plot.start.tz, ambiguous=np.ones(len(clock), bool), nonexistent="shift_forward"):
        if time <= plot.start + plot.span:
            x = plot.x(time)
            day = f"{time:%a} {time.day} {time:%b}" if time.hour < 12 else ""
            lines.append(
                f'<path d="M{x:.1f} {TOP}V{HEIGHT - BOTTOM}" stroke="{theme["grid"]}"/>'
                f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 16}" font-size="12" text-anchor="middle">{time:%H:%M}</text>'
                f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 31}" font-size="12" text-anchor="middle">{day}</text>'
            )
    middle = (TOP + HEIGHT - BOTTOM) / 2
    turned = f'<text transform="translate(14 {middle}) rotate(-90)" font-size="12" text-anchor="middle">{escaped(title)}</text>'
    return "".join(lines) + turned


def _round_step(least: float) -> float:
    """The smallest of 1, 2, 5 times a power of ten that is at least `least`."""
    power = 10 ** np.floor(np.log10(least))
    return float(next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least * 0.999))


def _legend(entries: list[tuple[str, str, str]]) -> str:
    parts, x = [], float(LEFT)
    for name, colour, opacity in entries:
        parts.append(
            f'<rect x="{x}" y="32" width="16" height="9" rx="2" fill="{colour}" fill-opacity="{opacity}"/>'
            f'<text x="{x + 21}" y="41" font-size="12">{name}</text>'
        )
        x += 38 + 6.6 * len(name)
    return "".join(parts)


def _printable(text: str) -> str:
    """`text` without the control characters that XML forbids."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def locator_drawing(city: City, station_id: str, size: int = 150) -> str:
    """Where the station lies among the others: a dot a station, north up, as SVG; empty where no place is known."""
    if not city.has_places:
        return ""
    x, y = city.stations.geometry.x.to_numpy(), city.stations.geometry.y.to_numpy()
    x = x * np.cos(np.radians(y.mean()))
    span = max(np.ptp(x), np.ptp(y)) or 1.0
    places = [(x - x.min() - np.ptp(x) / 2) / span, (y - y.min() - np.ptp(y) / 2) / span]
    left, top = (size / 2 + (size - 24) * part * sign for part, sign in zip(places, (1, -1), strict=True))
    keep = np.arange(0, len(x), max(1, len(x) // 2000))
    dots = "".join(f"M{a:.1f} {b:.1f}h0" for a, b in zip(left[keep], top[keep], strict=True))
    row = city.station_ids.index(station_id)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size} {size}" width="{size}" height="{size}" role="img" '
        f'aria-label="Where the station lies among all stations"><rect width="{size}" height="{size}" rx="8" fill="#f3f6f8"/>'
        f'<path d="{dots}" stroke="#7f8c96" stroke-width="3.5" stroke-linecap="round"/>'
        f'<circle cx="{left[row]:.1f}" cy="{top[row]:.1f}" r="6" fill="#d55e00" stroke="#ffffff" stroke-width="2"/></svg>'
    )
