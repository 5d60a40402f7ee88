"""Files come onto the disk whole or not at all, and stay below their folder."""

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lecdiff_core import storage
from lecdiff_core.errors import UserError
from lecdiff_core.storage import below, changing, read_whole, recover, replacing

WRITER = """
import sys, time
from pathlib import Path
from lecdiff_core.storage import replacing
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


# ---- changes of several files


def texts(folder: Path) -> dict[str, str]:
    """What lies in a folder, hidden files too, by name."""
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


def seen(folder: Path) -> dict[str, str]:
    """The same but for what a killed change leaves to be swept or used again."""
    return {name: text for name, text in texts(folder).items() if not name.startswith(".change.")}


OLD, NEW = {"a.txt": "old", "sub/b.txt": "old", "gone.txt": "old"}, {"a.txt": "new", "sub/b.txt": "new", "c.txt": "new"}


def before(folder: Path) -> Path:
    for name, text in OLD.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def change_all(folder: Path) -> None:
    with changing(folder) as change:
        for name, text in NEW.items():
            change.file(name).write_text(text)
        change.remove("gone.txt")


def test_several_files_change_as_one(tmp_path: Path) -> None:
    folder = before(tmp_path / "folder")
    change_all(folder)
    assert texts(folder) == NEW
    change_all(tmp_path / "not" / "there")
    assert texts(tmp_path / "not" / "there") == NEW


def test_a_failure_in_the_block_changes_nothing_and_leaves_nothing(tmp_path: Path) -> None:
    folder = before(tmp_path / "folder")
    for place in (folder, tmp_path / "not" / "there"):
        with pytest.raises(ZeroDivisionError), changing(place) as change:
            change.file("a.txt").write_text("half")
            _ = 1 / 0
    assert texts(folder) == OLD
    assert list(tmp_path.iterdir()) == [folder]


@pytest.mark.parametrize("name", ["../up", "/etc/passwd", "sub/../../up"])
def test_a_change_stays_in_its_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError), changing(tmp_path / "folder") as change:
        change.file(name)


def test_what_could_not_come_to_its_place_is_refused_before_anything_changes(tmp_path: Path) -> None:
    folder = before(tmp_path / "folder")
    for name in ("sub", "a.txt/inside"):
        with pytest.raises(UserError, match="unchanged"), changing(folder) as change:
            change.file(name).write_text("new")
    assert texts(folder) == OLD


class Ended(BaseException):
    """Ends a process as a kill does: nothing cleans up after it."""


@pytest.mark.parametrize("kind", ["full disk", "killed"])
@pytest.mark.parametrize("call", ["rename", "fsync", "unlink", "rmdir"])
def test_wherever_a_change_is_cut_off_the_old_or_the_new_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, kind: str
) -> None:
    for number in range(1, 40):
        folder = before(tmp_path / f"{number}")
        with monkeypatch.context() as patch:
            calls = interrupt(patch, call, number, OSError(errno.ENOSPC, "full") if kind == "full disk" else Ended())
            try:
                change_all(folder)
                said = ""
            except UserError as error:
                said = str(error)
            except Ended:
                said = "ended"
        recover(folder)
        recover(folder)
        found = seen(folder)
        assert found in (OLD, NEW)
        if kind == "full disk" and said:
            assert ("unchanged" in said) == (found == OLD)
        change_all(folder)
        assert seen(folder) == NEW
        if calls() < number:
            break
    else:
        pytest.fail("the fault never came to the end of the change")


def interrupt(patch: pytest.MonkeyPatch, call: str, number: int, error: BaseException) -> Callable[[], int]:
    """Let call `number` of a function of `os` fail, and after an end all that would clean up; returns how many calls there were."""
    count = 0
    watched = ("rename", "replace") if call == "rename" else (call,)
    others = ("rename", "replace", "fsync", "unlink", "rmdir", "mkdir", "open") if isinstance(error, Ended) else ()
    for name in {*watched, *others}:
        real = getattr(os, name)

        def faulty(*args: object, real: Callable = real, name: str = name, **options: object) -> object:
            nonlocal count
            count += name in watched
            if (name in watched and count == number) or (count >= number and isinstance(error, Ended)):
                raise error
            return real(*args, **options)

        patch.setattr(os, name, faulty)
    return lambda: count


def test_who_opens_the_folder_next_ends_the_change(tmp_path: Path) -> None:
    folder = before(tmp_path / "folder")
    writer = subprocess.Popen([sys.executable, "-c", CHANGER, str(folder)])
    assert writer.wait() == 7
    assert (folder / "a.txt").read_text() == "new" and (folder / "sub" / "b.txt").read_text() == "old"
    names = ("a.txt", "sub/b.txt", "gone.txt")
    found = read_whole(
        folder, names, lambda: [(folder / name).is_file() and (folder / name).read_text() for name in names]
    )
    assert found == ["new", "new", False]
    assert texts(folder) == NEW


CHANGER = """
import os, sys
from pathlib import Path
from lecdiff_core.storage import changing
real = os.replace
def one_file(source, target, **options):
    if "/new/sub/" in str(source):
        os._exit(7)
    return real(source, target, **options)
