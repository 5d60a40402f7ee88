"""The descriptions by which the instructions are compared: whole, alike for every instruction, and of today's instructions."""

from collections import Counter
from pathlib import Path

from lecdiff_core.environment.descriptions.instruction import instruction_names, load_instruction
from lecdiff_core.environment.descriptions.record import read_descriptions
from lecdiff_core.environment.refinement.sentences import split_sentences

TEXTS = Path(__file__).resolve().parents[3] / "benchmarks" / "data" / "instructions" / "town-9302.jsonl"


def test_every_chip_is_described_for_every_instruction_as_it_is_now() -> None:
    read = read_descriptions(TEXTS)
    versions = {load_instruction(name).prompt_version for name in instruction_names()}
    assert {one.prompt_version for one in read} == versions
    chips = {one.station_id for one in read}
    assert len(chips) >= 30
    assert Counter(one.prompt_version for one in read) == dict.fromkeys(versions, len(chips))
    assert len({(one.station_id, one.image_sha256) for one in read}) == len(chips)
    assert {one.model for one in read} == {"claude"}


def test_the_answers_have_the_length_that_was_asked_for_but_for_one() -> None:
    asked = {"short": (2, 3), "standard": (4, 6), "infrastructure": (6, 9)}
    versions = {load_instruction(name).prompt_version: name for name in instruction_names()}
    wrong = [
        (one.station_id, versions[one.prompt_version])
        for one in read_descriptions(TEXTS)
        if not asked[versions[one.prompt_version]][0]
        <= len(split_sentences(one.text))
        <= asked[versions[one.prompt_version]][1]
    ]
    assert wrong == [("BS-049", "infrastructure")]
