"""Telling a refusal from a description: a model that will not describe an image, or that was sent none, says so in plain words."""

import re

REFUSED = "the model refused to describe it"
OPENING = 2  # sentences; a remark further on about what cannot be made out is no refusal

_IMAGE = (
    r"(?:(?:the|this|that|your|an?|any|attached|provided|uploaded|shared|satellite|aerial|actual) )*"
    r"(?:images?|pictures?|photos?|photographs?|chips?|visuals?|files?|attachments?|visual content)"
)
_UNABLE = (
    r"(?:can(?:'t|not| not)|could(?:n't| not)|won't|will not|(?:am|'m) (?:unable to|not able to|not allowed to)"
    r"|do(?:n't| not) have the (?:ability|capability) to)(?: \w+ly)?"
)
_GIVEN = r"(?:provided|attached|given|shared|uploaded|included|present|visible|loaded|received|sent|available|here)"
_REFUSALS = (
    r"^(?:i(?:'m| am) (?:very |so |really |truly )?sorry|sorry\b|i apologi[sz]e|my apologies|apologies\b)",
    r"\bas an? (?:ai|artificial intelligence|(?:large )?language model|text-based)\b",
    r"\bi(?:'m| am) (?:just |only )?an? (?:ai|(?:large )?language model|text-based)\b",
    rf"(?:\bi ?{_UNABLE}|^unable to|^(?:can't|cannot)) (?:view|see|access|process|open|analy[sz]e|interpret|display|inspect|read"
    rf"|look at|describe)(?:,? (?:or|and|nor) \w+|, \w+)* {_IMAGE}",
    rf"\bi ?{_UNABLE} (?:assist|help|comply|fulfill?|provide|describe|answer|engage|generate|continue"
    r"|do (?:that|this|so)|complete)\b",
    rf"^i ?{_UNABLE}[.!]?$",
    rf"\bno (?:\w+ )?(?:images?|pictures?|photos?|chips?|files?|attachments?) (?:was|were|is|are|has been|have been|seems to be"
    rf"|appears to be) (?:\w+ )?{_GIVEN}\b",
    rf"\b(?:image|picture|photo|attachment) (?:was|is|has)(?:n't| not) (?:been )?{_GIVEN}\b",
    r"\b(?:image|picture|photo|attachment) (?:did not|didn't|does not|doesn't|failed to) "
    r"(?:come through|load|upload|appear|display)",
    rf"\b(?:do not|don't|didn't|did not|haven't|have not) (?:see|have|receive|received|been given) {_IMAGE}",
    r"\b(?:please|could you|can you) (?:\w+ )?(?:provide|share|upload|attach|send|supply|resend) "
    r".{0,40}\b(?:image|picture|photo|chip|file)",
    r"\b(?:against|violates?) (?:my|our|the) (?:guidelines|polic(?:y|ies)|terms)\b",
)
_REFUSAL = re.compile("|".join(_REFUSALS), re.IGNORECASE)


def is_refusal(text: str) -> bool:
    """Whether the first sentences of a text say that the image cannot be seen or will not be described."""
    plain = " ".join(text.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'").split())
    opening = re.match(rf"(?:[^.!?]*[.!?]+\s*){{1,{OPENING}}}", plain)
    return _REFUSAL.search(opening[0] if opening else plain) is not None