os.replace = one_file
with changing(Path(sys.argv[1])) as change:
    for name in ("a.txt", "c.txt", "sub/b.txt"):
        change.file(name).write_text("new")
    change.remove("gone.txt")
"""


def test_a_reader_sees_the_files_of_one_change(tmp_path: Path) -> None:
    folder = before(tmp_path / "folder")
    reads = 0

    def read() -> list[str]:
        nonlocal reads
        reads += 1
        first = (folder / "a.txt").read_text()
        if reads == 1:
            change_all(folder)
        return [first, (folder / "sub" / "b.txt").read_text()]

    assert read_whole(folder, ("a.txt", "sub/b.txt"), read) == ["new", "new"]
    assert reads == 2


def test_a_reader_lets_writers_wait_who_never_rest(tmp_path: Path) -> None:
    folder = before(tmp_path / "folder")
    writer = subprocess.Popen([sys.executable, "-c", RESTLESS, str(folder)], stdout=subprocess.PIPE, text=True)
    try:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "writing\n"

        def read() -> list[str]:
            first = (folder / "a.txt").read_text()
            time.sleep(0.05)  # longer than a change takes
            return [first, (folder / "sub" / "b.txt").read_text()]

        for _ in range(3):
            assert len(set(read_whole(folder, ("a.txt", "sub/b.txt"), read))) == 1
    finally:
        writer.kill()
        writer.wait()


RESTLESS = """
import sys
from pathlib import Path
from lecdiff_core.storage import changing
number = 0
while True:
    number += 1
    with changing(Path(sys.argv[1])) as change:
        for name in ("a.txt", "sub/b.txt"):
            change.file(name).write_text(str(number))
    if number == 3:
        print("writing", flush=True)
"""


def test_a_reader_passes_on_what_is_wrong_with_files_at_rest(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_whole(tmp_path, ("a.txt",), (tmp_path / "a.txt").read_text)


def test_a_change_that_cannot_be_ended_here_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = before(tmp_path / "folder")
    subprocess.run([sys.executable, "-c", CHANGER, str(folder)], check=False)

    def refuse(*args: object, **options: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(storage, "_alone", refuse)
    monkeypatch.setattr(storage, "TURN_SECONDS", 0.0)
    with pytest.raises(UserError, match=r"not yet in place.*the disk is read-only"):
        recover(folder)


def test_the_next_change_sweeps_what_a_killed_one_left_long_ago(tmp_path: Path) -> None:
    abandoned, fresh = tmp_path / ".change.unfinished-00", tmp_path / ".change.unfinished-01"
    for leftover in (abandoned, fresh):
        (leftover / "new").mkdir(parents=True)
    for path in (abandoned, abandoned / "new"):
        os.utime(path, (time.time() - 7200,) * 2)
    change_all(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == [fresh.name, "sub"]
