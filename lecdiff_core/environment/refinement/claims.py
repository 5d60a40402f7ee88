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

from lecdiff_core.environment.refinement.evidence import REGIONS

Pattern = re.Pattern[str]

LIMITS: tuple[str, ...] = ("none", "few", "all", "most", "some")


@dataclass(frozen=True)
class Subject:
    """One kind of thing that may be claimed, and the shares at which the evidence contradicts the claim."""

    name: str
    words: Pattern
    measure: tuple[str, ...] = ()
    sure: tuple[str, ...] = ()
    where: tuple[str, ...] = ()  # what is compared between sides
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
    extent: Pattern  # verbs by which what stands before them takes up most of a place
    taken: Pattern  # ... and their participles, by which what stands after them does
    scope: Pattern  # where amounts and places stop being meant for a subject
    verb: Pattern


@dataclass(frozen=True)
class Claim:
    """`quantity` (one of `LIMITS`, or "part") of a subject in a region of `evidence.REGIONS`.

    `part`: the part of the region (0…1) that is claimed, where `quantity` is "part". `confined`: there and hardly elsewhere.
    `or_in`: other regions of a list ("in the south and west"); the claim stands where one of them bears it out.
    """

    subject: Subject
    quantity: str
    region: str
    part: float | None = None
    confined: bool = False
    or_in: tuple[str, ...] = ()

    def __str__(self) -> str:
        amounts = {"none": "no", "few": "little", "all": "nothing but", "most": "mostly", "some": "some"}
        amount = amounts.get(self.quantity) or f"{self.part:.0%}"
        return f"{amount} {self.subject.name}" + ("" if self.region == "all" else f" in the {self.region}")


@cache
def claim_rules() -> ClaimRules:
    """Read and compile the shipped rules, once."""
    return compile_claims(
        loads((files("lecdiff_core.environment.refinement") / "rules" / "claims.toml").read_text("utf-8"))
    )


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
                where=tuple(entry.get("where", entry.get("sure", entry.get("measure", ())))),
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
        extent=quantities.pop("extent"),
        taken=quantities.pop("taken"),
        scope=quantities.pop("scope"),
        verb=_compile(rf"\b(?:{'|'.join(data['clauses']['verbs'].split())})\b"),
        quantities=quantities,
    )


def find_claims(clause: str, rules: ClaimRules) -> list[Claim]:
    """Return the claims of one clause, in the order of their words. A clause without a known subject claims nothing."""
    places, text = find_places(clause, rules)
    subjects: list[Mention] = []
    rest = text
    for subject in rules.subjects:
        subjects += [(match.start(), match.end(), subject) for match in subject.words.finditer(rest)]
        rest = subject.words.sub(_blank, rest)
    subjects.sort(key=lambda mention: mention[0])
    checkable = [mention for mention in subjects if mention[2].limits is not None]
    confined = rules.confined.search(clause)
    claims = []
    joined = _join_lists(checkable, text)
    for start, end, subject in joined:
        low, high = _scope(text, start, end, rules)
        quantity = _quantity(rest, start, end, (low, high), clause, rules)
        part = _part(rest, (low, high), [mention for mention in joined if low <= mention[0] < high], start, rules)
        if part is not None and quantity not in ("none", "few"):
            quantity = "part"
        whole = quantity == "part" and rules.of_chip.search(rest)
        regions = ["all"] if whole else _regions(places, start, end, (low, high), subjects, text, rules)
        named = part if quantity == "part" else None
        only = (
            confined is not None
            and len(regions) == 1
            and any(0 <= place[0] - confined.end() <= 8 and place[2].startswith(regions[0]) for place in places)
        )
        claims.append(Claim(subject, quantity, regions[0], named, only, tuple(regions[1:])))
    return claims


def find_places(clause: str, rules: ClaimRules) -> tuple[list["Place"], str]:
    """Where a clause names parts of the chip, in the order of its words, and the clause with these places blanked out."""
    text = rules.ignored_places.sub(_blank, clause)
    places: list[Place] = []
    for region, pattern in rules.regions.items():
        places += [(match.start(), match.end(), region) for match in pattern.finditer(text)]
        text = pattern.sub(_blank, text)
    return sorted(places), text


Place = tuple[int, int, str]
Mention = tuple[int, int, Subject]


def _join_lists(subjects: list[Mention], text: str) -> list[Mention]:
    """Make one subject of those in a list ("woods and meadows"): together they must reach what the clause claims."""
    joined: list[Mention] = []
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
        where=_union(one.where, other.where),
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
        if {"built", "inhabited"} & set(both)
        else both
    )


_LIST_JOINT = re.compile(r"^\s*(?:,|and|or)\s+(?:(?!no\b|ha[sv]|is\b|are\b)[a-z-]+\s+){0,2}$", re.IGNORECASE)
_EXCEPT = re.compile(r"\b(?:except|apart from|besides|aside from|leaving)\b", re.IGNORECASE)
_LIST_BEFORE = re.compile(r"(?:,|\band|\bor)\s+(?:an? )?$", re.IGNORECASE)
_LIST_AFTER = re.compile(r"^ ?(?:,|and\b|or\b) \w", re.IGNORECASE)
_PLACE_JOINT = re.compile(
    r"^[\s,]*(?:(?:and|or|to|in|on|at|along|towards?|the|of|far|lower|upper)\b[\s,]*)*$", re.IGNORECASE
)
_TURN = re.compile(r"\b(?:only|but|just|except|apart)\b|[;:]", re.IGNORECASE)
_OF_IT = re.compile(
    r"(?<!most )(?<!all )(?<!part )(?<!half )(?<!consists )(?<!consist )\bof (?:an?|the) (?:[\w-]+ )?$"
    r"|\b(?:split|divided|crossed|cut|spanned|bounded|bordered|edged) by (?:an? |the )?(?:[\w-]+ )?$",
    re.IGNORECASE,
)
_AND_ANOTHER = re.compile(r"\band (?!\s|in |at |on |the\s\s)", re.IGNORECASE)
_REFERENCE = re.compile(
    r"\b(?:surrounds?|surrounding|follows?|following|lines?|lining|beside|along|by|near|facing|beyond|skirts?) the (?:[\w-]+ )?$",
    re.IGNORECASE,
)
LEAD = 12  # letters before a place that opens a clause: "In the", "Along the very"
_PREPOSITION = re.compile(r"\b(?:among|amid|between|along|beside|near)\b", re.IGNORECASE)
_IS = re.compile(r"^\s*(?:is|are|remains?|being|seems?|covers?|takes?|makes? up|occup(?:y|ies))\b", re.IGNORECASE)


