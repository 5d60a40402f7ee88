"""The dual score of a description: agreement with the image, and geographic specificity and consistency of the text."""

import re
from collections.abc import Sequence

from lecdiff_core.environment.refinement.claims import ClaimRules, find_claims
from lecdiff_core.environment.refinement.verify import Verdict

_POSITION = re.compile(
    r"\b(?:upper|lower|top|bottom|left|right|centre|center|middle|north\w*|south\w*|east\w*|west\w*|edge|corner|diagonal\w*)\b",
    re.IGNORECASE,
)
_FULL_DETAIL = 2.5  # geographic terms a sentence from which it counts as fully specific


def image_score(verdicts: Sequence[Verdict]) -> float:
    """Mean agreement of the claims, 0…1; contradicted claims count in full. 0.5 where nothing could be checked."""
    if not verdicts:
        return 0.5
    return sum(verdict.agreement for verdict in verdicts) / len(verdicts)


def text_score(remaining: Sequence[str], total: int, rules: ClaimRules) -> float:
    """Specificity × consistency of the kept sentences, 0…1; 0 where none is kept.

    Specificity: distinct subjects and positions a sentence, against `_FULL_DETAIL`. Consistency: the part of the description's
    sentences that was kept, less the part of its subjects that are both claimed and denied for the same region.
    """
    if not remaining or not total:
        return 0.0
    terms = 0
    claimed: dict[tuple[str, str], set[bool]] = {}
    for sentence in remaining:
        claims = find_claims(sentence, rules)
        terms += len({claim.subject.name for claim in claims}) + len({m.lower() for m in _POSITION.findall(sentence)})
        for claim in claims:
            claimed.setdefault((claim.subject.name, claim.region), set()).add(claim.quantity == "none")
    specificity = min(1.0, terms / len(remaining) / _FULL_DETAIL)
    clashes = sum(len(answers) == 2 for answers in claimed.values()) / max(len(claimed), 1)
    return specificity * (len(remaining) / max(total, len(remaining))) * (1 - clashes)
