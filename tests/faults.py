"""Faults on purpose: the n-th call by which a command changes a folder fails as on a full disk, or is the last thing it does.

As a program, `python faults.py CALLS COMMAND…` ends hard at that call: what a kill or a power cut leaves.
"""

import builtins
import errno
import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest import mock

WRITING = os.O_WRONLY | os.O_RDWR
STEPS = ("rename", "replace", "fsync", "mkdir", "os open", "open")  # a command gets to its n-th of these
CLEANING = ("unlink", "remove", "rmdir")


class Ended(BaseException):
    """Ends a command as a kill does: nothing cleans up after it."""


def full_disk() -> None:
    """Fail as a disk does that is full."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def killed() -> None:
    """End, as far as that can be done within a process that lives on."""
    raise Ended


class Faults:
    """Counts the calls that change what lies in a folder, and lets the n-th fail (0: none), and those after it where `lasting`."""

    def __init__(self, folder: Path, number: int, fail: Callable[[], None], lasting: bool) -> None:
        self.folder, self.number, self.fail, self.lasting = str(folder), number, fail, lasting
        self.calls = 0

    def step(self, name: str, path: object) -> None:
        """One call, before it is made."""
        if not self._inside(path):
            return
        self.calls += name in STEPS
        late = self.lasting and 0 < self.number < self.calls
        if (name in STEPS and self.calls == self.number) or late or (name in CLEANING and self._ended()):
            self.fail()

    def _ended(self) -> bool:
        return self.fail is not full_disk and 0 < self.number <= self.calls

    def _inside(self, path: object) -> bool:
        if isinstance(path, int):
            try:
                path = Path(f"/proc/self/fd/{path}").readlink()
            except OSError:
                return False
        return isinstance(path, str | os.PathLike) and str(Path.cwd() / path).startswith(self.folder)


@contextmanager
def faults(
    folder: Path, number: int = 0, fail: Callable[[], None] = full_disk, lasting: bool = True
) -> Iterator[Faults]:
    """Watch a folder, and fail there."""
    found = Faults(folder, number, fail, lasting)

    def watched(name: str, real: Callable) -> Callable:
        def call(path: object, *args: object, **options: object) -> object:
            writes = (
                bool(args and isinstance(args[0], int) and args[0] & WRITING) if name == "os open"
                else any(mark in str(options.get("mode", args[0] if args else "r")) for mark in "wax+") if name == "open"
                else True
            )  # fmt: skip
            if writes:
                found.step(name, path)
            return real(path, *args, **options)

        return call

    with ExitStack() as patches:
        for name in (*STEPS[:4], *CLEANING):
            patches.enter_context(mock.patch.object(os, name, watched(name, getattr(os, name))))
        patches.enter_context(mock.patch.object(os, "open", watched("os open", os.open)))
        opened = watched("open", io.open)
        for module in (io, builtins):
            patches.enter_context(mock.patch.object(module, "open", opened))
        yield found


def main() -> None:
    """Run a command of `lecdiff` on the folder that is its first argument, and end hard at a call."""
    from lecdiff_core import cli
    from lecdiff_core.demo import town

    town.LARGEST_PAINTED = 0
    number, *words = sys.argv[1:]
    sys.argv = ["lecdiff", *words]
    with faults(Path(words[1]), int(number), lambda: os._exit(9)):
        cli.main()


if __name__ == "__main__":
    main()
