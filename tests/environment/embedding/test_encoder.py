import lecdiff_core.environment.embedding.torchvision_ops as cure

# isort: split
import json
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from lecdiff_core.assets import assets_folder
from lecdiff_core.environment.embedding import contrastive
from lecdiff_core.environment.embedding.contrastive import Recipe, small_encoder, train_encoder
from lecdiff_core.environment.embedding.directions import turned
from lecdiff_core.environment.embedding.encoder import (
    Encoder,
    copy_encoder,
    encoder_identity,
    find_encoder,
    from_open_clip,
)
from lecdiff_core.environment.embedding.vocabulary import domain_merges, domain_tokenizer
from lecdiff_core.errors import UserError
from tests.environment.little_encoder import (  # noqa: F401
    COLOURS,
    TEXTS,
    coloured,
    coloured_pairs,
    one_thread,
    tiny_config,
    tiny_encoder,
)

SAYINGS = ["Dense terraced housing beside a rail yard.", "A stadium, and dense housing around the stadium yard; rail."]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Encoder:
    return tiny_encoder(tmp_path_factory.mktemp("tiny"))


# ---- torchvision beside another build of torch


def test_torchvision_imports_whatever_torch_is_installed():
    import torchvision

    assert torchvision.transforms.Compose
    assert cure.DECLARED is None or (torch.ops.torchvision.nms and torch.ops.torchvision.qnms)


# ---- the vocabulary


def test_known_words_are_cut_as_open_clip_cuts_them():
    full = open_clip.tokenizer.SimpleTokenizer()
    own = domain_tokenizer(domain_merges(SAYINGS, at_least=1), 40)
    for text in SAYINGS:
        cut = [own.decoder[token] for token in own.encode(text)]
        assert cut == [full.decoder[token] for token in full.encode(text)]
    assert own.vocab_size < 700


def test_rare_tokens_are_left_out_of_the_vocabulary():
    rare, common = domain_merges(SAYINGS, at_least=1), domain_merges(SAYINGS, at_least=2)
    assert "beside</w>" in {merge.replace(" ", "") for merge in rare}
    assert "beside</w>" not in {merge.replace(" ", "") for merge in common}


@given(st.text(max_size=60))
@settings(max_examples=60, deadline=None)
def test_any_text_can_be_encoded_and_comes_back(text):
    own = _tokenizer()
    assert own.decode(own.encode(text)).split() == open_clip.decode(
        torch.tensor(open_clip.tokenizer._tokenizer.encode(text))
    ).split()  # fmt: skip


_OWN = []


def _tokenizer():
    if not _OWN:
        _OWN.append(domain_tokenizer(domain_merges(SAYINGS), 40))
    return _OWN[0]


# ---- directions


@pytest.mark.parametrize(
    ("text", "quarters", "mirrored", "wanted"),
    [
        ("Woods in the north-east.", 1, False, "Woods in the south-east."),
        ("Northern half", 2, False, "Southern half"),
        ("upper left", 1, False, "upper right"),
        ("upper left", 0, True, "upper right"),
        ("a road from west to east", 3, False, "a road from south to north"),
        ("northwest and left", 0, True, "northeast and right"),
        ("at right angles, left open, horizontally", 1, False, "at right angles, left open, vertically"),
        ("The south-western corner", 1, True, "The south-western corner"),
    ],
)
def test_words_of_direction_turn_with_the_chip(text, quarters, mirrored, wanted):
    assert turned(text, quarters, mirrored) == wanted


@given(st.lists(st.sampled_from(["north", "South-east", "the", "upper right", "westward", "east"]), max_size=8))
def test_four_quarters_or_two_mirrors_change_nothing(words):
    text = ", ".join(words)
    assert turned(turned(text, 1), 3) == text
    assert turned(turned(text, 0, True), 0, True) == text


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("quarters", range(4))
def test_the_picture_turns_as_its_words_do(quarters, mirrored):
    sides = {"north": (4, 16), "south": (27, 16), "west": (16, 4), "east": (16, 27)}
    for side, (row, column) in sides.items():
        picture = torch.zeros(1, 3, 32, 32)
        picture[:, :, row - 2 : row + 3, column - 2 : column + 3] = 1
        moved = contrastive._moved(picture, np.array([quarters]), np.array([mirrored]), 1.0, np.random.default_rng(0))
        brightest = max(sides, key=lambda name: float(moved[0, 0, *sides[name]]))
        assert brightest == turned(side, quarters, mirrored)


# ---- the encoder


def test_embeddings_have_length_one_and_the_width(tiny):
    images, texts = [coloured(name) for name in COLOURS], list(TEXTS.values())
    for rows in (*tiny.embed_pairs(images, texts), tiny.embed_images(images), tiny.embed_texts(texts)):
        assert rows.shape == (len(COLOURS), tiny.width) and rows.dtype == np.float32
        assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)


