"""What pages read from files is read once, and again when a file of it changed."""

import os
from pathlib import Path

import pytest
import streamlit as st

from lecdiff_core.errors import UserError
from pages.parts.data.reading import read_once, stamp


@pytest.fixture(autouse=True)
def _no_results_of_other_tests():
    st.cache_resource.clear()


def change(file: Path, text: str) -> None:
    before = file.stat().st_mtime_ns if file.exists() else 0
    file.write_text(text)
    os.utime(file, ns=(before + 1, before + 1))


def test_reads_once_until_the_file_changes(tmp_path):
    file, reads = tmp_path / "a", []

    @read_once(lambda file: [file])
    def length(file: Path) -> int:
        """How long."""
        reads.append(file)
        return len(file.read_text())

    change(file, "abc")
    assert [length(file), length(file), length(file)] == [3, 3, 3]
    assert len(reads) == 1
    change(file, "abcd")
    assert length(file) == 4
    assert len(reads) == 2
    assert length.__doc__ == "How long."


def test_a_file_that_comes_and_goes_is_noticed(tmp_path):
    file = tmp_path / "a"

    @read_once(lambda folder: [folder / "a"])
    def is_there(folder: Path) -> bool:
        return (folder / "a").is_file()

    assert not is_there(tmp_path)
    file.write_text("")
    assert is_there(tmp_path)
    file.unlink()
    assert not is_there(tmp_path)


def test_an_error_is_not_held(tmp_path):
    reads = []

    @read_once(lambda file: [file])
    def broken(file: Path) -> str:
        reads.append(file)
        raise UserError("damaged")

    for _ in range(2):
        with pytest.raises(UserError, match="damaged"):
            broken(tmp_path)
    assert len(reads) == 2


def test_a_city_counts_by_what_it_holds_and_other_arguments_by_value(little_city, tmp_path):
    from lecdiff_core.city.folder import City

    reads = []

    @read_once(lambda _city, _word: [tmp_path / "a"])
    def answer(city: City, word: str) -> str:
        reads.append(word)
        return f"{city.meta.name} {word}"

    first, second = City.open(little_city.path), City.open(little_city.path)
    assert answer(first, "x") == answer(second, "x") != answer(first, "y")
    assert reads == ["x", "y"]


def test_the_stamp_is_of_those_files_that_exist(tmp_path):
    assert stamp(tmp_path / "a") == ()
    (tmp_path / "a").write_text("12")
    assert [size for _, size in stamp(tmp_path / "a", tmp_path / "b")] == [2]
