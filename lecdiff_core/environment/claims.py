"""What a sentence claims of a chip: subjects (water, lawns, roofs …), how much of them, and where.

The words are data, in `rules/claims.toml`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from tomllib import loads
from typing import Any

from lecdiff_core.environment.evidence import REGIONS

Pattern = re.Pattern[str]

LIMITS: tuple[str, ...] = ("none", "few", "all", "most", "some")
QUANTITIES: tuple[str, ...] = (*LIMITS, "part")


@dataclass(frozen=True)
class Subject:
    """One kind of thing that may be claimed, and the shares at which the evidence contradicts the claim."""

    name: str
    words: Pattern
    measure: tuple[str, ...] = ()
    sure: tuple[str, ...] = ()
    limits: Mapping[str, float] | None = None  # quantity → share; None: the subject can't be checked
    side: float = 0.0
    over: float = 0.4


@dataclass(frozen=True)
class Tone:
    """A claim about the whole chip's brightness or colour: contradicted when the measure leaves `low`…`high`."""

    name: str
    words: Pattern
    measure: str
    low: float
    high: float
    reason: str


@dataclass(frozen=True)
class ClaimRules:
    """`rules/claims.toml`, compiled."""

    subjects: tuple[Subject, ...]
    tones: tuple[Tone, ...]
    ignored_places: Pattern
    regions: Mapping[str, Pattern]
    quantities: Mapping[str, Pattern]
    fractions: Mapping[float, Pattern]
    percent: Pattern
    of_chip: Pattern
    aside: Pattern  # "... with", "... beside" before a subject: the clause's quantity is not meant for it
    confined: Pattern
    predicate: Pattern  # "the bottom is …": most of it


@dataclass(frozen=True)
class Claim:
    """`quantity` (one of `QUANTITIES`) of a subject in a region of `evidence.REGIONS`.

    `part`: the part of the region (0…1) that is claimed, where `quantity` is "part". `confined`: there and hardly elsewhere.
    """

    subject: Subject
    quantity: str
    region: str
    part: float | None = None
    confined: bool = False

    def __str__(self) -> str:
        amounts = {"none": "no", "few": "little", "all": "nothing but", "most": "mostly", "some": "some"}
        amount = amounts.get(self.quantity) or f"{self.part:.0%}"
        return f"{amount} {self.subject.name}" + ("" if self.region == "all" else f" in the {self.region}")


@cache
def claim_rules() -> ClaimRules:
    """Read and compile the shipped rules, once."""
    return compile_claims(loads((files("lecdiff_core.environment") / "rules" / "claims.toml").read_text("utf-8")))


def compile_claims(data: Mapping[str, Any]) -> ClaimRules:
    """Compile rules in the form of `claims.toml`."""
    subjects = []
    for entry in data["subject"]:
        neutral = entry.get("neutral", False)
        subjects.append(
            Subject(
                name=entry["name"],
                words=_compile(entry["words"]),
                measure=tuple(entry.get("measure", ())),
                sure=tuple(entry.get("sure", entry.get("measure", ()))),
                limits=None if neutral else {name: float(entry[name]) for name in LIMITS},
                side=float(entry.get("side", 0)),
                over=float(entry.get("over", Subject.over)),
            )
        )
    tones = tuple(
        Tone(
            entry["name"],
            _compile(entry["words"]),
            entry["measure"],
            float(entry.get("min", 0)),
            float(entry.get("max", float("inf"))),
            entry["reason"],
        )
        for entry in data["tone"]
    )
    words = data["regions"]["words"]
    if unknown := set(words) - set(REGIONS):
        raise ValueError(f"claims.toml names regions that do not exist: {sorted(unknown)}")
    quantities = {name: _compile(pattern) for name, pattern in data["quantities"].items() if isinstance(pattern, str)}
    return ClaimRules(
        subjects=tuple(subjects),
        tones=tones,
        ignored_places=_compile(data["regions"]["ignored"]),
        regions={name: _compile(pattern) for name, pattern in words.items()},
        fractions={float(part): _compile(words) for part, words in data["quantities"]["fractions"].items()},
        percent=quantities.pop("percent"),
        of_chip=quantities.pop("of_chip"),
        aside=quantities.pop("aside"),
        confined=quantities.pop("confined"),
        predicate=quantities.pop("predicate"),
        quantities=quantities,
    )


