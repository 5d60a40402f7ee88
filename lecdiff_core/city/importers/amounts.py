"""Cells made numbers: what marks decimals and thousands is judged by the whole column, what is no number is refused by row."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import polars as pl

from lecdiff_core.city.importers.forms import Table
from lecdiff_core.city.importers.tables import Batch, Columns, read_batches
from lecdiff_core.errors import UserError

MISSING = (
    *("na", "n/a", "n.a.", "n/v", "nan", "null", "nil", "none", "k.a.", "\\n", "-", "--", "–", "—", ".", "?"),
    *("#n/a", "#na", "#n/v", "#nv", "#null!", "#div/0!", "#wert!", "#value!", "#bezug!", "#ref!", ""),
)
GROUP = 3  # digits
SPACES = " \u00a0\u2007\u2009\u202f"
APOSTROPHES = "'’"
ENOUGH = 50  # cells with three digits behind their mark, from which on that is no chance
LARGEST = 1e30
SENTINELS = (-1.0, -9.0, -99.0, -999.0, -9999.0, -99999.0, -32768.0, -2147483648.0)
OTHER = {".": ",", ",": "."}
UNIT = re.compile(r"^[+-]?[\d.,\s]*\d\s*(%|[^\W\d_].*)$")


@dataclass
class Amounts:
    """How the numbers of some columns are written, found while they are read.

    columns: the tables and their columns that are judged together.  decimal: the mark of decimals where it is given or known.
    missing: texts that mean a missing value, beside the usual ones.  degrees: the numbers are coordinates in degrees, never
    thousands.  notices: what was decided.
    """

    columns: Sequence[tuple[Table, Columns]]
    decimal: str | None = None
    missing: Sequence[str] = ()
    degrees: bool = False
    notices: list[str] = field(default_factory=list)

    def read(self, batch: Batch, role: str, least: float | None = 0.0) -> np.ndarray:
        """A column as (R,) float64, missing cells as NaN.

        Raises UserError that names the first row of each kind: text, infinity, a number below `least` or beyond all measure.
        """
        series = pl.Series(pl.from_arrow(batch.data.column(role)))
        if series.dtype in (pl.String, pl.Categorical):
            values, unread = self._of_texts(series.cast(pl.String).str.strip_chars(), batch, role)
        elif series.dtype.is_numeric() or series.dtype == pl.Null:
            values, unread = series.cast(pl.Float64).fill_null(float("nan")).to_numpy(), None
        else:
            raise UserError(
                f"{batch.file}, column {batch.names[role]}: it holds {batch.data.column(role).type}, not numbers"
            )
        named_missing = [number for number in map(_number, self.missing) if number is not None]
        if named_missing:
            values = np.where(np.isin(values, named_missing), np.nan, values)
        problems = [] if unread is None else [unread]
        problems += _senseless(values, least, batch, role)
        if problems:
            raise UserError("; ".join(problems))
        return values

    def _of_texts(self, text: pl.Series, batch: Batch, role: str) -> tuple[np.ndarray, str | None]:
        if self.decimal is None and text.str.contains(r"\d[.,]\d").any():
            self._judge(text, batch, role)
        values = _cast(text, self.decimal or ".")
        odd = values.is_null() & text.is_not_null()
        problem = None
        if odd.any():
            known = text.str.to_lowercase().is_in([*MISSING, *(word.strip().lower() for word in self.missing)])
            unread = odd & ~known
            if unread.any():
                row = int(unread.arg_max() or 0)
                problem = f"{batch.where(row, role)}: {_why(text[row], self.decimal)}"
        return values.fill_null(float("nan")).to_numpy(), problem

    def _judge(self, text: pl.Series, batch: Batch, role: str) -> None:
        """Decide which mark is the decimal one: by this batch where that is enough, else by all that will be read."""
        evidence = _Evidence()
        evidence.add(text, partial(_place, batch, role))
        if not evidence.decisive:
            evidence = _Evidence()
            for other, name in self._all():
                series = pl.Series(pl.from_arrow(other.data.column(name)))
                if series.dtype == pl.String:
                    evidence.add(series.str.strip_chars(), partial(_place, other, name))
                if evidence.decisive:
                    break
        shape = batch.file.shape
        self.decimal, notice = evidence.decide(self.degrees, "" if shape is None else shape.delimiter)
        if notice:
            self.notices.append(f"{batch.file}, column {batch.names[role]}: {notice}")

    def _all(self) -> Iterator[tuple[Batch, str]]:
        for table, columns in self.columns:
            for batch in read_batches(table, columns):
                for name in columns:
                    yield batch, name


@dataclass
class _Evidence:
    """What the cells of a column say about their marks."""

    proof: dict[str, str] = field(
        default_factory=dict
    )  # decimal mark → place and text of the first cell that proves it
    either: dict[str, tuple[int, str]] = field(
        default_factory=dict
    )  # mark → cells with three digits behind it, the first one
    small: bool = False  # there are whole numbers below 1000
    large: bool = False  # there are whole numbers from 1000 on without a mark

    @property
    def decisive(self) -> bool:
        return bool(self.proof)

    def add(self, text: pl.Series, where: Callable[[int], str]) -> None:
        """Look at some cells; `where` says the place of one."""
        bare = text.str.replace_all(f"[{SPACES}{APOSTROPHES}]", "")
        whole = _like(bare, r"[+-]?\d+")
        self.small |= bool((whole & (bare.str.len_chars() <= GROUP)).any())
        self.large |= bool((whole & (text == bare) & (bare.str.len_chars() > GROUP)).any())
        for mark, other in OTHER.items():
            here, there, head = re.escape(mark), re.escape(other), r"[+-]?[1-9]\d{0,2}"
            single = _like(bare, rf"{head}{here}\d{{3}}")
            fraction = _like(bare, rf"[+-]?\d*{here}\d*(?:[eE][+-]?\d+)?") & ~single
            grouped = _like(bare, rf"{head}(?:(?:{here}\d{{3}})+{there}\d+|(?:{here}\d{{3}}){{2,}})")
            for decimal, rows in ((mark, fraction), (other, grouped)):
                if rows.any():
                    self.proof.setdefault(decimal, _first(rows, text, where))
            if single.any():
                count, first = self.either.get(mark, (0, ""))
                self.either[mark] = (count + int(single.sum()), first or _first(single, text, where))

    def decide(self, degrees: bool, delimiter: str) -> tuple[str, str | None]:
        """The decimal mark, and a notice where it could have been the other. Raises UserError where the cells do not tell."""
        if len(self.proof) > 1 or (not self.proof and len(self.either) > 1):
            point, comma = (self.proof or {mark: first for mark, (_, first) in self.either.items()}).values()
            raise UserError(
                f"{point} and {comma} mark decimals differently; write all alike, or say --decimal . or --decimal ,"
            )
        if self.proof:
            return next(iter(self.proof)), None
        if not self.either:
            return ".", None
        mark, (count, first) = next(iter(self.either.items()))
        if self.large or degrees:
            return mark, None
        if self.small and count >= ENOUGH:
            return OTHER[mark], (
                f"{mark!r} is read as parting thousands, as in {first.rpartition(': ')[2]}: {count} cells have three digits behind "
                f"it, and no number below 1000 has one; say --decimal {mark} where it marks decimals"
            )
        if not self.small and mark == "." and delimiter == ",":
            return mark, (
                f"{mark!r} is read as marking decimals, though all {count} cells that have one have three digits behind it; "
                "say --decimal , where it parts thousands"
            )
        raise UserError(
            f"{first} may be thousands or have decimals: all cells with {mark!r} have three digits behind it; "
            f"say --decimal {mark} where it marks decimals, --decimal {OTHER[mark]} where it parts thousands"
        )


def _place(batch: Batch, role: str, row: int) -> str:
    return batch.where(row, role)


def _like(text: pl.Series, form: str) -> pl.Series:
    return text.str.contains(rf"^(?:{form})$").fill_null(False)


def _first(rows: pl.Series, text: pl.Series, where: Callable[[int], str]) -> str:
    row = int(rows.arg_max() or 0)
    return f"{where(row)}: {text[row][:40]!r}"


def _cast(text: pl.Series, decimal: str) -> pl.Series:
    """Texts as numbers by their decimal mark, null where a text is none; thousands may be parted by the other or by spaces."""
    values = text.cast(pl.Float64, strict=False)
    odd = (values.is_null() & text.is_not_null()) | (text.str.contains(".", literal=True) if decimal == "," else False)
    odd = odd.fill_null(False)
    if not odd.any():
        return values
    other, mark = re.escape(OTHER[decimal]), re.escape(decimal)
    groups = "|".join(rf"(?:[{mark}]\d{{3}})+" for mark in (other, SPACES, APOSTROPHES))
    form = rf"^[+-]?(?:\d+|\d{{1,3}}(?:{groups}))?(?:{mark}\d*)?(?:[eE][+-]?\d+)?$"
    some = text.filter(odd)
    plain = some.str.replace_all(f"[{other}{SPACES}{APOSTROPHES}]", "").str.replace(decimal, ".", literal=True)
    read = plain.set(~some.str.contains(form), None).cast(pl.Float64, strict=False)
    return values.scatter(odd.arg_true(), read)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _why(text: str, decimal: str | None) -> str:
    shown = f"{text[:40]!r}"
    if match := UNIT.match(text):
        what = "a percent sign" if match[1] == "%" else "a unit"
        return f"{shown} has {what} in the cell; give the number alone"
    known = (
        f", where {'a point' if decimal == '.' else 'a comma'} marks decimals"
        if decimal and re.search(r"[.,]", text)
        else ""
    )
    return f"{shown} is not a number{known}; correct it, or say with --na {shown} that it means a missing value"


def _senseless(values: np.ndarray, least: float | None, batch: Batch, role: str) -> list[str]:
    problems = []
    infinite = np.isinf(values)
    huge = ~infinite & (np.abs(values) > LARGEST)
    below = ~infinite & (values < least) if least is not None else np.zeros(len(values), bool)
    for wrong, kind in ((infinite, "infinite"), (below, "negative"), (huge, "beyond all measure")):
        if not wrong.any():
            continue
        row = int(np.argmax(wrong))
        named = f", or say --na {values[row]:g} where that stands for missing" if values[row] in SENTINELS else ""
        problems.append(
            f"{batch.where(row, role)}: the value is {kind} ({values[row]:g}); "
            f"give a number of at least 0, or leave the cell empty where it is missing{named}"
        )
    return problems
