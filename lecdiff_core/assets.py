"""Where the files that travel with the code lie: the repository's `assets/`, or the copy inside the installed wheel."""

from importlib.util import find_spec
from pathlib import Path

from lecdiff_core.errors import UserError


def assets_folder() -> Path:
    """The folder with the demo city and its encoder. Raises UserError where neither place has it."""
    repository = Path(__file__).resolve().parent.parent / "assets"
    if repository.is_dir():
        return repository
    wheel = find_spec("lecdiff_app")
    for root in (wheel.submodule_search_locations or []) if wheel else []:
        if (Path(root) / "assets").is_dir():
            return Path(root) / "assets"
    raise UserError("the demo city is missing from this installation; install lecdiff again")
