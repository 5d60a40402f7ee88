import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lecdiff_core.environment.descriptions.costs import Prices
from lecdiff_core.environment.descriptions.instruction import instruction_names, load_instruction
from lecdiff_core.environment.descriptions.record import (
    Description,
    append_description,
    current_descriptions,
    read_descriptions,
    write_descriptions,
)
from lecdiff_core.environment.refinement.english import is_english
from lecdiff_core.environment.refinement.sentences import Sentence, split_sentences
from lecdiff_core.errors import UserError

TEXT = "Dense housing fills the north. A road crosses it."


def made(station="A", n=1, text=TEXT, model="m", **changes) -> Description:
    values = {"prompt_version": "standard-1-00000000", "image_sha256": "0" * 64, **changes}
    sentences = [Sentence(text=sentence) for sentence in split_sentences(text)] or [Sentence(text=text)]
    return Description(station_id=station, n=n, text=text, sentences=sentences, model=model, **values)


# ---- the file


def test_a_line_holds_the_fields_of_the_city_folder(tmp_path):
    file = tmp_path / "descriptions.jsonl"
    append_description(file, made())
    (line,) = file.read_text().splitlines()
    assert list(json.loads(line)) == [
        "station_id", "n", "text", "sentences", "image_score", "text_score", "model", "prompt_version", "image_sha256",
    ]  # fmt: skip
    assert json.loads(line)["sentences"][0] == {"text": "Dense housing fills the north.", "kept": True, "reason": None}


@given(st.text(min_size=1, max_size=200), st.text(min_size=1, max_size=20), st.integers(1, 99))
def test_any_text_comes_back_as_it_was(tmp_path_factory, text, station, n):
    file = tmp_path_factory.mktemp("records") / "descriptions.jsonl"
    try:
        wanted = made(station, n, text)
        text.encode()
    except UnicodeEncodeError:
        return
    append_description(file, wanted)
    assert read_descriptions(file) == [wanted]


def test_no_file_is_no_descriptions(tmp_path):
    assert read_descriptions(tmp_path / "none.jsonl") == []


@pytest.mark.parametrize("cut", range(1, 200, 7))
def test_a_torn_last_line_is_skipped_and_then_removed(tmp_path, cut):
    file = tmp_path / "descriptions.jsonl"
    append_description(file, made("A"))
    append_description(file, made("B"))
    file.write_bytes(file.read_bytes()[:-cut])
    assert [one.station_id for one in read_descriptions(file)] == (["A", "B"] if cut == 1 else ["A"])
    append_description(file, made("C"))
    assert [one.station_id for one in read_descriptions(file)] == (["A", "B", "C"] if cut == 1 else ["A", "C"])
    assert file.read_bytes().endswith(b"}\n")


@pytest.mark.parametrize(
    "line",
    [
        "no json", "[]", "{}", '{"station_id": "A"}',
        made().model_dump_json().replace('"n":1', '"n":0'),
        made().model_dump_json().replace('"image_score":null', '"image_score":7'),
        made().model_dump_json().replace('"image_score":null', '"image_score":NaN'),
        made().model_dump_json()[:-1] + ', "extra": 1}',
        "\ufeff" + made().model_dump_json(),
        "[" * 100_000,
    ],
)  # fmt: skip
def test_a_bad_line_in_the_middle_is_named(tmp_path, line):
    file = tmp_path / "descriptions.jsonl"
    file.write_text(made("A").model_dump_json() + "\n" + line + "\n" + made("B").model_dump_json() + "\n")
    with pytest.raises(UserError, match="row 2") as caught:
        read_descriptions(file)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500


def test_of_lines_with_the_same_key_the_last_counts(tmp_path):
    file = tmp_path / "descriptions.jsonl"
    for text in ("First text here.", "Second text here."):
        append_description(file, made(text=text))
    append_description(file, made(model="other"))
    assert [(one.model, one.text) for one in read_descriptions(file)] == [("m", "Second text here."), ("other", TEXT)]


