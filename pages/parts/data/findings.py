"""What the accuracy page says in words: sentences made from the figures beside them, which stay true when those change."""

from collections.abc import Mapping, Sequence

import numpy as np

from lecdiff_core.evaluation.results import SAMPLER_LABELS, SCORES, LatencyRun, Model, SamplerRun, Verdict, verdict
from lecdiff_core.models.names import (
    ABLATIONS,
    INDEPENDENT,
    NAMES,
    OURS,
    WITH_OTHERS_SURROUNDINGS,
    WITHOUT_SURROUNDINGS,
)
from pages.parts.look.formats import share

TOLERANCE = 0.03  # of a coverage: within it an interval counts as keeping its promise
MEANINGS = {"win": "a clear gain", "tie": "a tie", "loss": "a clear loss"}
NEGLIGIBLE = 5e-4  # relative change that rounds to nothing
ENOUGH = 0.01  # relative excess up to which fewer denoising steps are enough
OUTCOMES = {"win": "LEC-Diff wins", "tie": "tie", "loss": "LEC-Diff loses"}


def percent(part: float) -> str:
    """A relative change as per cent with one decimal, without its sign."""
    return f"{100 * abs(part):.1f}\N{NARROW NO-BREAK SPACE}%"


def standing(models: Mapping[str, Model]) -> str:
    """How LEC-Diff stands against all other models."""
    others = [model for name, model in models.items() if name != OURS and name not in ABLATIONS]
    ours = models.get(OURS)
    if ours is None:
        best = others[0] if others else next(iter(models.values()))
        return f"{best.label} has the lowest error of those measured here; LEC-Diff itself was not measured."
    if not others:
        return "Only LEC-Diff was measured here, so there is nothing to compare it with."
    verdicts = [verdict(ours, other) for other in others]
    return f"{_against_the_best(others[0], verdicts[0])} {_tally(verdicts)}"


def _against_the_best(best: Model, said: Verdict) -> str:
    if said.change == 0:
        return f"LEC-Diff and {best.label} have the same error."
    below = said.change < 0
    place = "LEC-Diff has the lowest error" if below else f"{best.label} has the lowest error"
    beside = f"{percent(said.change)} below the next best, {best.label}" if below else None
    rest = beside or f"LEC-Diff's is {percent(said.change)} above it"
    meaning = {
        "win": "day by day the lead is clear",
        "loss": "day by day it is clearly behind",
        "tie": "over the few days measured this is a tie",
    }[said.outcome]
    return f"{place}, {rest}; {meaning}."


def _tally(verdicts: Sequence[Verdict]) -> str:
    counts = {outcome: sum(one.outcome == outcome for one in verdicts) for outcome in ("win", "tie", "loss")}
    plurals = {"win": "wins", "tie": "ties", "loss": "losses"}
    parts = [f"{count} {name if count == 1 else plurals[name]}" for name, count in counts.items() if count]
    number = len(verdicts)
    return f"Against {'the one other model' if number == 1 else f'all {number} other models'}: {joined(parts)}."


