"""How `lecdiff app` starts the server."""

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lecdiff_core import serve
from lecdiff_core.errors import UserError


@pytest.fixture
def started(monkeypatch):
    """What the process would have become."""
    calls = []
    monkeypatch.setattr(serve.os, "execve", lambda *call: calls.append(call))
    return calls


def test_runs_streamlit_on_the_app_beside_its_assets(started):
    serve.run(port=8600, headless=True)
    program, words, environment = started[0]
    assert program == words[0] == sys.executable
    assert words[1:4] == ["-m", "streamlit", "run"]
    assert words[5:] == ["--server.port", "8600", "--server.headless", "true"]
    script = Path(words[4])
    assert script.name == "app.py" and (script.parent / ".streamlit" / "config.toml").is_file()
    assert serve.FIRST_VARIABLE not in environment or environment[serve.FIRST_VARIABLE]


def test_opens_a_city_first_wherever_it_lies(started, little_city, monkeypatch):
    monkeypatch.chdir(little_city.path.parent)
    serve.run(Path("little"))
    assert started[0][2][serve.FIRST_VARIABLE] == str(little_city.path.resolve())


@pytest.mark.parametrize("name", ["nowhere", "file", "empty"])
def test_what_is_no_city_is_refused_before_the_server_starts(started, tmp_path, name):
    (tmp_path / "file").write_text("no city")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=name):
        serve.run(tmp_path / name)
    assert started == []


@given(st.integers().filter(lambda port: not 0 < port < 65536))
def test_impossible_ports_are_refused(port):
    with pytest.raises(UserError, match="does not exist"):
        serve.command(port)
