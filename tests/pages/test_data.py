"""The Data page as a visitor meets it, run without a browser; the jobs it starts are real processes."""

import errno
import os
import signal
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest
from test_uploads import ROWS, zipped
from visitor import APP, HOSTILE_NAME, link_of, picture, text_of

from lecdiff_core import api
from lecdiff_core.city.folder import City
from lecdiff_core.jobs import background
from lecdiff_core.jobs.background import Job
from tests.conftest import make_city
from tests.jobs import slow_step

PAGE = "pages/data.py"
PLACES = b"station_id,lon,lat\na,9.1,45.4\nb,9.12,45.41\n"
HOURS = [f"2024-01-{day:02d}T{hour:02d}:00" for day in range(1, 25) for hour in range(24)]
TRAFFIC = (
    b"site,time,volume\n" + "".join(f"{s},{t},{len(t) + i % 7}\n" for i, t in enumerate(HOURS) for s in "ab").encode()
)
SECRET = "sk-do-not-tell-0123456789"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cities folder with one small city."""
    folder = tmp_path / "cities"
    city = make_city(folder / "little")
    for row, station in enumerate(city.station_ids[:4]):
        (city.path / "imagery" / "chips").mkdir(parents=True, exist_ok=True)
        (city.path / "imagery" / "chips" / f"{station}.jpg").write_bytes(picture((80 + 20 * row, 90, 70)))
    monkeypatch.setenv("LECDIFF_CITIES", str(folder))
    monkeypatch.delenv("LECDIFF_CITY", raising=False)
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "LECDIFF_LLM_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    st.cache_resource.clear()
    yield folder
    for path in folder.iterdir():
        for job in background.jobs(path):
            if job.state == "running":
                background.cancel(job, grace=5)
    st.cache_resource.clear()


@pytest.fixture
def open_page(root: Path) -> Callable[..., AppTest]:
    """The page at a link."""

    def opened(**link: str) -> AppTest:
        app = AppTest.from_file(str(APP), default_timeout=120)
        for name, value in ({"city": "little"} | link).items():
            app.query_params[name] = value
        return app.run().switch_page(PAGE).run()

    return opened


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every job counts to a hundred."""
    monkeypatch.setattr(background.subprocess, "Popen", slow_step.popen)