def joined(parts: Sequence[str]) -> str:
    """Words in a row: a, b and c."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else list(parts))


def ablations(ours: Model, changed: Sequence[Model]) -> str:
    """What each part of LEC-Diff is worth here."""
    by_outcome: dict[str, list[str]] = {"win": [], "tie": [], "loss": []}
    for model in changed:
        said = verdict(ours, model)
        much = "" if said.outcome == "tie" else f" ({percent(1 / (1 + said.change) - 1)})"
        by_outcome[said.outcome].append(f"{_changed(model)}{much}")
    openings = {"win": "The error rises", "loss": "The error falls", "tie": "It is a tie"}
    return " ".join(f"{openings[outcome]} {joined(parts)}." for outcome, parts in by_outcome.items() if parts)


def _changed(model: Model) -> str:
    """What was changed in LEC-Diff, to follow "the error rises"."""
    return NAMES[model.name].change if model.name in ABLATIONS else f"as {model.label}"


def calibration(model: Model) -> str:
    """Whether the intervals hold what they promise."""
    half, most = model.mean("coverage_50"), model.mean("coverage_90")
    said = (
        f"Of what was observed, {share(half)} fell inside the 50\N{NARROW NO-BREAK SPACE}% interval and {share(most)} inside the "
        f"90\N{NARROW NO-BREAK SPACE}% interval: {_calibration(half - 0.5, most - 0.9)}."
    )
    widened = model.widened("coverage_50"), model.widened("coverage_90")
    if None not in widened:
        said += f" Stretched by what validation days showed, {share(widened[0])} and {share(widened[1])}."  # type: ignore[arg-type]
    return said


def _calibration(half: float, most: float) -> str:
    if max(abs(half), abs(most)) <= TOLERANCE:
        return "the intervals keep their promise"
    off = [
        f"the {name} interval is too {'wide' if miss > 0 else 'narrow'}"
        for name, miss in (("inner", half), ("outer", most))
        if abs(miss) > TOLERANCE
    ]
    return joined(off)


def together(columns: Mapping[str, Model]) -> str:
    """What the 90 % intervals of peaks, totals and areas hold, with samples that belong together and without."""
    names = [name for name in SCORES if name != "step"]

    def held(model: Model) -> str:
        shares = [model.coverage(name) for name in names if model.scores(name)]
        low, high = share(min(shares)), share(max(shares))
        return low if low == high else f"{low} to {high}"

    ours, *others = columns.values()
    said = f"Peaks, totals and areas are forecasts, too: their 90\N{NARROW NO-BREAK SPACE}% intervals hold {held(ours)}"
    apart = next((model for model in others if model.name == INDEPENDENT), None)
    return f"{said}; where each station draws its own noise, {held(apart)}." if apart else f"{said}."


def ranks(pit: np.ndarray) -> str:
    """Where the observations fell among the sampled futures."""
    edge = max(1, len(pit) // 10)
    low, high = pit[:edge].sum(), pit[-edge:].sum()
    expected = edge / len(pit)
    tails = {"low": low / expected - 1, "high": high / expected - 1}
    if max(map(abs, tails.values())) <= 0.2:
        return "Observations fall evenly among the sampled futures, as they should: all bars are about as high as the line."
    words = [
        f"{'more' if excess > 0 else 'fewer'} {name} values were observed than forecast"
        for name, excess in tails.items()
        if abs(excess) > 0.2
    ]
    return f"With perfect forecasts all bars would reach the line; here {joined(words)}."


def hours(model: Model) -> str:
    """When forecasts are good and when they are not."""
    by_hour = model.by_hour
    best, worst = min(by_hour, key=by_hour.__getitem__), max(by_hour, key=by_hour.__getitem__)
    return (
        f"{model.label} errs least from {best}:00 to {best + 1}:00 ({percent(by_hour[best])} of the traffic) and most from "
        f"{worst}:00 to {worst + 1}:00 ({percent(by_hour[worst])})."
    )


def stations(errors: Mapping[str, float]) -> str:
    """How errors spread over the stations."""
    values = np.array(list(errors.values()))
    worst = max(errors, key=errors.__getitem__)
    return (
        f"Half of the {len(values):,} stations have an error below {percent(float(np.median(values)))} of their traffic, "
        f"nine in ten below {percent(float(np.quantile(values, 0.9)))}; {worst} has the highest, {percent(errors[worst])}."
    )


def unseen(seen: Model, others: Sequence[tuple[str, Model]]) -> str:
    """What a forecast costs of a station that training never saw."""
    parts = []
    for condition, model in others:
        change = model.mean("ncrps") / seen.mean("ncrps") - 1
        worse = "higher" if change > 0 else "lower"
        much = "about the same" if abs(change) < NEGLIGIBLE else f"{percent(change)} {worse}"
        parts.append(f"{much} {condition}")
    return f"Compared with all stations in training, LEC-Diff's error is {joined(parts)}."


def surroundings(true: Model, others: Sequence[Model], condition: str) -> str:
    """Whether knowing the surroundings lowers the error under a condition."""
    against = {WITHOUT_SURROUNDINGS: "not knowing them", WITH_OTHERS_SURROUNDINGS: "being given another station's"}
    parts = []
    for other in others:
        said = verdict(true, other)
        much = f"{percent(said.change)} {'below' if said.change < 0 else 'above'}"
        much = "no different from" if abs(said.change) < NEGLIGIBLE else f"{much} that of"
        parts.append(f"{much} {against.get(other.name, other.label)} ({MEANINGS[said.outcome]})")
    return f"{condition}, the error with knowing the surroundings is {joined(parts)}."


def by_history(histories: Sequence[str], verdicts: Sequence[Verdict | None]) -> str:
    """What the image's surroundings change with the shortest and with the longest history."""
    measured = [(name, one) for name, one in zip(histories, verdicts, strict=True) if one is not None]
    if not measured:
        return "Surroundings were not measured against none."
    parts = []
    for name, one in dict([measured[0], measured[-1]]).items():
        much = f"{percent(one.change)} {'lower' if one.change < 0 else 'higher'}"
        much = "no different" if abs(one.change) < NEGLIGIBLE else much
        parts.append(f"{much} with {name} ({MEANINGS[one.outcome]})")
    return f"Beside knowing nothing of the surroundings, the error with the satellite image is {joined(parts)}."


def denoising(default: SamplerRun, most: SamplerRun) -> str:
    """Whether the default number of steps is enough."""
    above = default.ncrps / most.ncrps - 1
    beside = "the same as" if abs(above) < NEGLIGIBLE else f"{percent(above)} {'above' if above > 0 else 'below'}"
    sampler = SAMPLER_LABELS.get(default.sampler, default.sampler)
    return (
        f"{default.evaluations} evaluations of the network ({sampler}, {default.steps} steps) give an error {beside} that "
        f"of {most.steps} steps: {'within' if above <= ENOUGH else 'not within'} 1\N{NARROW NO-BREAK SPACE}%."
    )


def latency(
    largest: LatencyRun, samples: int, others: Sequence[tuple[str, float]], singles: Sequence[LatencyRun]
) -> str:
    """How long the largest network takes, how much longer other models a station and step, and one station alone."""
    said = (
        f"A day ahead for {largest.stations:,} stations, {samples} sampled futures each, takes {seconds(largest.seconds)} "
        f"({largest.device})"
    )
    if largest.peak_mb:
        said += f" and {largest.peak_mb / 1024:.1f} GB of memory"
    beside = [
        f"{name} takes {factor:,.0f} times as long" if factor >= 2 else f"{name} takes {percent(factor)} of that"
        for name, factor in others
    ]
    said += f"; for each station and step, {joined(beside)}." if beside else "."
    if singles:
        quickest = min(singles, key=lambda run: run.seconds)
        said += f" One station with its neighbours takes {seconds(quickest.seconds)} ({quickest.device})."
    return said


def seconds(time: float) -> str:
    """A length of time to about two digits."""
    if time < 1:
        return f"{1000 * time:.0f}\N{NARROW NO-BREAK SPACE}ms"
    return f"{time:.1f}\N{NARROW NO-BREAK SPACE}s" if time < 20 else f"{time:,.0f}\N{NARROW NO-BREAK SPACE}s"
