"""Uploads, honest and hostile: what is let through, and that nothing else ever lands in a folder."""

import gzip
import io
import json
import stat
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lecdiff_core.errors import UserError
from pages.parts.steps import uploads

ROWS = b"station_id,timestamp,traffic\na,2024-01-01T00:00,1\nb,2024-01-01T00:00,2\n"


class Upload:
    def __init__(self, name: str, content: bytes) -> None:
        self.name, self.content = name, content

    def getbuffer(self) -> memoryview:
        return memoryview(self.content)


def zipped(entries: dict[str, bytes] | list[zipfile.ZipInfo]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for entry in entries:
            archive.writestr(entry, entries[entry] if isinstance(entries, dict) else b"../../../etc/passwd")
    return file.getvalue()


def lay(folder: Path, name: str, content: bytes, allowed=uploads.TRAFFIC) -> list[str]:
    return [file.name for file in uploads.lay([Upload(name, content)], folder / "in", allowed)]


def parquet(rows: int = 3) -> bytes:
    file = io.BytesIO()
    pa.parquet.write_table(pa.table({"station_id": ["a"] * rows, "<b>": range(rows)}), file)
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "laid"),
    [
        ("traffic.csv", ROWS, ["traffic.csv"]),
        ("Traffic May.CSV", ROWS, ["Traffic_May.csv"]),
        ("t.csv.gz", gzip.compress(ROWS, mtime=0), ["t.csv.gz"]),
        ("t.parquet", parquet(), ["t.parquet"]),
        (
            "all.zip",
            zipped({"x/1.csv": ROWS, "y/1.csv": ROWS, "__MACOSX/x/._1.csv": b"\0", "x/.DS_Store": b"\0"}),
            None,
        ),
        ("<img src=x onerror=alert(1)>.csv", ROWS, ["_img_src_x_onerror_alert_1_.csv"]),
        ("../../../etc/passwd.csv", ROWS, ["passwd.csv"]),
        ("..\\..\\windows\\system.csv", ROWS, ["system.csv"]),
        ("-rf.csv", ROWS, ["rf.csv"]),
    ],
)
def test_what_is_let_through_gets_a_plain_name(tmp_path, name, content, laid):
    assert lay(tmp_path, name, content) == (laid or ["x_1.csv", "y_1.csv"])
    assert sorted(file.parent for file in tmp_path.rglob("*.*")) == [tmp_path / "in"] * len(laid or "xy")


def link() -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo("passwd.csv")
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    return entry


def encrypted() -> bytes:
    content = bytearray(zipped({"1.csv": ROWS}))
    for mark, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        content[content.index(mark) + offset] |= 1
    return bytes(content)


def lying_about_its_size() -> bytes:
    """A zip whose directory says 10 bytes where 64 MB come."""
    content = bytearray(zipped({"1.csv": b"0" * (64 << 20)}))
    for mark, offset in ((b"PK\3\4", 22), (b"PK\1\2", 24)):
        start = content.index(mark) + offset
        content[start : start + 4] = (10).to_bytes(4, "little")
    return bytes(content)


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("run.sh", b"rm -rf /", "not a file of these kinds"),
        ("evil.csv.exe", ROWS, "not a file of these kinds"),
        (".csv", ROWS, "not a file of these kinds"),
        ("", ROWS, "not a file of these kinds"),
        ("a.zip", zipped({"../../evil.csv": ROWS}), "leads out of the archive"),
        ("a.zip", zipped({"/etc/evil.csv": ROWS}), "leads out of the archive"),
        ("a.zip", zipped({"..\\evil.csv": ROWS}), "leads out of the archive"),
        ("a.zip", zipped({"C:\\evil.csv": ROWS}), "leads out of the archive"),
        ("a.zip", zipped([link()]), "holds the link"),
        ("a.zip", zipped({"run.sh": b"rm"}), "not a file of these kinds"),
        ("a.zip", zipped({"b.zip": zipped({"1.csv": ROWS})}), "not a file of these kinds"),
        ("a.zip", zipped({"x/1.csv": ROWS, "x_1.csv": ROWS}), "two files named"),
        ("a.zip", zipped({f"{i}.csv": b"" for i in range(401)}), "401 files"),
        ("a.zip", zipped({}), "holds no files"),
        ("a.zip", b"PK\3\4 not really", "not an archive"),
        ("a.zip", zipped({"1.csv": ROWS})[:-30], "not an archive"),
        ("a.zip", encrypted(), "encrypted"),
        ("bomb.zip", zipped({"1.csv": b"0" * (64 << 20)}), "over 200 times"),
        ("bomb.xlsx", zipped({"xl/workbook.xml": b"0" * (64 << 20)}), "over 200 times"),
        ("bomb.zip", lying_about_its_size(), "not an archive"),
        ("bomb.csv.gz", gzip.compress(b"0,\n" * (24 << 20), mtime=0), "over 200 times"),
        ("bomb.zip", zipped({"1.csv.gz": gzip.compress(b"0,\n" * (24 << 20), mtime=0)}), "over 200 times"),
        ("t.csv.gz", b"not gzip", "cannot be read"),
        ("t.csv.gz", gzip.compress(ROWS, mtime=0)[:-9], "cannot be read"),
        ("t.csv", b"a" * (2 << 20), "first line does not end"),
        ("t.csv", parquet()[:-20], "not a Parquet file"),
        ("t.parquet", ROWS, "not a Parquet file"),
        ("t.parquet", parquet()[:-20], "not a Parquet file"),
    ],
)
def test_what_is_not_let_through_is_told_and_leaves_nothing_outside(tmp_path, name, content, told):
    with pytest.raises(UserError, match=told):
        lay(tmp_path, name, content)
    assert {file.parent for file in tmp_path.rglob("*") if file.is_file()} <= {tmp_path / "in"}
    assert not any(file.is_symlink() for file in tmp_path.rglob("*"))