@pytest.fixture
def words(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """The options of every job that would have been started, by its step."""
    started: dict[str, list[str]] = {}

    def start(city: Path, step: str, options: list[str], folder: Path | None = None) -> None:
        started[step] = list(options)

    monkeypatch.setattr(background, "start", start)
    return started


def until(app: AppTest, state: str, folder: Path) -> Job:
    """Wait for the only job of a folder, then look at the page again."""
    deadline = time.monotonic() + 120
    while (job := background.jobs(folder)[0]).state != state or (state == "running" and job.progress is None):
        assert time.monotonic() < deadline and job.state in ("running", state), job.log()
        time.sleep(0.1)
    app.run()
    assert not app.exception
    return job


def test_the_shipped_city_stays_as_it_is_and_a_copy_can_be_worked_on(open_page, root):
    app = open_page(city="demo")
    assert not app.exception
    starts = [button for button in app.button if (button.key or "").startswith("start-")]
    assert len(starts) == 7 and all(button.disabled for button in starts) and not settings_of(app)
    app.button(key="copy_demo").click().run()
    assert not app.exception and City.open(root / "demo-copy").models()
    assert link_of(app.switch_page("app.py").run(), "city") == "demo-copy"
    app.switch_page(PAGE).run()
    assert not app.button(key="start-train").disabled
    assert "copy_demo" not in {button.key for button in app.button}


def test_every_step_says_what_there_is_and_what_it_needs(open_page, root):
    app = open_page()
    app.query_params["step"] = "train"
    app.run()
    shown = {box.label.split("**")[1]: box for box in app.expander if "**" in box.label}
    assert list(shown) == [
        "Satellite images",
        "Descriptions",
        "Embeddings",
        "Training",
        "Forecast",
        "Measurement",
        "Surges",
    ]
    assert "In part" in shown["Satellite images"].label and "4 of 12 stations" in shown["Satellite images"].label
    assert {name for name, box in shown.items() if box.proto.expanded} == {"Training"}
    assert any("a trained model first" in info.value.replace("\\", "") for info in app.info)
    assert {button.key for button in app.button if button.disabled} >= {"start-imagery", "import_start"}
    assert not app.button(key="start-train").disabled and link_of(app, "step") is None


def box_for(app: AppTest, kind: str):
    """The box for uploads of a kind: after a job was started it is another one."""
    return next(box for box in app.file_uploader if (box.key or "").startswith(f"import_{kind}"))


def upload(app: AppTest, traffic: tuple[str, bytes], places: bytes = PLACES) -> AppTest:
    box_for(app, "traffic").upload(*traffic)
    box_for(app, "stations").upload("places.csv", places)
    return app.run()


def test_an_import_from_the_upload_to_the_open_city(open_page, root):
    app = upload(open_page(), ("volumes.csv", TRAFFIC.replace(b"volume", b"carried")))
    assert not app.exception
    shown = app.dataframe[0].value
    assert list(shown.iloc[0]) == ["a", "2024-01-01T00:00", "16"] and len(shown) == 5
    columns = {box.label: box.value for box in app.selectbox if "Columns of" in (box.key or "")}
    assert columns == {
        **{"Station": "station_id", "Time": "time", "Traffic": None, "Longitude": "lon", "Latitude": "lat"},
        **{"Name": "(none)", "Capacity": "(none)"},
    }
    boxes = {
        box.key.split("-")[0] + box.label: box for box in app.selectbox if "Columns of the traffic" in (box.key or "")
    }
    assert boxes["Columns of the trafficStation"].value == "site"
    boxes["Columns of the trafficTraffic"].select("carried")
    assert app.button(key="import_start").disabled
    app.selectbox(key="import_interval").select("1h")
    app.selectbox(key="import_timezone").select("Europe/Rome")
    app.text_input(key="import_unit").set_value("MB")
    app.radio(key="import_into").set_value("new")
    app.text_input(key="import_name").set_value(f"Città Nuova {HOSTILE_NAME[:20]}").run()
    assert not app.button(key="import_start").disabled
    app.button(key="import_start").click().run()
    folder = root / "citta-nuova-script-script-ale"
    job = until(app, "done", folder)
    assert "--column=traffic:station_id=site" in job.order.options and "--column=stations:lon=lon" in job.order.options
    told = text_of(app)
    for name, value in {"Stations": "2", "Intervals": "576 of 1h", "Rows read": "1,152", "Rows left out": "0"}.items():
        assert f"<dt>{name}</dt><dd>{value}</dd>" in told
    assert "<script>" not in told
    app.button(key=f"open-{job.id}").click().run()
    assert link_of(app.switch_page("app.py").run(), "city") == folder.name
    assert City.open(folder).meta.unit == "MB" and not (job.folder / "input").exists()


def test_a_german_export_is_imported_as_it_is(open_page, root):
    hours = [f"{day:02}.03.2024;{hour:02}:00" for day in (4, 5) for hour in range(24)]
    rows = [f"{cell};{when};1.{at:03},5" for cell in ("Süd", "Nord") for at, when in enumerate(hours)]
    traffic = "\r\n".join(["Verkehrsbericht;;;", "Zelle;Datum;Uhrzeit;Datenvolumen (MB)", *rows]).encode("cp1252")
    places = "Zelle;Standort;Länge;Breite;Kapazität\r\nSüd;Am Bach;9,19;45,46\r\nNord;Am See;9,20;45,47\r\n"
    app = upload(
        open_page(),
        ("Verkehr.csv", traffic),
        places.replace("46\r", "46;900\r").replace("47\r", "47;\r").encode("utf-16"),
    )
    app.selectbox(key="import_interval").select("1h")
    app.text_input(key="import_name").set_value("Neustadt").run()
    assert not app.button(key="import_start").disabled
    app.button(key="import_start").click().run()
    until(app, "done", root / "neustadt")
    city = City.open(root / "neustadt")
    assert city.station_ids == ("Süd", "Nord") and city.traffic["Nord"].iloc[1] == 1001.5
    assert city.stations["name"].tolist() == ["Am Bach", "Am See"] and city.stations["capacity"].iloc[0] == 900


def test_traffic_of_which_no_place_is_known_needs_no_list_of_places(open_page, root):
    app = open_page()
    box_for(app, "traffic").upload("t.csv", ROWS)
    app.text_input(key="import_name").set_value("Nirgends").run()
    assert "the places of the stations" in app.button(key="import_start").help
    app.selectbox(key="import_coordinates").select("none").run()
    assert not app.button(key="import_start").disabled
    app.button(key="import_start").click().run()
    until(app, "done", root / "nirgends")
    assert not City.open(root / "nirgends").has_places


def test_a_malformed_file_is_told_and_nothing_becomes_of_it(open_page, root):
    app = upload(open_page(), ("t.csv", ROWS.replace(b",2\n", b",-2\n")))
    app.text_input(key="import_name").set_value("Bad").run()
    app.button(key="import_start").click().run()
    job = until(app, "failed", root / "bad")
    assert any("row 2, column traffic: the value is negative" in error.value.replace("\\", "") for error in app.error)
    assert "Traceback" not in text_of(app)
    app.button(key=f"dismiss-{job.id}").click().run()
    assert not (root / "bad").exists()


def test_a_job_that_made_nothing_says_so_and_offers_to_go_on(open_page, root):
    city = City.open(root / "little")
    for station in city.station_ids[:4]:
        city.chip(station).unlink()
    job = background.start(city.path, "describe", ["--provider=offline"])
    app = open_page()
    until(app, "failed", city.path)
    assert "Nothing made" in text_of(app)
    assert any("stations are not described" in error.value.replace("\\", "") for error in app.error)
    assert app.button(key=f"resume-{job.id}").label == "Resume"


def replace_traffic(open_page, traffic: bytes) -> AppTest:
    app = upload(open_page(), ("t.csv", traffic))
    app.selectbox(key="import_interval").select("1h")
    app.selectbox(key="import_timezone").select("UTC")
    app.radio(key="import_into").set_value("this").run()
    assert "import_name" not in {box.key for box in app.text_input} and not app.button(key="import_start").disabled
    return app.button(key="import_start").click().run()


def test_the_traffic_of_a_city_is_replaced_and_its_name_unit_and_holidays_stay(open_page, root):
    make_city(root / "little", holidays=[date(2024, 1, 6)])
    app = replace_traffic(open_page, TRAFFIC.replace(b"site,time,volume", b"station_id,timestamp,traffic"))
    until(app, "done", root / "little")
    city = City.open(root / "little")
    assert city.station_ids == ("a", "b") and len(city.traffic) == len(HOURS)
    assert city.meta.name == "Little Town" and city.meta.unit == "MB" and city.meta.holidays == [date(2024, 1, 6)]
    facts = text_of(app)
    assert "<dt>Stations</dt><dd>2</dd>" in facts and "What Little Town holds" in facts
    assert [path.name for path in root.iterdir()] == ["little"]


def test_traffic_that_is_refused_leaves_the_old_as_it_was(open_page, root):
    before = City.open(root / "little")
    app = replace_traffic(open_page, ROWS.replace(b",2\n", b",-2\n"))
    until(app, "failed", root / "little")
    assert any("the value is negative" in error.value.replace("\\", "") for error in app.error)
    assert City.open(root / "little").data_hash == before.data_hash
    assert "<dt>Stations</dt><dd>12</dd>" in text_of(app)


GOOD = TRAFFIC.replace(b"site,time,volume", b"station_id,timestamp,traffic")


def press(app: AppTest, key: str, state: str, folder: Path) -> Job:
    """Press a button of the form and wait for the job that it starts."""
    app.button(key=key).click().run()
    assert not app.exception
    return until(app, state, folder)


def named(app: AppTest, name: str) -> AppTest:
    app.selectbox(key="import_timezone").select("Europe/Rome")
    app.radio(key="import_into").set_value("new")
    app.text_input(key="import_name").set_value(name).run()
    return app


def problems(app: AppTest) -> str:
    return "\n".join(error.value for error in app.error).replace("\\", "")


def nothing_uploaded(app: AppTest) -> bool:
    return not any(box.value for box in app.file_uploader if (box.key or "").startswith("import_"))


def test_a_look_says_what_would_be_imported_and_the_same_upload_is_imported(open_page, root):
    app = named(upload(open_page(), ("t.csv", GOOD)), "Looked")
    app.selectbox(key="import_interval").select("1h").run()
    look = press(app, "import_look", "done", root / "looked")
    assert [path.name for path in (root / "looked").iterdir()] == ["jobs"]
    told = text_of(app)
    for name, value in {
        "Stations": "2",
        "Intervals": "576 of 1h",
        "From": "1 Jan 2024, 00:00",
        "Until": "25 Jan 2024, 00:00",
        "Time zone": "Europe/Rome",
        "Unit": "none given",
        "Intervals missing": "0\N{NARROW NO-BREAK SPACE}%",
    }.items():
        assert f"<dt>{name}</dt><dd>{value}</dd>" in told
    (drawn,) = app.get("deck_gl_json_chart")
    assert "9.12" in drawn.proto.json and nothing_uploaded(app)
    assert not any("have changed" in warning.value for warning in app.warning)
    app.text_input(key="import_unit").set_value("MB").run()
    assert any("have changed" in warning.value for warning in app.warning)
    press(app, "import_start", "done", root / "looked")
    city = City.open(root / "looked")
    assert city.meta.unit == "MB" and city.meta.name == "Looked" and not look.folder.exists()
    assert not any((job.folder / "input").exists() for job in background.jobs(city.path))
    assert "import_remove-traffic" not in {button.key for button in app.button}


def test_an_export_in_german_is_looked_at_and_imported_as_it_is(open_page, root):
    rows = [
        f"Z{1 + i % 2};{day:02d}.03.2024 {hour:02d}:00;1.23{i % 2},5"
        for day in (4, 5)
        for hour in range(24)
        for i in (0, 1)
    ]
    traffic = "Zelle;Zeit;Volumen (MB)\n" + "\n".join(rows)
    places = "Zelle;Standort;Länge;Breite;Kapazität\nZ1;Hafen;9,10;45,40;900\nZ2;Markt;9,12;45,41;800\n"
    app = named(upload(open_page(), ("export.csv", traffic.encode()), places.encode()), "Hafen")
    app.selectbox(key="import_interval").select("1h").run()
    press(app, "import_look", "done", root / "hafen")
    told = text_of(app)
    for cells in (("Station", "Zelle", "Zelle"), ("Longitude", "–", "Länge"), ("Capacity", "–", "Kapazität")):
        assert f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>" in told
    assert "says MB" in told and "--unit" not in told and "45.4" in told
    press(app, "import_start", "done", root / "hafen")
    city = City.open(root / "hafen")
    assert city.traffic.iloc[0].tolist() == [1230.5, 1231.5] and city.stations["capacity"].tolist() == [900, 800]
    assert city.traffic.index[0].isoformat() == "2024-03-04T00:00:00+01:00"


def test_a_look_at_traffic_without_places_shows_no_map_and_other_choices_are_taken_along(open_page, root):
    content = GOOD.replace(b",18\n", b",-999\n")
    app = open_page()
    box_for(app, "traffic").upload("t.csv", content)
    app.selectbox(key="import_interval").select("1h")
    app.selectbox(key="import_coordinates").select("none")
    named(app, "Nowhere")
    press(app, "import_look", "failed", root / "nowhere")
    assert "“Texts for a missing value”" in problems(app)
    app.multiselect(key="import_na").set_value(["-999"])
    app.selectbox(key="import_decimal").select(".")
    app.selectbox(key="import_country").select("IT").run()
    job = press(app, "import_look", "done", root / "nowhere")
    assert {"--na=-999", "--decimal=.", "--country=IT"} <= set(job.order.options)
    assert "there is no map" in text_of(app) and not app.get("deck_gl_json_chart")
    other = open_page()
    other.button(key=f"correct-{job.id}").click().run()
    assert other.selectbox(key="import_country").value == "IT"
    assert other.multiselect(key="import_na").value == ["-999"] and "What would be imported" in text_of(other)
    assert not any("have changed" in warning.value for warning in other.warning)


@pytest.mark.parametrize("first", ["import_look", "import_start"])
def test_a_wrong_choice_is_corrected_with_the_same_upload(open_page, root, first):
    app = named(upload(open_page(), ("t.csv", GOOD)), "Twice")
    press(app, first, "failed", root / "twice")
    assert "use the Interval 1h" in problems(app) and nothing_uploaded(app)
    assert app.text_input(key="import_name").value == "Twice"
    assert app.selectbox(key="import_timezone").value == "Europe/Rome"
    app.selectbox(key="import_interval").select("1h").run()
    press(app, "import_start", "done", root / "twice")
    assert City.open(root / "twice").meta.timezone == "Europe/Rome"


def test_a_failed_import_is_gone_on_with_in_another_tab_with_its_files_and_choices(open_page, root):
    job = press(named(upload(open_page(), ("t.csv", GOOD)), "Later"), "import_start", "failed", root / "later")
    app = open_page()
    assert app.button(key="import_start").disabled
    app.button(key=f"correct-{job.id}").click().run()
    assert not app.exception and not app.button(key="import_start").disabled
    assert app.selectbox(key="import_timezone").value == "Europe/Rome" and app.radio(key="import_into").value == "new"
    app.selectbox(key="import_interval").select("1h")
    app.text_input(key="import_name").set_value("Sooner").run()
    press(app, "import_start", "done", root / "sooner")
    assert City.open(root / "sooner").station_ids == ("a", "b") and not (root / "later").exists()


def test_other_files_take_the_place_of_kept_ones_one_by_one_and_what_is_removed_is_gone(open_page, root):
    app = named(upload(open_page(), ("t.csv", GOOD.replace(b"\na,", b"\nc,"))), "Swap")
    app.selectbox(key="import_interval").select("1h").run()
    job = press(app, "import_look", "failed", root / "swap")
    assert "traffic of 1 ids has no station: c" in problems(app)
    box_for(app, "stations").upload("other.csv", b"station_id,lon,lat\nb,9.1,45.4\nc,9.2,45.4\n").run()
    job = press(app, "import_look", "done", root / "swap")
    assert sorted(file.name for file in (job.folder / "input").glob("*/*")) == ["other.csv", "t.csv"]
    app.button(key="import_remove-stations").click().run()
    assert app.button(key="import_look").disabled
    app.button(key="import_remove-traffic").click().run()
    assert not app.exception and not (root / "swap").exists()


def test_a_disk_that_refuses_an_upload_is_told_in_one_line_and_leaves_nothing(open_page, root, monkeypatch):
    def refuse(uploads: list, folder: Path, allowed: tuple) -> None:
        folder.mkdir(parents=True)
        (folder / "half.csv").write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    app = named(upload(open_page(), ("t.csv", GOOD)), "Full")
    monkeypatch.setattr("pages.parts.steps.uploads.lay", refuse)
    app.button(key="import_start").click().run()
    assert not app.exception and "cannot keep the files: the disk is full" in problems(app)
    assert not (root / "full").exists() and not app.button(key="import_start").disabled


def test_a_start_that_is_refused_keeps_the_files_where_they_were(open_page, root, slow):
    app = upload(open_page(), ("t.csv", GOOD))
    app.radio(key="import_into").set_value("this").run()
    app.button(key="start-train").click().run()
    until(app, "running", root / "little")
    app.button(key="import_look").click().run()
    assert not app.exception and any("train is running" in told.value for told in app.warning)
    assert [job.step for job in background.jobs(root / "little")] == ["train"]
    assert len(list((root / "little" / "jobs").glob("[!.]*"))) == 1 and not app.button(key="import_look").disabled


def settings_of(app: AppTest) -> dict:
    """The boxes of the form for name, unit and holidays, by what their keys begin with."""
    boxes = [*app.text_input, *app.text_area]
    return {
        name: box for name in ("name", "unit", "holidays") for box in boxes if (box.key or "").startswith(f"{name}-")
    }


def save(app: AppTest) -> AppTest:
    return next(button for button in app.button if button.label == "Save").click().run()


def test_name_unit_and_holidays_are_written_into_the_folder(open_page, root):
    make_city(root / "little", unit="")
    app = open_page()
    assert "<li>a unit</li>" in text_of(app) and "<li>holidays</li>" in text_of(app)
    boxes = settings_of(app)
    boxes["name"].set_value(f" Città {HOSTILE_NAME} ")
    boxes["unit"].set_value("GB")
    boxes["holidays"].set_value("2024-01-06, 2024-01-01\n2024-01-06")
    assert not save(app).exception
    app = open_page()  # as the next run of the whole application shows it
    assert not app.exception and "<li>a unit</li>" not in text_of(app) and "<script>" not in text_of(app)
    meta = City.open(root / "little").meta
    assert (meta.name, meta.unit) == (f"Città {HOSTILE_NAME}", "GB")
    assert meta.holidays == [date(2024, 1, 1), date(2024, 1, 6)] and meta.interval == "1h"
    assert settings_of(app)["holidays"].value == "2024-01-01\n2024-01-06"


@pytest.mark.parametrize(
    ("box", "value", "told"),
    [("name", "  ", "needs a name"), ("holidays", "2024-01-01\n2024-02-30", "“2024-02-30” is not")],
)
def test_what_cannot_be_a_name_or_a_date_is_told_and_not_saved(open_page, root, box, value, told):
    before = (root / "little" / "city.toml").read_bytes()
    app = open_page()
    settings_of(app)[box].set_value(value)
    save(app)
    assert any(told in error.value.replace("\\", "") for error in app.error)
    assert (root / "little" / "city.toml").read_bytes() == before


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("bomb.zip", zipped({"1.csv": b"0" * (64 << 20)}), "over 200 times"),
        ("<img src=x>.zip", zipped({"../../evil.csv": ROWS}), "leads out of the archive"),
        ("t.parquet", b"PAR1", "not a Parquet file"),
        ("t.csv", b"", "is empty"),
    ],
)
def test_hostile_uploads_are_told_and_start_nothing(open_page, root, name, content, told):
    app = upload(open_page(), (name, content))
    app.text_input(key="import_name").set_value("Evil").run()
    assert not app.exception
    assert any(told in error.value.replace("\\", "") for error in app.error)
    assert app.button(key="import_start").disabled
    assert [path.name for path in root.iterdir()] == ["little"]