def test_the_present_descriptions_of_a_station():
    descriptions = [made("A", 2), made("A", 1), made("B", 1), made("A", 1, model="newer")]
    current = current_descriptions(descriptions)
    assert [(one.n, one.model) for one in current["A"]] == [(1, "newer"), (2, "m")]
    assert list(current) == ["A", "B"]


def test_writing_replaces_the_file_whole(tmp_path):
    file = tmp_path / "descriptions.jsonl"
    append_description(file, made("A"))
    write_descriptions(file, [made("B"), made("C")])
    assert [one.station_id for one in read_descriptions(file)] == ["B", "C"]

    def broken():
        yield made("D")
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError):
        write_descriptions(file, broken())
    assert [one.station_id for one in read_descriptions(file)] == ["B", "C"]
    assert list(tmp_path.iterdir()) == [file]


def test_the_kept_text_leaves_removed_sentences_out():
    one = made()
    one.sentences[0].kept, one.sentences[0].reason = False, "contradicts the image"
    assert one.kept_text == "A road crosses it."


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        ("Roads, e.g. The ring, are wide. 40 houses.", ["Roads, e.g. The ring, are wide.", "40 houses."]),
        ("About 2.5 ha of grass. St. Mary is not named.", ["About 2.5 ha of grass.", "St. Mary is not named."]),
        ('He said "no." Then went.', ['He said "no."', "Then went."]),
        ("- a list\n- of lines\n\n", ["- a list", "- of lines"]),
        ("no end", ["no end"]),
        ("", []),
        (" \n\t ", []),
    ],
)
def test_sentences(text, sentences):
    assert split_sentences(text) == sentences


@given(st.text(max_size=300))
def test_no_letter_is_lost_between_sentences(text):
    assert "".join("".join(split_sentences(text)).split()) == "".join(text.split())


# ---- languages


@pytest.mark.parametrize(
    "text",
    [
        "Dense terracotta housing, two parks, one railway.",
        "Tight-packed small roofs cover about three quarters of the chip.",
        "Water.",
        "Mostly farmland with a canal; activity is likely low at night.",
        "Café terraces and naïve art are near the road.",
    ],
)
def test_english_is_english(text):
    assert is_english(text)


@pytest.mark.parametrize(
    "text",
    [
        "Un quartiere residenziale denso con case basse. La strada principale attraversa la zona verso il fiume.",
        "Ein dichtes Wohngebiet im Norden. Im Süden liegt ein Park, und eine breite Straße führt nach Westen.",
        "Une zone résidentielle dense avec des toits rouges. La route principale est au nord et le parc est au sud.",
        "Una zona residencial densa con techos rojos. La carretera principal cruza el área de norte a sur.",
        "Uma área residencial densa com telhados vermelhos. A estrada principal atravessa o bairro de norte a sul.",
        "Een dichtbebouwde woonwijk met rode daken. De hoofdweg loopt van het noorden naar het zuiden.",
        "Ett tätt bostadsområde med röda tak. Den breda vägen går från norr till söder och ett grönt fält ligger bredvid.",
        "Gęsta zabudowa mieszkaniowa z czerwonymi dachami. Główna droga biegnie przez środek i do rzeki.",
        "Kırmızı çatılı yoğun bir yerleşim alanı. Ana yol kuzeyden güneye uzanır ve bir park bulunur.",
        "Kawasan permukiman padat dengan atap merah. Jalan utama membentang dari utara ke selatan.",
        "Плотная жилая застройка с красными крышами.",
        "密集的住宅区,北侧有一条道路。",
        "赤い屋根の密集した住宅地です。",
        "붉은 지붕의 밀집 주거 지역입니다.",
        "منطقة سكنية كثيفة ذات أسطح حمراء.",
        "लाल छतों वाला घना आवासीय क्षेत्र।",
        "Πυκνή κατοικημένη περιοχή με κόκκινες στέγες.",
    ],
)
def test_other_languages_are_not(text):
    assert not is_english(text)


