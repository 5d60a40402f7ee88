"""What models wrap their answers in, and what is no description however it is wrapped."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lecdiff_core.environment.descriptions.answers import NoDescriptionError, description_in
from lecdiff_core.environment.descriptions.instruction import instruction_names, load_instruction
from lecdiff_core.environment.descriptions.llm import AS_JSON
from lecdiff_core.environment.descriptions.refusals import is_refusal
from tests.environment.chat_server import SENTENCES, as_json

WANTED = " ".join(SENTENCES)
JSON = as_json(*SENTENCES)
LIST = ",\n".join(json.dumps(sentence) for sentence in SENTENCES)

READ = {
    "json": JSON,
    "fence": f"```json\n{JSON}\n```",
    "fence in capitals": f"```JSON\n{JSON}\n```",
    "tildes": f"~~~\n{JSON}\n~~~",
    "fence within prose": f"Here is the JSON:\n```json\n{JSON}\n```\nLet me know if you need more!",
    "fence never closed": f"Of course.\n```json\n{JSON}",
    "fence on one line": f"```json {JSON} ```",
    "fence around plain words": f"```\n{WANTED}\n```",
    "fence and other fence": f"```text\nthinking\n```\n```json\n{JSON}\n```",
    "thoughts": f'<think>Maybe {{"sentences": ["A draft of mine."]}} [or not].</think>\n{JSON}',
    "thoughts without their beginning": f'Let me see: {{"sentences": ["A draft of mine."]}}</think>{JSON}',
    "thoughts under another name": f"<reasoning>First, the roofs.</reasoning>\n{JSON}",
    "thoughts in square brackets": f"[THINK]First, the roofs.[/THINK]{JSON}",
    "channels": f"<|channel|>analysis<|message|>Roofs.<|end|><|start|>assistant<|channel|>final<|message|>{JSON}<|return|>",
    "a box": f"<|begin_of_box|>{JSON}<|end_of_box|>",
    "answer in a tag": f"<answer>{JSON}</answer>",
    "prose around": f'Sure, for the 5" chip: {JSON} Hope this helps.',
    "trailing commas": f'{{"sentences": [{LIST},],}}',
    "comments": f'{{"sentences": [ // as asked\n{LIST} /* all of them */]}}',
    "single quotes": str({"sentences": SENTENCES}),
    "no quotes around the name": f"{{sentences: [{LIST}]}}",
    "capitals": json.dumps({"Sentences": SENTENCES}),
    "bare list": json.dumps(SENTENCES),
    "another name": json.dumps({"description": WANTED}),
    "one string": json.dumps({"sentences": WANTED}),
    "objects": json.dumps({"sentences": [{"id": "S-1", "text": sentence, "sure": "high"} for sentence in SENTENCES]}),
    "objects of unknown names": json.dumps([{"aspect": "roads", "says": sentence} for sentence in SENTENCES]),
    "nested": json.dumps({"result": {"description": {"sentences": SENTENCES}}}),
    "by aspect": json.dumps(dict(zip(("land_use", "roads", "activity"), SENTENCES, strict=True))),
    "a line each": "\n".join(json.dumps({"sentence": sentence}) for sentence in SENTENCES),
    "a string once more": json.dumps(JSON),
    "line breaks in strings": JSON.replace("grey flat", "grey\nflat"),
    "plain words": WANTED,
    "opening phrase": f"Here is the description of the chip:\n\n{WANTED}",
    "bullets": "\n".join(f"- {sentence}" for sentence in SENTENCES),
    "numbers": "\n".join(f"{row}. {sentence}" for row, sentence in enumerate(SENTENCES, start=1)),
}

NONE = [
    ("", "empty"),
    (" \n", "empty"),
    ("{}", "empty"),
    ('{"sentences": []}', "empty"),
    ('```json\n{"sentences": ["", " "]}\n```', "empty"),
    ('{"sentences": ["…", "…"]}', "empty"),
    ("<think>There are many buildings in the area and the roads", "thoughts alone"),
    ("<think>Roads.</think>", "thoughts alone"),
    ("<|channel|>analysis<|message|>Roads and buildings of the area", "thoughts alone"),
    ('{"sentences": ["Dense housing along the road.", "Tre', "malformed"),
    ('```json\n{"sentences": ["Dense housing along the road.", "Tre\n```', "malformed"),
    ("[" * 10_000, "malformed"),
    ('["a", "b"]', "malformed"),
    ('{"type": "object", "properties": {"sentences": {"type": "array"}}}', "malformed"),
    ("word " * 6_000, "too long"),
    ("I'm sorry, I can't assist with that request.", "refused"),
    ("I’m sorry, but I can’t help with this image. There are roads, though.", "refused"),
    ("As an AI language model, I do not have eyes. The area may have many roads.", "refused"),
    ("I cannot view images. If you describe it to me, I can help.", "refused"),
    ("I'm unable to view or analyze images directly.", "refused"),
    ("Unfortunately, I don't see any image attached. Please upload the picture.", "refused"),
    ("It seems the image did not come through. Please try again with another one.", "refused"),
    (as_json("I am not able to see the image.", "Please share the picture."), "refused"),
    ('{"refusal": "This is not something to describe."}', "refused"),
    ('{"error": "no image given"}', "refused"),
]


@pytest.mark.parametrize("content", READ.values(), ids=READ)
def test_a_description_is_read_out_of_its_wrapping(content):
    assert description_in(content).split() == WANTED.split()


@pytest.mark.parametrize(("content", "reason"), NONE)
def test_what_is_no_description_says_why(content, reason):
    with pytest.raises(NoDescriptionError, match=reason):
        description_in(content)


@pytest.mark.parametrize("name", instruction_names())
def test_the_question_is_no_answer(name):
    asked = f"{load_instruction(name).for_chip(640)}\n\n{AS_JSON}"
    for echo in (asked, asked.split("\n\n")[0], as_json(*asked.splitlines())):
        with pytest.raises(NoDescriptionError, match="repeats"):
            description_in(echo, asked)
    assert description_in(JSON, asked) == WANTED


def test_of_a_draft_and_a_final_answer_the_last_counts():
    assert description_in(f"Draft: {as_json('Some trees and a road.')} Final: {JSON}") == WANTED


@pytest.mark.parametrize(
    "text",
    [
        "I cannot identify the exact place, but dense housing fills the area. Roads cross it.",
        "No car parks are visible. Trees line the road.",
        "The buildings are provided with wide yards. No image of traffic is there.",
        WANTED,
    ],
)
def test_a_remark_is_no_refusal(text):
    assert not is_refusal(text)


@given(st.text(alphabet="{}[]\"'`~<>/\\|think:,. \nab…", max_size=200))
def test_no_answer_breaks_the_reader(content):
    try:
        assert description_in(content).strip()
    except NoDescriptionError as reason:
        assert "\n" not in str(reason)