@pytest.mark.parametrize(
    ("name", "told"), [("../../etc", None), ("···", "letters"), ("little", "already"), ("Demo", "already")]
)
def test_a_new_city_lies_below_the_cities_under_a_plain_name(open_page, root, words, name, told):
    app = upload(open_page(), ("t.csv", ROWS))
    app.text_input(key="import_name").set_value(name).run()
    app.button(key="import_start").click().run()
    assert not app.exception
    if told:
        assert any(told in error.value for error in app.error) and not words
    else:
        assert f"--name={name}" in words["import"]
        assert {path.name for path in root.iterdir()} <= {"little", "etc"} and not (root.parent / "etc").exists()


def test_two_tabs_see_one_job_and_either_stops_and_resumes_it(open_page, root, slow):
    first, second = open_page(), open_page()
    first.button(key="start-train").click().run()
    job = until(first, "running", root / "little")
    second.run()
    for app in (first, second):
        assert app.button(key="start-train").disabled
        assert "counting" in app.get("progress")[0].proto.text.replace("\\", "")
    second.button(key=f"cancel-{job.id}").click().run()
    first.run()
    assert any("Stopped" in text.value for text in first.markdown) and not first.button(key="start-train").disabled
    first.button(key=f"resume-{job.id}").click().run()
    until(first, "running", root / "little")
    second.run()
    assert any("Running" in text.value for text in second.markdown)
    os.killpg(background.find(root / "little", job.id).process.pid, signal.SIGKILL)
    until(second, "died", root / "little")
    assert any("Ended unexpectedly" in text.value for text in second.markdown)
    assert {f"resume-{job.id}", f"dismiss-{job.id}"} <= {button.key for button in second.button}


