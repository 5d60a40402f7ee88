"""Where the files that travel with the code lie: in the repository, or the copies inside the installed wheel."""

from importlib.util import find_spec
from pathlib import Path

from lecdiff_core.errors import UserError


def assets_folder() -> Path:
    """The folder with the demo city and its encoder. Raises UserError where neither place has it."""
    return _shipped("assets", "assets", "the demo city is missing from this installation; install lecdiff again")


def results_folder() -> Path:
    """The folder of the committed benchmark results. Raises UserError where neither place has it."""
    missing = "the benchmark results are missing from this installation; install lecdiff again"
    return _shipped("benchmarks/results", "results", missing)


def _shipped(in_repository: str, in_wheel: str, missing: str) -> Path:
    repository = Path(__file__).resolve().parent.parent / in_repository
    if repository.is_dir():
        return repository
    wheel = find_spec("lecdiff_app")
    for root in (wheel.submodule_search_locations or []) if wheel else []:
        if (Path(root) / in_wheel).is_dir():
            return Path(root) / in_wheel
    raise UserError(missing)
