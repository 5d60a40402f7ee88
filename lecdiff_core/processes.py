"""Which process is meant: its number and when it started, so that a number given out again is never taken for it.

The start is identified by what stays when the clock is set: on Linux the ticks since the machine's start, and which start.
"""

import os
from pathlib import Path

import psutil
from pydantic import BaseModel

PROC = Path("/proc")
START_FIELD = 19  # of /proc/PID/stat, counted from behind the name: the 22nd in all


class Process(BaseModel):
    """A process of this machine."""

    pid: int
    started: str

    @classmethod
    def of(cls, pid: int) -> "Process":
        """The process that has this number now. Raises psutil.NoSuchProcess."""
        return cls(pid=pid, started=_started(pid))

    @classmethod
    def this(cls) -> "Process":
        """The process that asks."""
        return cls.of(os.getpid())

    def alive(self) -> bool:
        """Whether it still runs; one that has ended and was not yet collected by its parent does not."""
        try:
            return _started(self.pid) == self.started and psutil.Process(self.pid).status() != psutil.STATUS_ZOMBIE
        except (psutil.Error, ValueError, OverflowError):
            return False


def _started(pid: int) -> str:
    if not (PROC / "self" / "stat").is_file():
        return repr(psutil.Process(pid).create_time())
    try:
        fields = (PROC / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()
        return f"{(PROC / 'sys/kernel/random/boot_id').read_text().strip()} {int(fields[START_FIELD])}"
    except (OSError, IndexError):
        raise psutil.NoSuchProcess(pid) from None