def test_a_training_started_elsewhere_is_named_and_nothing_starts(open_page, root, monkeypatch):
    monkeypatch.setattr(background, "at_work", lambda *_: "lecdiff train is at work on it (process 7)")
    app = open_page()
    app.button(key="start-train").click().run()
    assert any("lecdiff train is at work on it (process 7)" in told.value.replace("\\", "") for told in app.warning)
    assert background.jobs(root / "little") == []


def test_terms_are_accepted_and_secrets_not_kept(open_page, words):
    app = open_page()
    assert app.button(key="start-imagery").disabled and any("Esri's terms" in told.value for told in app.caption)
    app.checkbox(key="imagery_terms").check().run()
    app.text_input(key="imagery_month").set_value("soon").run()
    assert app.button(key="start-imagery").disabled
    app.text_input(key="imagery_month").set_value("2021-03").run()
    app.button(key="start-imagery").click().run()
    assert words["imagery"] == ["--source=arcgis", "--accept-terms", "--metres=640", "--size=256", "--date=2021-03"]
    app.radio(key="imagery_source").set_value("tiles").run()
    app.text_input(key="imagery_template").set_value(f"https://x.org/{{z}}/{{x}}/{{y}}?key={SECRET}").run()
    assert app.button(key="start-imagery").disabled
    app.text_input(key="imagery_template").set_value("https://x.org/{z}/{x}/{y}.jpg").run()
    app.button(key="start-imagery").click().run()
    assert words["imagery"][0] == "--source=https://x.org/{z}/{x}/{y}.jpg"


