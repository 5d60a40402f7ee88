"""Where a sentence can be cut into clauses, so that a false one can be taken off and a true one kept."""

import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from tomllib import loads


@dataclass(frozen=True)
class Clause:
    """A part of a sentence as it stood; `independent` when it can be a sentence of its own."""

    text: str
    joint: str  # what tied it to the clause before: "", ", " or ", while "
    independent: bool


def split_clauses(sentence: str) -> list[Clause]:
    """Cut a sentence where a clause begins that can be taken off without hurting the rest. Joined again, it is the sentence."""
    verb, independent_cut, dependent_cut = _patterns()
    cuts = {match.start(): (match.end(), False) for match in dependent_cut.finditer(sentence)}
    cuts |= {match.start(): (match.end(), True) for match in independent_cut.finditer(sentence)}
    clauses: list[Clause] = []
    begin, joint, independent = 0, "", True
    for start, (end, stands_alone) in sorted(cuts.items()):
        opening = (stands_alone or not clauses) and not verb.search(sentence[begin:start])
        if start < begin or opening:
            continue
        clauses.append(Clause(sentence[begin:start], joint, independent))
        begin, joint, independent = end, sentence[start:end], stands_alone
    clauses.append(Clause(sentence[begin:], joint, independent))
    return clauses


@cache
def _patterns() -> tuple[re.Pattern[str], re.Pattern[str], re.Pattern[str]]:
    """A verb, the start of an independent clause, and the start of a part that only can be taken off."""
    rules = loads((files("lecdiff_core.environment.refinement") / "rules" / "claims.toml").read_text("utf-8"))[
        "clauses"
    ]
    verbs, joints, asides = ("|".join(rules[name].split()) for name in ("verbs", "joints", "asides"))
    return (
        re.compile(rf"\b(?:{verbs})\b", re.IGNORECASE),
        re.compile(rf"[;,]?\s+(?:{joints})\s+(?=(?:[\w-]+ ){{1,9}}?(?:{verbs})\b)|;\s+", re.IGNORECASE),
        re.compile(rf":\s+|,\s+(?=(?:{asides})\b)", re.IGNORECASE),
    )
