"""Which process is meant: its number and when it started, so that a number given out again is never taken for it."""

import os

import psutil
from pydantic import BaseModel

SAME_START = 2.0  # seconds by which two readings of one start may differ, since the clock is set now and then


class Process(BaseModel):
    """A process of this machine."""

    pid: int
    started: float  # seconds since 1970

    @classmethod
    def of(cls, pid: int) -> "Process":
        """The process that has this number now. Raises psutil.NoSuchProcess."""
        return cls(pid=pid, started=psutil.Process(pid).create_time())

    @classmethod
    def this(cls) -> "Process":
        """The process that asks."""
        return cls.of(os.getpid())

    def alive(self) -> bool:
        """Whether it still runs; one that has ended and was not yet collected by its parent does not."""
        try:
            found = psutil.Process(self.pid)
            return abs(found.create_time() - self.started) < SAME_START and found.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False
