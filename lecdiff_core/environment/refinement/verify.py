"""Fact verification: does the measured evidence agree with what a clause claims of the chip?"""

from dataclasses import dataclass

from lecdiff_core.environment.refinement.claims import Claim, ClaimRules, Tone, find_claims, find_tones
from lecdiff_core.environment.refinement.evidence import RIVALS, Evidence

ROAD_GREY = 0.25  # part of a corridor that must be grey before it can be a railway or a motorway
PLENTY = 1.0  # with so much of what "most" asks for, a region has the subject, whatever its rivals have
QUADRANT = 0.75  # a quadrant is compared with the fullest of three, so it needs less than a half or an edge does


@dataclass(frozen=True)
class Verdict:
    """`agreement` runs from 0 to 1; under 0.5 the evidence contradicts the claim, and `reason` says how."""

    agreement: float
    reason: str

    @property
    def contradicted(self) -> bool:
        """Whether the claim should go."""
        return self.agreement < 0.5


def verify(clause: str, evidence: Evidence, rules: ClaimRules) -> list[Verdict]:
    """Judge every claim of a clause. No claim, no verdict: what can't be checked is neither supported nor contradicted."""
    verdicts = [_judge_tone(tone, evidence) for tone in find_tones(clause, rules)]
    return verdicts + [_judge(claim, evidence) for claim in find_claims(clause, rules)]


def amount(measures: tuple[str, ...], evidence: Evidence, region: str) -> float:
    """Sum of the shares of the named measures in a region; "half of X" counts X at half.

    "line" is the contrast of the strongest grey corridor of the chip, "corridor" that of any colour, whatever the region.
    """
    total = 0.0
    for name in measures:
        if name in ("line", "corridor"):
            grey = ROAD_GREY if name == "line" else 0.0
            total += max((line.contrast for line in evidence.lines if line.paved >= grey), default=0.0)
        elif name.startswith("half of "):
            total += evidence.share(name.removeprefix("half of "), region) / 2
        else:
            total += evidence.share(name, region)
    return total


def _judge(claim: Claim, evidence: Evidence) -> Verdict:
    limits = claim.subject.limits
    assert limits is not None
    if claim.quantity in ("none", "few"):
        share = amount(claim.subject.sure, evidence, claim.region)
        return Verdict(1 - _graded(share, limits[claim.quantity]), _reason(claim, share))
    return max((_judge_in(region, claim, evidence) for region in (claim.region, *claim.or_in)), key=_agreement)


def _judge_in(region: str, claim: Claim, evidence: Evidence) -> Verdict:
    """Judge a claim that there is some, a part, most or all of a subject in a region."""
    limits = claim.subject.limits
    assert limits is not None
    share = amount(claim.subject.measure, evidence, region)
    verdict = Verdict(
        _graded(share, limits["most"] * claim.part if claim.part else limits[claim.quantity]), _reason(claim, share)
    )
    if claim.part is not None:
        excess = max(0.0, amount(claim.subject.sure, evidence, region) - claim.part)
        verdict = min(verdict, Verdict(1 - _graded(excess, claim.subject.over), _reason(claim, share)), key=_agreement)
    rivals = [name for name in RIVALS.get(region, ()) if name not in (claim.region, *claim.or_in)]
    if rivals and claim.subject.side:
        here = amount(claim.subject.where, evidence, region)
        rival = max(amount(claim.subject.where, evidence, name) for name in rivals)
        plenty = here >= PLENTY * limits["most"] and not claim.confined
        if rival >= 2 * limits["some"] and not plenty:
            needed = 1.3 if claim.confined else claim.subject.side * (QUADRANT if len(RIVALS[region]) > 1 else 1)
            verdict = min(verdict, Verdict(_graded(here / rival, needed), _reason(claim, here, rival)), key=_agreement)
    return verdict


def _graded(value: float, limit: float) -> float:
    """0 at nothing, 0.5 at the limit, towards 1 far above it."""
    return value / (value + limit)


def _agreement(verdict: Verdict) -> float:
    return verdict.agreement


def _judge_tone(tone: Tone, evidence: Evidence) -> Verdict:
    value = (
        getattr(evidence, tone.measure)
        if tone.measure in ("brightness", "edge_density")
        else evidence.share(tone.measure)
    )
    agreement = 1.0 if tone.low <= value <= tone.high else 0.0
    return Verdict(agreement, tone.reason.format(value=value))


def _reason(claim: Claim, share: float, rival: float | None = None) -> str:
    if {"line", "corridor"} & set(claim.subject.measure):
        return f"claims {claim.subject.name}; no straight corridor of that kind stands out in the image"
    text = f"claims {claim}; measured {share:.0%}"
    if rival is not None:
        text += f" there and {rival:.0%} elsewhere"
    return text
