"""The Accuracy page as a visitor meets it, run without a browser, on made-up results."""

import json
from pathlib import Path

import made_up_results as made_up
import pytest
from visitor import select_on_map, text_of

from lecdiff_core.city.folder import City
from lecdiff_core.city.layout import benchmark_file
from lecdiff_core.evaluation.results import Model, Result, models
from pages.parts.charts.accuracy_charts import coverage_curve
from pages.parts.data import findings, measured

PAGE = "pages/accuracy.py"


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of shipped results."""
    monkeypatch.setattr(measured, "results_folder", lambda: tmp_path)
    return tmp_path


@pytest.fixture
def of_flatland(cities_folder: Path):
    """The benchmark file of the open city; gone afterwards."""
    file = benchmark_file(cities_folder / "flatland", "test")
    yield file
    file.unlink(missing_ok=True)


@pytest.fixture
def open_page(open_app):
    """The page at a link."""
    return lambda **link: open_app(**link).switch_page(PAGE).run()


def figures(app) -> dict[str, dict]:
    """The charts by their keys."""
    return {chart.key: json.loads(chart.proto.spec) for chart in app.get("plotly_chart")}


def model(name: str, level: float = 0.1, **more) -> Model:
    return Model(name, tuple(Result.model_validate(made_up.result(name, level, seed, **more)) for seed in (0, 1)))


def test_every_chart_of_a_city_and_of_the_studies(open_page, results, of_flatland, cities_folder):
    stations = City.open(cities_folder / "flatland").station_ids
    made_up.write_all(results)
    made_up.write(of_flatland, made_up.benchmark("Flatland", made_up.city_results(stations)))
    app = open_page()
    assert not app.exception and not app.warning
    shown = figures(app)
    assert set(shown) == {
        "ranking", "ablations", "reliability", "pit", "hours", "unseen", "slow", "surroundings", "history", "denoising", "latency",
    }  # fmt: skip
    told = text_of(app)
    assert told.count('class="lec-text"') == len(shown) + 2  # each chart, the map, the introduction
    assert "DeepAR (GluonTS) has the lowest error, LEC-Diff&#39;s is 11." in told
    assert "1 tie" in told and "1 loss" in told
    verdicts = {note["y"]: note["text"] for note in shown["ranking"]["layout"]["annotations"]}
    assert verdicts == {
        "DeepAR (GluonTS)": "LEC-Diff loses",
        "STID": "tie",
        "STGCN": "LEC-Diff wins",
        "Same time yesterday": "LEC-Diff wins",
    }
    assert shown["ranking"]["layout"]["yaxis"]["categoryarray"][-1] == "DeepAR (GluonTS)"  # the best at the top
    without, *_, whole = shown["history"]["data"][0]["y"]
    assert without < -10 and abs(whole) < 1e-6 and shown["history"]["data"][0]["name"] == "image"
    table = app.dataframe[0].value
    assert list(table["Seeds"]) == [1 if name == "Same time yesterday" else 2 for name in table["Model"]]
    assert table.set_index("Model")["± seeds"].isna().to_dict()["Same time yesterday"]


def test_the_error_of_each_station_is_on_the_map_and_a_click_leads_on(open_page, results, of_flatland, cities_folder):
    stations = City.open(cities_folder / "flatland").station_ids
    made_up.write(of_flatland, made_up.benchmark("Flatland", [made_up.result("lec-diff", 0.1, 0, stations)]))
    app = open_page()
    layers = json.loads(app.get("deck_gl_json_chart")[0].proto.json)["layers"]
    assert any("by=error" in str(layer.get("data")) for layer in layers)
    assert "ST-11 has the highest" in text_of(app)
    app = select_on_map(app, "stations", {"station_id": "ST-03"})
    assert not app.exception
    assert any("ST" in link.proto.label and "error" in link.proto.label for link in app.get("page_link"))


def test_a_city_without_results_says_so_and_shows_the_others(open_page, results):
    made_up.write_all(results)
    app = open_page()
    assert not app.exception
    assert "No model has been measured on this city yet" in text_of(app)
    assert any(link.proto.page == "data" for link in app.get("page_link"))
    assert app.get("button_group") and "ranking" in figures(app)
    assert not app.get("deck_gl_json_chart")  # the map is the open city's


def test_no_results_at_all(open_page, results):
    app = open_page()
    assert not app.exception and not app.get("plotly_chart")
    assert any("no results to show" in info.value for info in app.info)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("milan", "shopping list"),
        ("peers/milan", "{}"),
        ("environment_effect", '{"city": "x", "part": "test", "results": [{"model": "stid"}]}'),
        ("samplers", "[]"),
        ("latency", '{"samples": 100, "steps": 48, "results": [{"model": "lec-diff"}]}'),
    ],
)
def test_a_damaged_result_is_named_and_the_rest_is_shown(open_page, results, name, text):
    made_up.write_all(results)
    (results / f"{name}.json").write_text(text)
    app = open_page()
    assert not app.exception
    told = [warning.value.replace("\\", "") for warning in app.warning]
    assert len(told) == 1 and f"{Path(name).name}.json: " in told[0]
    assert len(figures(app)) > 5


def test_a_damaged_result_of_the_open_city(open_page, results, of_flatland):
    made_up.write_all(results)
    of_flatland.parent.mkdir(exist_ok=True)
    of_flatland.write_text("{")
    app = open_page()
    assert not app.exception and "ranking" in figures(app)
    assert any("test.json" in warning.value.replace("\\", "") for warning in app.warning)


@pytest.mark.parametrize("missing", ["pit", "by_hour", "conformal", "ncrps_by_station"])
def test_results_that_lack_something_show_the_rest(open_page, results, of_flatland, missing):
    rows = [{name: value for name, value in row.items() if name != missing} for row in made_up.city_results()]
    made_up.write(of_flatland, made_up.benchmark("Flatland", rows))
    app = open_page()
    assert not app.exception
    assert {"ranking", "reliability"} <= set(figures(app))


def test_without_lec_diff_and_alone(open_page, results, of_flatland):
    others = [row for row in made_up.city_results() if row["model"] in ("stid", "stgcn") and not row["subset"]]
    made_up.write(of_flatland, made_up.benchmark("Flatland", others))
    app = open_page()
    assert not app.exception and "LEC-Diff itself was not measured" in text_of(app)
    made_up.write(of_flatland, made_up.benchmark("Flatland", [made_up.result("lec-diff", 0.1)]))
    app.run()
    assert not app.exception and "nothing to compare it with" in text_of(app)


def test_sums_and_peaks_stand_beside_those_of_samples_drawn_apart(open_page, results, of_flatland):
    rows = [made_up.result("lec-diff", 0.1, seed, dependence="own", **made_up.joint(0.1, 0.902)) for seed in (0, 1)]
    rows += [
        made_up.result("lec-diff-independent", 0.1, dependence=name, **made_up.joint(level, held))
        for name, level, held in (("own", 0.12, 0.62), ("schaake", 0.11, 0.88), ("gaussian", 0.105, 0.899))
    ]
    made_up.write(of_flatland, made_up.benchmark("Flatland", rows))
    app = open_page()
    assert not app.exception
    told = text_of(app)
    assert "Do sums and peaks hold?" in told and "hold 90" in told and "draws its own noise, 62" in told
    assert "20 stations side by side" not in told and "the whole network" in told
    assert told.count("lec-missed") == 2 * 5 + 1  # every interval drawn apart and by past days, and the key


def test_results_of_the_older_protocol_have_no_sums(open_page, results, of_flatland):
    made_up.write(of_flatland, made_up.benchmark("Flatland", made_up.city_results()))
    app = open_page()
    assert not app.exception and "Do sums and peaks hold?" not in text_of(app)


def test_names_from_a_file_are_shown_as_text(open_page, results, of_flatland):
    rows = [made_up.result("lec-diff", 0.1), made_up.result("<img src=x onerror=alert(1)>", 0.2)]
    made_up.write(of_flatland, made_up.benchmark("Flatland", rows))
    app = open_page()
    assert not app.exception and "<img src=x" not in text_of(app)
    assert "<img" not in json.dumps(figures(app))


# ---- sentences


def test_a_tie_is_called_a_tie():
    rows = [
        made_up.result(name, level, seed) for name, level in (("lec-diff", 0.1), ("stid", 0.104)) for seed in (0, 1)
    ]
    said = findings.standing(models([Result.model_validate(row) for row in rows]))
    assert "this is a tie" in said and "1 tie" in said and "win" not in said


def test_intervals_that_hold_and_those_that_do_not():
    assert "keep their promise" in findings.calibration(model("a", coverage_50=0.52, coverage_90=0.88))
    wide = findings.calibration(model("a", coverage_50=0.6, coverage_90=0.99))
    assert "the inner interval is too wide and the outer interval is too wide" in wide
    assert "the outer interval is too narrow" in findings.calibration(model("a", coverage_50=0.5, coverage_90=0.8))


def test_what_parts_are_worth():
    said = findings.ablations(model("lec-diff"), [model("drop-sgf", 0.12), model("stid"), model("drop-gei", 0.09)])
    assert "The error rises without the graph" in said and "The error falls without knowing the surroundings" in said
    assert "It is a tie" in said


def test_the_reliability_curve_of_an_even_histogram_is_the_diagonal():
    promised, held = coverage_curve(model("a", pit=[0.05] * 20).pit)
    assert promised == pytest.approx(held)
    assert coverage_curve(model("a", pit=[]).pit) == ([], [])
