"""Refinement of a description (the paper's rule set): regular filters, fact verification against the image, and a dual score.

A sentence is kept, rewritten (its meta lead-in or its unsupported clause is taken off, the rest stands) or dropped. Nothing is
lost: every removed part stays in the record with its reason. The text is data: it is matched, never run or followed, and is
returned unchanged, so a page must escape it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from lecdiff_core.environment.refinement.claims import ClaimRules, claim_rules, find_places
from lecdiff_core.environment.refinement.clauses import Clause, split_clauses
from lecdiff_core.environment.refinement.evidence import Evidence, measure
from lecdiff_core.environment.refinement.filters import (
    FilterRules,
    clause_fault,
    filter_rules,
    sentence_fault,
    strip_leads,
)
from lecdiff_core.environment.refinement.look import Looked, default_look
from lecdiff_core.environment.refinement.scores import image_score, text_score
from lecdiff_core.environment.refinement.sentence_classes import SentenceClassifier, sentence_classifier
from lecdiff_core.environment.refinement.sentences import Sentence, split_sentences
from lecdiff_core.environment.refinement.verify import Verdict, verify

DROP_IMAGE_SCORE = 0.45  # a description that agrees less with its image is dropped whole ...
LEAST_WORDS = 5  # of a part of a sentence that is judged by itself
SEVERAL_PLACES = (
    2  # a sentence that says of so many parts of the chip what is there claims something, whatever its words
)
FEWEST_CLAIMS = 4  # ... if it makes at least so many claims that can be checked


@dataclass(frozen=True)
class Rules:
    """The rules a refinement goes by."""

    filters: FilterRules
    claims: ClaimRules
    classes: SentenceClassifier
    drop_image_score: float = DROP_IMAGE_SCORE


@dataclass(frozen=True)
class Refinement:
    """A refined description: its sentences (kept and removed parts in their order), both scores (0…1) and the text that is left."""

    sentences: tuple[Sentence, ...]
    image_score: float
    text_score: float
    text: str


def default_rules() -> Rules:
    """The rules that are shipped in `environment/refinement/rules`, and the classifier in `assets/sentences`."""
    return Rules(filter_rules(), claim_rules(), sentence_classifier())


def refine(
    text: str,
    image: Image.Image,
    metres_per_pixel: float,
    names: Sequence[str] = (),
    rules: Rules | None = None,
) -> Refinement:
    """Refine one description against its chip.

    `metres_per_pixel` is the chip's scale, `names` are proper names that may stand, such as the city's. Raises UserError for a
    scale that is not positive or a chip that shows too little ground (see `evidence.measure`).
    """
    evidence, look = measure(image, metres_per_pixel), default_look()
    return refine_with(text, evidence, names, rules, look.at(image) if look else None)


def refine_with(
    text: str,
    evidence: Evidence,
    names: Sequence[str] = (),
    rules: Rules | None = None,
    looked: Looked | None = None,
) -> Refinement:
    """Refine one description against evidence already measured, as where a chip has several descriptions.

    looked: what the encoder sees in the chip; None = it is not asked.
    """
    rules = rules or default_rules()
    parts: list[Sentence] = []
    verdicts: list[Verdict] = []
    remaining: list[str] = []
    total = 0
    for sentence in split_sentences(text[: rules.filters.max_text]):
        removed, body = strip_leads(sentence, rules.filters)
        parts += [Sentence(text=part, kept=False, reason=reason) for part, reason in removed]
        if not body:
            continue
        total += 1
        if fault := sentence_fault(body, remaining, rules.filters):
            parts.append(Sentence(text=body, kept=False, reason=fault))
            continue
        classes = None if len(find_places(body, rules.claims)[0]) >= SEVERAL_PLACES else rules.classes
        judged = _judge_clauses(body, evidence, names, rules, classes, verdicts)
        pieces = _reassemble(judged)
        if classes is not None:
            pieces = _without_empty(body, pieces, classes)
        if looked is not None:
            pieces = [_unless_doubted(piece, looked) for piece in pieces]
        parts += pieces
        remaining += [piece.text for piece in pieces if piece.kept]
    if len(text) > rules.filters.max_text:
        reason = f"beyond the first {rules.filters.max_text} characters"
        parts.append(Sentence(text=text[rules.filters.max_text :], kept=False, reason=reason))
    score = image_score(verdicts)
    if len(verdicts) >= FEWEST_CLAIMS and score < rules.drop_image_score:
        reason = f"the description as a whole does not fit the image (agreement {score:.2f})"
        parts = [part if not part.kept else Sentence(text=part.text, kept=False, reason=reason) for part in parts]
        remaining = []
    return Refinement(tuple(parts), score, text_score(remaining, total, rules.claims), " ".join(remaining))


def _unless_doubted(piece: Sentence, looked: Looked) -> Sentence:
    """What was kept of a sentence, dropped where the encoder sees that it does not fit."""
    reason = looked.doubt(piece.text) if piece.kept else None
    return Sentence(text=piece.text, kept=False, reason=reason) if reason else piece


def _without_empty(sentence: str, pieces: list[Sentence], classes: SentenceClassifier) -> list[Sentence]:
    """The pieces of a sentence, dropped where they claim nothing of the place: as it was said, or what is left of a cut one."""
    if len(pieces) == 1:
        reasons = [(classes.fault(sentence) or classes.fault(pieces[0].text)) if pieces[0].kept else None]
    else:
        reasons = [classes.fault(piece.text) if piece.kept else None for piece in pieces]
    return [
        Sentence(text=piece.text, kept=False, reason=reason) if reason else piece
        for piece, reason in zip(pieces, reasons, strict=True)
    ]


@dataclass(frozen=True)
class Judged:
    """A clause, the reason to remove it (None: it may stand), and whether the image is what speaks against it."""

    clause: Clause
    reason: str | None
    contradicted: bool

    @property
    def is_main(self) -> bool:
        """Whether the sentence falls with it: an independent clause, or a denial ("without any houses") that seconds one."""
        return self.clause.independent or self.clause.text.lower().startswith(("without ", "with no ", "no "))


def _judge_clauses(
    sentence: str,
    evidence: Evidence,
    names: Sequence[str],
    rules: Rules,
    classes: SentenceClassifier | None,
    verdicts: list[Verdict],
) -> list[Judged]:
    """Judge each clause; what the claims came to is added to `verdicts`. classes: None = its words are not judged."""
    judged: list[Judged] = []
    for clause in split_clauses(sentence):
        reason = clause_fault(clause.text, sentence, rules.filters, evidence, names)
        if reason is None and classes and clause.text != sentence and len(clause.text.split()) >= LEAST_WORDS:
            reason = classes.fault(clause.text, part=True)
        of_clause: list[Verdict] = []
        if reason is None:
            of_clause = verify(clause.text, evidence, rules.claims)
            verdicts += of_clause
            reason = next((verdict.reason for verdict in of_clause if verdict.contradicted), None)
        judged.append(Judged(clause, reason, contradicted=any(verdict.contradicted for verdict in of_clause)))
    return judged


def _reassemble(judged: list[Judged]) -> list[Sentence]:
    """Put a judged sentence together again: whole, without the clauses that fell, or dropped.

    A dependent clause falls with the independent one before it. A sentence is dropped whole when the image contradicts its
    main claim, for then the contrast it draws is wrong, or when nothing is left that can stand alone.
    """
    whole = "".join(part.clause.joint + part.clause.text for part in judged)
    reasons = [part.reason for part in judged if part.reason is not None]
    if not reasons:
        return [Sentence(text=whole)]
    if wrong := next((part.reason for part in judged if part.contradicted and part.is_main), None):
        return [Sentence(text=whole, kept=False, reason=wrong)]
    pieces: list[Sentence] = []
    standing = ""
    fallen: str | None = None
    for part in judged:
        if part.clause.independent:
            fallen = part.reason
        if why := part.reason or fallen:
            pieces.append(Sentence(text=part.clause.text, kept=False, reason=why))
        else:
            standing += (part.clause.joint if standing else "") + part.clause.text
    if not standing:
        return [Sentence(text=whole, kept=False, reason=reasons[0])]
    standing = standing[0].upper() + standing[1:].rstrip(" ,;")
    return [Sentence(text=standing if standing[-1] in ".!?" else standing + "."), *pieces]