def find_claims(clause: str, rules: ClaimRules) -> list[Claim]:
    """Return the claims of one clause, in the order of their words. A clause without a known subject claims nothing."""
    text = rules.ignored_places.sub(_blank, clause)
    places: list[tuple[int, str]] = []
    for region, pattern in rules.regions.items():
        places += [(match.start(), region) for match in pattern.finditer(text)]
        text = pattern.sub(_blank, text)
    subjects: list[tuple[int, int, Subject]] = []
    rest = text
    for subject in rules.subjects:
        subjects += [(match.start(), match.end(), subject) for match in subject.words.finditer(rest)]
        rest = subject.words.sub(_blank, rest)
    subjects.sort(key=lambda found: found[0])
    checkable = [found for found in subjects if found[2].limits is not None]
    confined = rules.confined.search(clause) is not None
    predicate = rules.predicate.search(clause) is not None
    part = _part(rest, rules)
    claims = []
    for start, end, subject in _join_lists(checkable, text):
        quantity = _quantity(rest, start, end, predicate, rules)
        if part is not None and quantity not in ("none", "few"):
            quantity = "part"
        whole = quantity == "part" and rules.of_chip.search(rest)
        region = "all" if whole else _nearest(places, start, end)
        claims.append(Claim(subject, quantity, region, part if quantity == "part" else None, confined))
    return claims


Found = tuple[int, int, Subject]


def _join_lists(subjects: list[Found], text: str) -> list[Found]:
    """Make one subject of those in a list ("woods and meadows"): together they must reach what the clause claims."""
    joined: list[Found] = []
    for start, end, subject in subjects:
        if joined and _LIST_JOINT.match(text[joined[-1][1] : start]):
            first, _, before = joined[-1]
            joined[-1] = (first, end, _together(before, subject))
        else:
            joined.append((start, end, subject))
    return joined


def _together(one: Subject, other: Subject) -> Subject:
    assert one.limits is not None and other.limits is not None
    if one.name == other.name:
        return one
    larger = {name: max(one.limits[name], other.limits[name]) for name in ("all", "most", "few", "none")}
    return Subject(
        name=f"{one.name} or {other.name}",
        words=one.words,
        measure=_union(one.measure, other.measure),
        sure=_union(one.sure, other.sure),
        limits={"some": min(one.limits["some"], other.limits["some"]), **larger},
        side=min(one.side, other.side),
        over=max(one.over, other.over),
    )


def find_tones(sentence: str, rules: ClaimRules) -> list[Tone]:
    """Return the claims about the whole chip's brightness and colour that a sentence makes."""
    return [tone for tone in rules.tones if tone.words.search(sentence)]


def _union(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
    """Both measures; what lies on built land is not counted beside it."""
    both = tuple(dict.fromkeys((*one, *other)))
    return (
        tuple(name for name in both if name not in ("paved", "bright", "terracotta", "soil"))
        if "built" in both
        else both
    )


_LIST_JOINT = re.compile(r"^\s*(?:,|and|or)\s+(?:[a-z-]+\s+){0,2}$", re.IGNORECASE)
_LIST_BEFORE = re.compile(r"(?:,|\band|\bor)\s+(?:an? )?$", re.IGNORECASE)
_LIST_AFTER = re.compile(r"^ ?(?:,|and\b|or\b) \w", re.IGNORECASE)
_PREPOSITION = re.compile(r"\b(?:among|amid|between|along|beside|near)\b", re.IGNORECASE)
_IS = re.compile(r"^\s*(?:is|are|remains?|being|seems?|covers?|takes?|makes? up|occup(?:y|ies))\b", re.IGNORECASE)


def _quantity(text: str, start: int, end: int, predicate: bool, rules: ClaimRules) -> str:
    """How much is claimed. Denials and "few" count next to the subject; "all" and "most" for the clause, but not for an aside."""
    before, after = _PREPOSITION.split(text[max(0, start - 28) : start])[-1], text[end : end + 40]
    spread = before + (" ¦ " + after if _IS.search(after) else "")
    for name in ("none", "few"):
        if rules.quantities[name].search(spread):
            return name
    if rules.aside.search(text[:start]) or _LIST_BEFORE.search(before) or _LIST_AFTER.search(after):
        return "some"
    if rules.quantities["all"].search(text):
        return "all"
    return "most" if predicate or rules.quantities["most"].search(text) else "some"


def _part(text: str, rules: ClaimRules) -> float | None:
    """The part of the ground that a clause names: "a third", "40 percent"; None where it names none."""
    if match := rules.percent.search(text):
        return min(float(match.group(1)) / 100, 1.0)
    return next((part for part, words in rules.fractions.items() if words.search(text)), None)


def _nearest(places: list[tuple[int, str]], start: int, end: int) -> str:
    if not places:
        return "all"
    at, region = min(places, key=lambda place: abs(place[0] - (end if place[0] >= end else start)))
    corners = (f"{region}-{other}" for place, other in places if 0 < place - at < 14)
    return next((corner for corner in corners if corner in REGIONS), region)


def _blank(match: re.Match[str]) -> str:
    return " " * len(match.group())


def _compile(pattern: str) -> Pattern:
    return re.compile(pattern, re.IGNORECASE)
