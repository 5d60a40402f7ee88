"""How a long step tells who started it (command line, page, script) how far it is."""

from collections.abc import Callable

# report(done, total, message): `done` and `total` in any one unit. It may raise to stop the step; a step keeps what it
# has finished, so that the next run resumes from there.
Report = Callable[[float, float, str], None]


def silent(done: float, total: float, message: str) -> None:
    """Report to nobody."""
