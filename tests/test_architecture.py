"""The house as drawn in docs/architecture.md: imports run one way, and the core knows nothing of the application."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# Each floor may import from its own and from those after it; a room may have parts on other floors than its own.
FLOORS = (
    ("jobs.worker",),
    ("cli",),
    ("jobs", "status"),
    ("api",),
    ("evaluation.backtest", "evaluation.unseen", "evaluation.dependence", "surges", "congestion", "demo", "serve"),
    ("training", "forecaster", "sites"),
    ("models",),
    ("environment", "fusion", "diffusion"),
    ("city",),
    ("forecast", "evaluation", "tables"),
    ("models.names",),
    ("storage", "locks", "jsonl", "web", "images"),
    ("devices", "assets", "processes", "provenance", "addresses", "retries", "extensions"),
    ("bounded", "errors", "progress"),
)
APPLICATION = {"streamlit", "pydeck", "plotly", "pages", "app"}


def floor(module: str) -> int:
    """The floor of a module, told by its longest name that is on one."""
    parts = module.split(".")
    for length in range(len(parts), 0, -1):
        name = ".".join(parts[:length])
        for index, rooms in enumerate(FLOORS):
            if name in rooms:
                return index
    raise AssertionError(f"{module} is on no floor")


def imports(file: Path) -> set[str]:
    """Every module a file imports, inside functions too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            found.add(node.module or "")
    return found


CORE = sorted((ROOT / "lecdiff_core").rglob("*.py"))


@pytest.mark.parametrize("file", CORE, ids=lambda file: str(file.relative_to(ROOT)))
def test_imports_run_one_way(file: Path) -> None:
    module = ".".join(file.relative_to(ROOT / "lecdiff_core").with_suffix("").parts).removesuffix(".__init__")
    if module == "__init__":
        return
    for target in imports(file):
        if not target.startswith("lecdiff_core."):
            continue
        name = target.removeprefix("lecdiff_core.")
        assert floor(name) >= floor(module), f"{module} must not import {name}"


# Each group of what pages share uses itself and those before it.
GROUPS = ("look", "data", "state", "map", "charts", "steps", "station", "events")
PARTS = sorted((ROOT / "pages" / "parts").rglob("*.py"))


@pytest.mark.parametrize("file", PARTS, ids=lambda file: str(file.relative_to(ROOT)))
def test_parts_of_pages_use_those_of_the_groups_before_them(file: Path) -> None:
    inside = file.relative_to(ROOT / "pages" / "parts").parts
    if inside == ("__init__.py",):
        return
    for target in imports(file):
        assert not target.startswith("pages.") or target.startswith("pages.parts."), f"{file}: imports a page"
        if target.startswith("pages.parts."):
            assert GROUPS.index(target.split(".")[2]) <= GROUPS.index(inside[0]), f"{file} must not import {target}"


@pytest.mark.parametrize("file", CORE, ids=lambda file: str(file.relative_to(ROOT)))
def test_the_core_knows_nothing_of_the_application(file: Path) -> None:
    assert not {module.split(".")[0] for module in imports(file)} & APPLICATION


def test_every_room_is_on_a_floor() -> None:
    rooms = {file.relative_to(ROOT / "lecdiff_core").parts[0].removesuffix(".py") for file in CORE} - {"__init__"}
    assert rooms <= {room.split(".")[0] for rooms in FLOORS for room in rooms}


def test_nothing_is_loaded_by_pickle() -> None:
    for file in [*CORE, *sorted((ROOT / "pages").rglob("*.py")), ROOT / "app.py"]:
        modules = {module.split(".")[0] for module in imports(file)}
        assert not modules & {"pickle", "joblib", "dill", "cloudpickle", "shelve"}, file
        assert "torch.load" not in file.read_text(), file