def test_more_rows_than_any_network_has_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(uploads, "MOST_ROWS", 2)
    with pytest.raises(UserError, match="holds 3 rows"):
        lay(tmp_path, "t.parquet", parquet(3))


def test_a_large_upload_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(uploads, "LARGEST_MB", 1)
    with pytest.raises(UserError, match="an upload may have 1 MB"):
        lay(tmp_path, "t.csv", b"a,b\n" * (1 << 19))


VRT = b'<OGRVRTDataSource><OGRVRTLayer name="x"><SrcDataSource>/etc/passwd</SrcDataSource></OGRVRTLayer></OGRVRTDataSource>'


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("s.geojson", VRT, "not GeoJSON"),
        ("s.json", b'{"type": "Topology"}', "not a GeoJSON FeatureCollection"),
        ("s.geojson", b"[" * 100_000, "not GeoJSON"),
        ("s.zip", zipped({"1.csv": ROWS}), "not a file of these kinds"),
        ("s.vrt", VRT, "not a file of these kinds"),
    ],
)
def test_places_are_tables_or_geojson_only(tmp_path, name, content, told):
    with pytest.raises(UserError, match=told):
        lay(tmp_path, name, content, uploads.STATIONS)


def test_only_tiffs_are_rasters(tmp_path):
    with pytest.raises(UserError, match="not a GeoTIFF"):
        lay(tmp_path, "x.tif", VRT, uploads.RASTER)
    assert lay(tmp_path / "b", "x.tif", b"II*\0...", uploads.RASTER) == ["x.tif"]


def test_the_first_rows_are_shown_as_text(tmp_path):
    (csv,) = uploads.lay(
        [Upload("t.csv", b"\xef\xbb\xbfid;<b>x</b>\n1;2\n\n" + b"3;4\n" * 9)], tmp_path / "a", uploads.TRAFFIC
    )
    found = uploads.sample(csv)
    assert (found.columns, found.rows[:2], len(found.rows)) == (["id", "<b>x</b>"], [["1", "2"], ["3", "4"]], 5)
    (table,) = uploads.lay([Upload("t.parquet", parquet())], tmp_path / "b", uploads.TRAFFIC)
    assert uploads.sample(table).rows == [["a", "0"], ["a", "1"], ["a", "2"]]
    feature = {"type": "Feature", "properties": {"cellId": 7, "note": "<script>"}, "geometry": None}
    cells = json.dumps({"type": "FeatureCollection", "features": [feature, 5]}).encode()
    (file,) = uploads.lay([Upload("s.geojson", cells)], tmp_path / "c", uploads.STATIONS)
    assert uploads.sample(file) == uploads.Sample("s.geojson", ["cellId", "note"], [["7", "<script>"]])
    for content in (b'{"type": "FeatureCollection"}', b'{"type": "FeatureCollection", "features": 5}'):
        file.write_bytes(content)
        with pytest.raises(UserError, match="no features"):
            uploads.sample(file)


@settings(max_examples=150, deadline=None)
@given(
    name=st.text(max_size=60), kind=st.sampled_from(["csv", "zip", "gz", "parquet"]), content=st.binary(max_size=200)
)
def test_no_upload_is_more_than_refused(tmp_path_factory, name, kind, content):
    """Whatever comes: a plain file below the folder, or a sentence."""
    root = tmp_path_factory.mktemp("any")
    try:
        for file in uploads.lay([Upload(f"{name}.{kind}", content)], root / "in", uploads.TRAFFIC):
            assert file.parent == root / "in" and file.name.isascii() and file.name.isprintable()
            uploads.sample(file)
    except UserError as error:
        assert "\n" not in str(error)