def _scope(text: str, start: int, end: int, rules: ClaimRules) -> tuple[int, int]:
    """The stretch of a clause that speaks of a subject: between commas, "with", "except" …

    An opening that has no verb yet speaks of the same as what follows it, up to an exception.
    """
    low, high = _between(rules.scope, text, start, end)
    return (low, high) if rules.verb.search(text[:high]) else _between(_EXCEPT, text, start, end)


def _between(cuts: Pattern, text: str, start: int, end: int) -> tuple[int, int]:
    """The stretch around `start`…`end` that no match of a pattern cuts."""
    at = [match.start() for match in cuts.finditer(text)]
    return max((cut for cut in at if cut <= start), default=0), min(
        (cut for cut in at if cut >= end), default=len(text)
    )


def _quantity(text: str, start: int, end: int, scope: tuple[int, int], clause: str, rules: ClaimRules) -> str:
    """How much is claimed. Denials and "few" count next to the subject; "all" and "most" for its scope, but not for an aside."""
    low, high = scope
    near, after = _PREPOSITION.split(text[max(0, start - 28) : start])[-1], text[end : min(end + 40, high)]
    before = _TURN.split(near)[-1]
    spread = before + (" ¦ " + after if _IS.search(after) else "")
    for name in ("none", "few"):
        if rules.quantities[name].search(spread):
            return name
    inside = text[low:high]
    if (
        rules.aside.search(text, low, start)
        or _OF_IT.search(clause[:start])
        or _LIST_BEFORE.search(near)
        or _LIST_AFTER.search(after)
    ):
        return "some"
    if rules.quantities["all"].search(inside):
        return "all"
    spreads = rules.extent.search(text[end:high]) or rules.taken.search(text[low:start])
    predicate = rules.predicate.search(clause[low:high].lstrip(" ,"))
    return "most" if spreads or predicate or rules.quantities["most"].search(inside) else "some"


def _part(text: str, scope: tuple[int, int], subjects: list[Mention], start: int, rules: ClaimRules) -> float | None:
    """The part of the ground that a scope names for a subject, the nearest to it: "a third", "40 percent"; None if for none."""
    inside = text[slice(*scope)]
    at, part = -1, None
    if match := rules.percent.search(inside):
        at, part = match.start(), min(float(match.group(1)) / 100, 1.0)
    else:
        for value, words in rules.fractions.items():
            if match := words.search(inside):
                at, part = match.start(), value
                break
    nearest = min(subjects, key=lambda subject: abs(subject[0] - scope[0] - at), default=None)
    return part if nearest is not None and nearest[0] == start else None


def _regions(
    places: list[Place],
    start: int,
    end: int,
    scope: tuple[int, int],
    subjects: list[Mention],
    text: str,
    rules: ClaimRules,
) -> list[str]:
    """The region named nearest to a subject within its scope, then those in a list with it; an opening place holds throughout."""
    near = [place for place in places if scope[0] <= place[0] < scope[1]]
    if not near and places:
        opening = min((match.start() for match in rules.scope.finditer(text)), default=len(text))
        leads = places[0][0] <= LEAD and not any(subject[0] < places[0][0] for subject in subjects)
        near = [place for place in places if place[0] < opening] if leads else []
    near = [place for place in near if not _apart(place, start, end, scope[0], text)]
    if not near or _REFERENCE.search(text[:start]):
        return ["all"]
    nearest = min(near, key=lambda place: place[0] - end if place[0] >= end else start - place[1])
    at = near.index(nearest)
    corners = (f"{nearest[2]}-{other}" for place, _, other in near if 0 < place - nearest[0] < 14)
    regions = [next((corner for corner in corners if corner in REGIONS), nearest[2])]
    for one, other, step in ((at, at + 1, 1), (at, at - 1, -1)):
        while 0 <= other < len(near):
            first, second = (near[one], near[other]) if step > 0 else (near[other], near[one])
            if not _PLACE_JOINT.match(text[first[1] : second[0]]):
                break
            regions.append(near[other][2])
            one, other = other, other + step
    return regions


def _apart(place: Place, start: int, end: int, low: int, text: str) -> bool:
    """Whether a place stands on the other side of an "and", where it has a subject of its own."""
    before, after = (end, place[0]) if place[0] >= end else (place[1], start)
    another = any(before <= match.start() < after for match in _AND_ANOTHER.finditer(text))
    return another and (place[0] >= end or place[0] - low >= LEAD)


def _blank(match: re.Match[str]) -> str:
    return " " * len(match.group())


def _compile(pattern: str) -> Pattern:
    return re.compile(pattern, re.IGNORECASE)