def test_a_row_does_not_depend_on_the_rows_beside_it(tiny):
    images, texts = [coloured(name) for name in COLOURS], [*list(TEXTS.values())[:-1], "red"]
    together = tiny.embed_pairs(images, texts)
    for index in (0, 5):
        alone = tiny.embed_pairs([images[index]], [texts[index]])
        for one, all_rows in zip(alone, together, strict=True):
            assert np.allclose(one[0], all_rows[index], atol=1e-5)


def test_the_unified_row_depends_on_image_and_text(tiny):
    red, blue = coloured("red"), coloured("blue")
    _, _, unified = tiny.embed_pairs([red, red, blue], ["a field", "a yard", "a field"])
    assert not np.allclose(unified[0], unified[1], atol=1e-4)
    assert not np.allclose(unified[0], unified[2], atol=1e-4)


def test_no_images_and_no_texts_give_no_rows(tiny):
    assert tiny.embed_images([]).shape == (0, tiny.width)


def test_a_text_beyond_the_context_is_cut_and_any_image_shape_is_taken(tiny):
    assert tiny.embed_texts(["red ground " * 200]).shape == (1, tiny.width)
    wide, grey = coloured("red").resize((60, 20)), coloured("red").convert("L")
    assert np.isfinite(tiny.embed_images([wide, grey])).all()


def test_a_saved_encoder_comes_back_with_its_identity(tmp_path, tiny):
    tiny_again = Encoder(tiny.config)
    tiny_again.model.load_state_dict(tiny.model.state_dict())
    tiny_again.save(tmp_path)
    back = Encoder.open(tmp_path)
    assert back.identity == tiny_again.identity == tiny.identity == encoder_identity(tmp_path)
    assert np.array_equal(back.embed_texts(["a field"]), tiny.embed_texts(["a field"]))


def test_the_identity_tells_weights_and_configurations_apart(tmp_path):
    one, other = tiny_encoder(tmp_path / "one", 0), tiny_encoder(tmp_path / "other", 1)
    assert one.identity != other.identity
    copy_encoder(tmp_path / "one", tmp_path / "copy")
    config = tmp_path / "copy" / "config.json"
    config.write_text(config.read_text().replace('"tiny"', '"tinier"'))
    assert encoder_identity(tmp_path / "copy") != one.identity
    assert copy_encoder(tmp_path / "one", tmp_path / "copy") == one.identity == encoder_identity(tmp_path / "copy")


@pytest.mark.parametrize(
    ("file", "content", "wanted"),
    [
        ("config.json", b"{", "config.json"),
        ("config.json", b'{"format": 2}', "format"),
        ("model.safetensors", b"nothing", "damaged"),
        ("model.safetensors", None, "missing"),
    ],
)
def test_a_damaged_encoder_is_refused_by_name(tmp_path, file, content, wanted):
    tiny_encoder(tmp_path)
    (tmp_path / file).unlink() if content is None else (tmp_path / file).write_bytes(content)
    with pytest.raises(UserError, match=wanted):
        Encoder.open(tmp_path)


def test_weights_of_another_shape_are_refused(tmp_path):
    tiny_encoder(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    save_file({name: tensor[:1] for name, tensor in weights.items() if tensor.ndim}, tmp_path / "model.safetensors")
    with pytest.raises(UserError, match=r"not of this config\.json"):
        Encoder.open(tmp_path)


def test_a_configuration_that_cannot_be_built_is_refused():
    with pytest.raises(UserError, match="cannot be built"):
        Encoder(tiny_config(model={"embed_dim": 8}))


# ---- models of open_clip


@pytest.fixture(scope="module")
def tiny_clip(tmp_path_factory) -> Path:
    """A plain CLIP, without a uniting decoder, that open_clip knows as `tiny-clip`; the folder of its weights."""
    folder = tmp_path_factory.mktemp("open_clip")
    config = {
        "embed_dim": 16,
        "vision_cfg": {"image_size": 32, "layers": 1, "width": 16, "head_width": 8, "patch_size": 16},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
    }
    (folder / "tiny-clip.json").write_text(json.dumps(config))
    open_clip.add_model_config(folder / "tiny-clip.json")
    model = open_clip.create_model("tiny-clip")
    save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, folder / "tiny.safetensors")
    torch.save(model.state_dict(), folder / "tiny.pt")
    return folder


@pytest.mark.parametrize("file", ["tiny.safetensors", "tiny.pt"])
def test_a_model_of_open_clip_is_opened_from_local_weights(tiny_clip, tmp_path, file):
    made = from_open_clip(f"tiny-clip/{tiny_clip / file}")
    made.save(tmp_path)
    back = Encoder.open(tmp_path)
    image, text, unified = back.embed_pairs([coloured("red")], ["red ground"])
    middle = (image + text) / np.linalg.norm(image + text)
    assert not back.unites and np.allclose(unified, middle, atol=1e-5)
    wanted = load_file(tiny_clip / "tiny.safetensors")["text_projection"]
    assert torch.allclose(back.model.state_dict()["text_projection"], wanted.half().float())


