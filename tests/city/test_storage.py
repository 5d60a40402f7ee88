"""Files come onto the disk whole or not at all, and stay below their folder."""

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lecdiff_core.city.storage import below, replacing
from lecdiff_core.errors import UserError

WRITER = """
import sys, time
from pathlib import Path
from lecdiff_core.city.storage import replacing
with replacing(Path(sys.argv[1])) as unfinished:
    unfinished.write_text("half of the new fi")
    print("writing", flush=True)
    time.sleep(60)
"""


def test_replaces_the_file_and_leaves_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "new" / "folder" / "data.csv"
    for text in ("first", "second"):
        with replacing(file) as unfinished:
            unfinished.write_text(text)
            assert unfinished.suffix == ".csv"
            assert unfinished.parent == file.parent
        assert file.read_text() == text
    assert list(file.parent.iterdir()) == [file]


def test_keeps_the_old_file_when_the_writer_fails(tmp_path: Path) -> None:
    file = tmp_path / "data.csv"
    file.write_text("old")
    with pytest.raises(ZeroDivisionError), replacing(file) as unfinished:
        unfinished.write_text("half")
        _ = 1 / 0
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES])
def test_says_why_the_disk_refuses_and_keeps_the_old_file(tmp_path: Path, code: int) -> None:
    file = tmp_path / "data.csv"
    file.write_text("old")
    with pytest.raises(UserError, match=r"cannot write .*data\.csv: .*unchanged"), replacing(file) as unfinished:
        unfinished.write_text("half")
        raise OSError(code, os.strerror(code))
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_says_that_a_parent_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write"), replacing(tmp_path / "file" / "data.csv") as unfinished:
        unfinished.write_text("")


def test_a_kill_during_the_write_leaves_the_old_file(tmp_path: Path) -> None:
    file = tmp_path / "data.csv"
    file.write_text("old")
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(file)], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    assert writer.stdout.readline() == "writing\n"
    os.kill(writer.pid, signal.SIGKILL)
    writer.wait()
    assert file.read_text() == "old"
    with replacing(file) as unfinished:
        unfinished.write_text("new")
    assert file.read_text() == "new"


def test_sweeps_what_killed_writers_left_long_ago(tmp_path: Path) -> None:
    file = tmp_path / "odd[name]*.csv"
    abandoned, fresh = tmp_path / ".odd[name]*.unfinished-00.csv", tmp_path / ".odd[name]*.unfinished-01.csv"
    other = tmp_path / ".other.unfinished-00.csv"
    for leftover in (abandoned, fresh, other):
        leftover.write_text("half")
    for leftover in (abandoned, other):
        os.utime(leftover, (time.time() - 7200,) * 2)
    with replacing(file) as unfinished:
        unfinished.write_text("new")
    assert sorted(tmp_path.iterdir()) == sorted([file, fresh, other])


@pytest.mark.parametrize("name", ["../up", "/etc/passwd", "a/../../b", "ab/\0"])
def test_below_refuses_to_leave_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError):
        below(tmp_path / "root", name)


def test_below_follows_links_and_keeps_what_is_inside(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "out").symlink_to(tmp_path)
    assert below(root, "a/../b.csv") == (root / "b.csv").resolve()
    with pytest.raises(UserError, match="leads out"):
        below(root, "out/secret")
