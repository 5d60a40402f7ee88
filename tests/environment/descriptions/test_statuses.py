"""How a command that asks outside services ends: 0, 2 for a mistake, 3 where nothing of what was asked could be made."""

import json
import sys
from contextlib import closing

import pytest

from lecdiff_core import cli, retries
from lecdiff_core.errors import NOTHING_MADE, USERS_MISTAKE
from lecdiff_core.jobs import background
from tests.environment.chat_server import SENTENCES, ChatServer, as_json, completion, failure
from tests.environment.descriptions.test_describe import city_of
from tests.environment.tile_server import TileServer, answer

GOOD = completion(as_json(*SENTENCES))


@pytest.fixture(autouse=True)
def quick_back_off(monkeypatch):
    monkeypatch.setattr(retries, "BACK_OFF", lambda state: 0.01)


@pytest.fixture
def server(monkeypatch):
    with closing(ChatServer()) as running:
        monkeypatch.setenv("LECDIFF_LLM_BASE_URL", running.url)
        yield running


@pytest.fixture
def lecdiff(monkeypatch, capsys):
    def run(*words):
        monkeypatch.setattr(sys, "argv", ["lecdiff", *map(str, words)])
        with pytest.raises(SystemExit) as left:
            cli.main()
        out, err = capsys.readouterr()
        return left.value.code, out, err

    return run


@pytest.fixture
def city(tmp_path):
    return city_of(tmp_path / "city", ["A", "B", "C"])


@pytest.mark.parametrize(
    ("behave", "words"),
    [
        (
            lambda body, times: (503, failure("model is loading"), {}),
            "stayed busy (HTTP 503): model is loading; 3 stations",
        ),
        (lambda body, times: (200, completion("{", finish="length"), {}), "the answer was cut off; 3 stations"),
        (
            lambda body, times: (200, completion("I'm sorry, I can't help with that."), {}),
            "refused to describe it; 3 stations",
        ),
        (lambda body, times: (200, b"<html>Sign in</html>", {}), "is not understood: Sign in; 3 stations"),
    ],
)
def test_where_every_answer_failed_the_status_is_3(lecdiff, city, server, behave, words):
    server.behave = behave
    status, out, err = lecdiff("describe", city.path)
    assert status == NOTHING_MADE and err.count("\n") == 1
    assert words in err and err.endswith("are not described: A, B, C\n")
    assert "0 made, 0 kept, 3 failed" in out
    status, out, err = lecdiff("describe", city.path, "--json")
    told = json.loads(out)
    assert (status, told["made"], set(told["failed"])) == (NOTHING_MADE, 0, {"A", "B", "C"})


def test_what_was_made_in_part_says_in_its_last_line_what_was_not(lecdiff, city, server):
    server.behave = lambda body, times: (200, GOOD if times == 0 else completion(""), {})
    status, out, err = lecdiff("describe", city.path)
    assert (status, err) == (0, "")
    assert out.splitlines()[-1].startswith("2 stations are not described: ")
    server.behave = lambda body, times: (200, completion(""), {})
    assert lecdiff("describe", city.path)[0] == NOTHING_MADE
    server.behave = lambda body, times: (200, GOOD, {})
    assert "not described" not in lecdiff("describe", city.path)[1]


@pytest.mark.parametrize("status", [401, 404, 308])
def test_a_wrong_key_model_or_address_is_a_mistake(lecdiff, city, server, status):
    server.behave = lambda body, times: (status, failure("no"), {"Location": "http://127.0.0.1/"})
    assert lecdiff("describe", city.path)[0] == USERS_MISTAKE


def test_without_a_chip_there_is_nothing_to_describe_or_embed(lecdiff, city):
    for station in city.station_ids:
        city.chip(station).unlink()
    for words in (("describe", city.path, "--provider", "offline"), ("embed", city.path)):
        status, _, err = lecdiff(*words)
        assert status == NOTHING_MADE and "lecdiff imagery" in err and "A, B, C" in err and err.count("\n") == 1


def test_where_every_tile_failed_the_status_is_3(lecdiff, city):
    for station in city.station_ids:
        city.chip(station).unlink()
    with closing(TileServer()) as tiles:
        tiles.behave = lambda tile, times: answer(status=404)
        status, out, err = lecdiff("imagery", city.path, "--source", tiles.template, "--json")
        assert (status, set(json.loads(out)["failed"])) == (NOTHING_MADE, {"A", "B", "C"})
        assert "HTTP 404" in err and "3 stations have no chip: A, B, C" in err
        tiles.behave = lambda tile, times: None
        status, out, _ = lecdiff("imagery", city.path, "--source", tiles.template)
        assert status == 0 and "no chip" not in out


def test_a_job_that_made_nothing_says_why(tmp_path, city, server, monkeypatch):
    server.behave = lambda body, times: (200, completion("", finish="content_filter"), {})
    job = background.start(city.path, "describe")
    while job.state == "running":
        job = background.find(city.path, job.id)
    assert (job.state, job.made_nothing) == ("failed", True)
    assert "3 stations are not described: A, B, C" in job.problem()
    assert job.result()["made"] == 0