def test_a_checkpoint_with_code_inside_is_refused_and_not_run(tiny_clip, tmp_path):
    import os
    import pickle

    class Harmful:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "ran"),)

    (tmp_path / "harmful.pt").write_bytes(pickle.dumps({"state_dict": Harmful()}))
    with pytest.raises(UserError, match="cannot be loaded"):
        from_open_clip(f"tiny-clip/{tmp_path / 'harmful.pt'}")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["nonsense", "ViT-B-32", "ViT-B-32/no-such-tag", ""])
def test_unknown_encoders_are_refused(name):
    with pytest.raises(UserError):
        from_open_clip(name)


def test_a_plain_clip_can_be_fine_tuned(tiny_clip):
    encoder = from_open_clip(f"tiny-clip/{tiny_clip / 'tiny.safetensors'}")
    before = encoder.embed_texts(["red"])
    train_encoder(encoder, coloured_pairs(), Recipe(steps=2, rows=6))
    assert not np.allclose(before, encoder.embed_texts(["red"]))


# ---- training


def test_training_brings_images_and_their_texts_together(tmp_path):
    encoder = tiny_encoder(tmp_path)
    losses = []
    recipe = Recipe(steps=120, rows=6, learning_rate=3e-3, warm_up=5, caption_rows=4)
    train_encoder(encoder, coloured_pairs(), recipe, report=lambda _d, _t, said: losses.append(float(said.split()[-1])))
    images = encoder.embed_images([coloured(name) for name in COLOURS])
    texts = encoder.embed_texts([f"{name} ground" for name in COLOURS])
    assert np.mean(losses[-10:]) < 0.5 * np.mean(losses[:10])
    assert ((images @ texts.T).argmax(1) == np.arange(len(COLOURS))).mean() >= 5 / 6
    assert not any(weight.requires_grad for weight in encoder.model.parameters())


class Stopped(Exception):
    pass


def test_a_training_that_was_stopped_goes_on_as_if_it_had_not_been(tmp_path):
    recipe = Recipe(steps=6, rows=4, warm_up=2, caption_rows=2, keep_every=2)

    def stop(done, total, message):
        if done == 5:
            raise Stopped

    whole, parted = tiny_encoder(tmp_path / "a"), tiny_encoder(tmp_path / "a")
    train_encoder(whole, coloured_pairs(), recipe)
    with pytest.raises(Stopped):
        train_encoder(parted, coloured_pairs(), recipe, tmp_path / "state", stop)
    assert (tmp_path / "state").is_file()
    resumed, steps = tiny_encoder(tmp_path / "a"), []
    train_encoder(resumed, coloured_pairs(), recipe, tmp_path / "state", lambda done, *_: steps.append(done))
    assert steps == [5, 6] and not (tmp_path / "state").exists()
    for name, tensor in whole.model.state_dict().items():
        assert torch.allclose(tensor, resumed.model.state_dict()[name], atol=1e-6), name


@pytest.mark.slow
def test_texts_prepared_in_another_process_train_the_same_weights(tmp_path):
    recipe = Recipe(steps=3, rows=4, warm_up=1, caption_rows=2)
    here, beside = tiny_encoder(tmp_path / "a"), tiny_encoder(tmp_path / "a")
    train_encoder(here, coloured_pairs(), recipe)
    train_encoder(beside, coloured_pairs(), recipe, processes=1)
    for name, tensor in here.model.state_dict().items():
        assert torch.equal(tensor, beside.model.state_dict()[name]), name


def test_a_checkpoint_of_other_pairs_is_not_taken_up(tmp_path):
    recipe = Recipe(steps=4, rows=4, warm_up=2, caption_rows=2, keep_every=2)

    def stop(done, total, message):
        if done == 3:
            raise Stopped

    with pytest.raises(Stopped):
        train_encoder(tiny_encoder(tmp_path / "a"), coloured_pairs(), recipe, tmp_path / "state", stop)
    steps = []
    others = coloured_pairs()[:-1]
    train_encoder(tiny_encoder(tmp_path / "a"), others, recipe, tmp_path / "state", lambda done, *_: steps.append(done))
    assert steps == [1, 2, 3, 4]


def test_the_small_model_is_small_and_holds_long_descriptions():
    encoder = small_encoder(SAYINGS)
    assert sum(weight.numel() for weight in encoder.model.parameters()) * 2 < 15e6
    assert encoder.config.model["text_cfg"]["context_length"] >= 127
    assert encoder.unites


# ---- what is shipped


@pytest.mark.parametrize(("name", "place"), [("default", "encoder"), ("clean", "encoders/clean")])
def test_the_shipped_encoders_are_small_and_understand_words(name, place):
    folder = find_encoder(name)
    assert folder == assets_folder() / place
    assert sum(file.stat().st_size for file in folder.iterdir()) <= 20_000_000
    encoder = Encoder.open(folder)
    assert encoder.config.model["text_cfg"]["context_length"] >= 127 and encoder.unites
    houses, houses_too, water = encoder.embed_texts(["dense housing", "dense housing blocks", "open water"])
    assert houses @ houses_too > houses @ water