def test_what_a_description_costs_is_said_before_and_the_key_is_not(open_page, words, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    app = open_page()
    assert any("4 calls" in told.value.replace("\\", "") for told in app.info)
    button = app.button(key="start-describe")
    assert button.label.startswith("Describe for about 0.0") and button.label.endswith(" USD")
    app.text_input(key="describe_model").set_value("llava:13b").run()
    assert app.button(key="start-describe").label == "Describe"
    button = app.button(key="start-describe")
    button.click().run()
    assert words["describe"] == [
        *("--provider=openai", "--per-station=1", "--instruction=standard", "--model=llava:13b"),
    ]
    assert SECRET not in text_of(app) + str(app.session_state) + str(words)


def test_options_of_the_other_steps(open_page, root, words):
    api.train(City.open(root / "little"), "climatology", device="cpu")
    app = open_page()
    app.selectbox(key="train_model").select("lec-diff-paper").run()
    for step in ("describe", "embed", "train", "forecast", "benchmark", "surges"):
        app.button(key=f"start-{step}").click().run()
        assert not app.exception
    assert words == {
        "describe": ["--provider=offline"],
        "embed": ["--device=auto"],
        "train": ["--model=lec-diff", "--preset=paper", "--device=auto", "--seed=0"],
        "forecast": ["--model=climatology", "--samples=100", "--out=../../forecasts/climatology.parquet"],
        "benchmark": [
            "--part=validation",
            "--models=lec-diff,seasonal-naive,climatology,adaptive-climatology",
            "--seeds=1",
            "--out=../../benchmarks/validation.json",
        ],
        "surges": ["--model=climatology", "--out=../../surges.parquet"],
    }


def test_a_model_of_other_stations_is_noticed(open_page, root):
    api.train(City.open(root / "little"), "climatology", device="cpu")
    make_city(root / "more", stations=14)
    (root / "more" / "models").symlink_to(root / "little" / "models")
    app = open_page(city="more")
    assert not app.exception
    assert any(
        "trained on other stations: 2 of 14 are new to it" in told.value.replace("\\", "") for told in app.warning
    )
    assert "<td>Climatology</td>" in text_of(app)


def test_the_map_offers_the_training_and_shows_how_far_it_is(open_page, root, slow):
    app = AppTest.from_file(str(APP), default_timeout=120)
    app.query_params["city"], app.query_params["station"] = "little", "S03"
    app.run()
    (offer,) = [button for button in app.button if button.label == "Train LEC-Diff now"]
    offer.click().run()
    until(app, "running", root / "little")
    assert "counting" in app.get("progress")[0].proto.text.replace("\\", "")
    assert not [button for button in app.button if button.label == "Train LEC-Diff now"]
