"""Every example runs as it is, and so do README's and the docstrings of the public face."""

import doctest
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import lecdiff_core

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
SAID = {  # a part of what each prints
    "own_csv_to_forecast.py": "Busiest hour of A",
    "the_model_step_by_step.py": "denoising steps",
    "a_baseline_in_one_file.py": "nCRPS on the last fifth: last-weeks",
    "an_importer.py": "8 rows of 2 stations",
    "a_sampler.py": "medians differ",
    "a_view.py": "150 stations",
}


def python(*words: str) -> str:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, cwd=ROOT, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.name)
def test_an_example_runs(file: Path) -> None:
    assert SAID[file.name] in python(str(file))


@pytest.mark.parametrize("name", lecdiff_core.__all__)
def test_what_is_public_is_there_and_explained(name: str) -> None:
    assert getattr(lecdiff_core, name).__doc__
    assert name in dir(lecdiff_core)


def test_importing_the_package_loads_nothing_heavy() -> None:
    heavy = "import lecdiff_core, sys; print(sorted({'torch', 'streamlit', 'pandas', 'geopandas'} & set(sys.modules)))"
    assert python("-c", heavy).strip() == "[]"


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'forecasts'"):
        lecdiff_core.forecasts  # noqa: B018


@pytest.mark.parametrize("name", lecdiff_core.__all__)
def test_the_examples_in_docstrings_say_what_comes_out(name: str) -> None:
    found = [test for test in doctest.DocTestFinder().find(getattr(lecdiff_core, name), name) if test.examples]
    assert name in {test.name for test in found}, f"{name} shows no example"
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    for test in found:
        assert runner.run(test).failed == 0, test.name


def test_readmes_example_runs(tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    assert blocks
    for block in blocks:
        file = tmp_path / "readme.py"
        file.write_text(block.replace('"cities/mine"', repr(str(ROOT / "assets" / "demo"))), "utf-8")
        python(str(file))