@pytest.mark.real
def test_every_real_description_is_english():
    root = Path(os.environ.get("LECDIFF_REAL_DATA", Path(__file__).parents[4] / "shared" / "data")) / "milan-imagery"
    if not root.is_dir():
        pytest.skip(f"no real data at {root}; set LECDIFF_REAL_DATA")
    texts = [json.loads(line)["description"] for line in (root / "descriptions.jsonl").read_text().splitlines()]
    assert len(texts) == 81
    sentences = [sentence for text in texts for sentence in split_sentences(text)]
    assert [text for text in [*texts, *sentences] if not is_english(text)] == []


# ---- instructions


def test_the_shipped_instructions_differ_in_detail_and_ask_for_every_aspect():
    assert instruction_names() == ["infrastructure", "short", "standard"]
    by_name = {name: load_instruction(name) for name in instruction_names()}
    assert all(one.name == name for name, one in by_name.items())
    lengths = [len(by_name[name].text) for name in ("short", "standard", "infrastructure")]
    assert lengths == sorted(lengths) and lengths[2] > 2 * lengths[0]
    for name in ("standard", "infrastructure"):
        text = by_name[name].text.lower()
        assert all(
            word in text for word in ("land use", "buildings", "roads", "rail", "vegetation", "water", "activity")
        )
    assert "640 m" in by_name["short"].for_chip(640.0) and "{" not in by_name["short"].for_chip(640.0)


def test_a_shipped_instruction_changes_only_with_its_version():
    """When this fails, an instruction was edited: raise its version, then write the new mark here."""
    assert {name: load_instruction(name).prompt_version for name in instruction_names()} == {
        "infrastructure": "infrastructure-1-5cc1fdc6",
        "short": "short-1-34786fdf",
        "standard": "standard-1-573d0db7",
    }


def test_ones_own_instruction(tmp_path):
    file = tmp_path / "mine.md"
    file.write_text(
        '+++\nname = "mine"\nversion = 3\ndetail = "own"\nexpected_tokens = 50\n+++\nDescribe {metres} m.\n'
    )
    mine = load_instruction(str(file))
    assert mine.text == "Describe {metres} m." and mine.prompt_version.startswith("mine-3-")
    before = mine.prompt_version
    file.write_text(file.read_text().replace("Describe", "Explain"))
    assert load_instruction(str(file)).prompt_version != before


HEAD = '+++\nname = "mine"\nversion = 1\ndetail = "own"\nexpected_tokens = 50\n+++\n'


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "must begin"),
        (b"Describe it.", "must begin"),
        (b"Hello\n+++\n+++\nDescribe", "must begin"),
        (b"+++\nname = \n+++\nDescribe", "not TOML"),
        (b'+++\ntext = "a"\n+++\nDescribe', "not TOML"),
        (HEAD.encode(), "text"),
        (HEAD.replace("version = 1", "version = 0").encode() + b"Describe", "version"),
        (HEAD.replace('"mine"', '"../mine"').encode() + b"Describe", "name"),
        (HEAD.replace("detail", "colour").encode() + b"Describe", "detail"),
        (HEAD.encode() + b"x" * 30_000, "text"),
        (b"\xff\xfe\x00", "cannot be read"),
    ],
)
def test_an_instruction_that_is_none_is_named(tmp_path, content, message):
    file = tmp_path / "mine.md"
    file.write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        load_instruction(str(file))
    assert "mine.md" in str(caught.value) and "\n" not in str(caught.value)


def test_a_price_that_is_not_known_is_no_price():
    assert Prices().cost(1e6, 1e6) is None
    assert Prices(2.0, 3.0).cost(1e6, 1e6) == 5.0
    assert Prices(0.0, 0.0).cost(1e6, 1e6) == 0.0
