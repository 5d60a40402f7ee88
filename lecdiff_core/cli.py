"""The command line `lecdiff`: every command reads its options, calls the core, and prints the result.

Heavy parts are imported inside the commands, so that `lecdiff --help` answers at once. Results go to stdout, progress and
notices to stderr.
"""

import csv
import json
import math
import os
import shlex
import sys
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from lecdiff_core import __version__
from lecdiff_core.errors import INTERRUPTED, NOTHING_MADE, USERS_MISTAKE, UserError
from lecdiff_core.models.names import PREFERRED
from lecdiff_core.progress import Report

SECONDS_BETWEEN_LINES = 30
UNBOUNDED = 10_000  # columns: a line of a table is never wrapped, so that it can be piped

app = typer.Typer(
    name="lecdiff",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

CityFolder = Annotated[Path, typer.Argument(metavar="CITY", help="Folder of the city.", show_default=False)]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]


def main() -> None:
    """Run the command line: status 0, 2 after a user's mistake, 3 where nothing could be made, 130 after Ctrl-C."""
    try:
        status = app(prog_name="lecdiff", standalone_mode=False)
    except UserError as error:
        sys.exit(_refuse(str(error), error.status))
    except (KeyboardInterrupt, typer.Abort):
        status = INTERRUPTED
    except Exception as error:
        usage = getattr(error, "format_message", None)  # the option parser's errors; anything else is a bug
        if usage is None:
            raise
        context = getattr(error, "ctx", None)
        sys.exit(_refuse(f"{usage()} See: {context.command_path if context else 'lecdiff'} --help"))
    if status == INTERRUPTED:
        again = shlex.join(["lecdiff", *sys.argv[1:]])
        print(f"lecdiff: stopped; what was finished is kept, go on with: {again}", file=sys.stderr)
    sys.exit(status if isinstance(status, int) else 0)


def _refuse(message: str, status: int = USERS_MISTAKE) -> int:
    print(f"lecdiff: {' '.join(message.split())}", file=sys.stderr)
    return status


@app.callback(invoke_without_command=True)
def lecdiff(
    context: typer.Context, version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False
) -> None:
    """Mobile traffic forecasts from traffic, neighbours and satellite surroundings. CITY is a folder."""
    if version:
        print(f"lecdiff {__version__}")
    elif context.invoked_subcommand is None:
        print(context.get_help())


@app.command()
def demo(
    city: CityFolder,
    stations: Annotated[int | None, typer.Option(help="Generate another town with so many stations.")] = None,
    seed: Annotated[int | None, typer.Option(help="Generate another town from this seed.")] = None,
    as_json: Json = False,
) -> None:
    """Copy the shipped demo city to CITY, or generate another town there."""
    from lecdiff_core import demo as towns

    if stations is None and seed is None:
        town = towns.copy_demo_city(city)
    else:
        with _progress() as report:
            town = towns.generate_town(city, stations=stations or 150, seed=seed or 0, report=report)
    summary = {"path": str(city), "name": town.meta.name, "stations": len(town.stations), "steps": len(town.traffic)}
    _print(summary, [f"{town.meta.name} is in {city}; look at it with: lecdiff app {shlex.quote(str(city))}"], as_json)


@app.command("import")
def import_(
    city: CityFolder,
    traffic: Annotated[str, typer.Option(help="File, folder of files, or pattern in quotes.", show_default=False)],
    stations: Annotated[Path | None, typer.Option(help="CSV, Parquet, GeoParquet or GeoJSON of stations.")] = None,
    layout: Annotated[
        str,
        typer.Option(
            help="How the traffic is laid out: long, wide, sessions, telecom-italia, c2tm, or an installed one."
        ),
    ] = "long",
    column: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ROLE=NAME",
            help="Name of a column that is not recognised; repeat it. traffic:ROLE or stations:ROLE means one of the files.",
        ),
    ] = None,
    interval: Annotated[str, typer.Option(help="Sum readings into intervals of this length.")] = "30min",
    timezone: Annotated[str, typer.Option(help="Of the city, and of times without an offset.")] = "UTC",
    unit: Annotated[str, typer.Option(help="Of the traffic, such as MB.")] = "",
    crs: Annotated[str, typer.Option(help="Coordinates of the stations: EPSG:4326, gcj02, bd09, …")] = "EPSG:4326",
    coordinates: Annotated[
        Literal["true", "nominal", "none"],
        typer.Option(help="nominal: places are made up, who is next to whom is real; none: no place is known."),
    ] = "true",
    on_duplicate: Annotated[
        Literal["error", "sum", "last"], typer.Option(help="Two readings of one station and time.")
    ] = "error",
    on_unknown: Annotated[
        Literal["error", "drop"], typer.Option(help="Stations without traffic, traffic without station.")
    ] = "error",
    name: Annotated[str | None, typer.Option(help="Name of the city; else the folder's.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be imported, and write nothing.")] = False,
    date_format: Annotated[
        str | None,
        typer.Option(metavar="F", help="How times are written, such as '%d/%m/%Y %H:%M'; else by their looks."),
    ] = None,
    na: Annotated[list[str] | None, typer.Option(metavar="TEXT", help="Means a missing value; repeat it.")] = None,
    decimal: Annotated[str | None, typer.Option(metavar=". or ,", help="Mark of decimals, else found.")] = None,
    country: Annotated[
        str | None, typer.Option(metavar="CODE", help="Whose public holidays the city has, such as IT or DE-BY.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Read traffic and stations as others keep them into the folder CITY."""
    from lecdiff_core.city.importers.importing import import_city
    from lecdiff_core.locks import working

    with nullcontext() if dry_run else working(city, "import"), _progress() as report:
        result = import_city(
            city,
            traffic,
            stations,
            layout,
            _roles(column or []),
            interval,
            timezone,
            unit,
            crs,
            coordinates,
            on_duplicate,
            on_unknown,
            name,
            report=report,
            dry_run=dry_run,
            date_format=date_format,
            na=na or (),
            decimal=decimal,
            country=country,
        )
    _print(result.model_dump(mode="json"), result.lines(), as_json)


@app.command()
def train(
    city: CityFolder,
    model: Annotated[str, typer.Option(help="Name of the model.")] = PREFERRED,
    preset: Annotated[
        Literal["default", "paper"], typer.Option(help="paper: the plain form of the paper.")
    ] = "default",
    device: Device = "auto",
    seed: Annotated[int, typer.Option(help="Of all that is random.")] = 0,
    protocol: Annotated[
        bool,
        typer.Option(
            "--protocol", help="Learn from the first 70 %, as models are measured; else from all but the end."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Train a model and save it in CITY; stopped half-way, the same command goes on."""
    from lecdiff_core import api
    from lecdiff_core.city.folder import City

    opened = City.open(city)
    with _progress() as report:
        metrics = api.train(opened, model, preset, device, seed, protocol, report)
    _print(metrics, [f"{name}: {_brief(value)}" for name, value in metrics.items()], as_json)


@app.command()
def forecast(
    city: CityFolder,
    out: Annotated[Path, typer.Option(help="File to write, .parquet or .csv.", show_default=False)],
    model: Annotated[str, typer.Option(help="Name of the model.")] = PREFERRED,
    start: Annotated[str | None, typer.Option(help="Time of the first step, ISO 8601; else after the data.")] = None,
    steps: Annotated[int | None, typer.Option(help="Intervals to forecast; else 24 hours.")] = None,
    samples: Annotated[int, typer.Option(help="Futures drawn.")] = 100,
    stations: Annotated[
        list[str] | None,
        typer.Option(metavar="A,B", help="Only these stations; repeat it, or quote an id with a comma as in CSV."),
    ] = None,
    keep_samples: Annotated[bool, typer.Option("--keep-samples", help="Write every sample, too.")] = False,
    device: Device = "auto",
    seed: Annotated[int, typer.Option(help="Of the samples.")] = 0,
    as_json: Json = False,
) -> None:
    """Forecast traffic with a trained model: mean and quantiles of every station and step, written to a file."""
    from lecdiff_core import api
    from lecdiff_core.city.folder import City, named
    from lecdiff_core.forecast import write_forecast
    from lecdiff_core.tables import check_suffix

    check_suffix(out, "a forecast", "--out")
    opened = City.open(city)
    chosen = _listed("--stations", stations, opened.station_ids)
    with _progress() as report:
        result = api.forecast(opened, model, start, steps, samples, chosen, device, seed, report)
    write_forecast(result, out, keep_samples)
    _note(result.notices)
    summary = {
        "out": str(out),
        "stations": len(result.station_ids),
        "steps": len(result.timestamps),
        "start": result.timestamps[0].isoformat(),
        "samples": len(result.samples),
        "left_out": list(result.left_out),
        "notices": list(result.notices),
    }
    count = f"{len(result.station_ids):,} station{'s' if len(result.station_ids) != 1 else ''}"
    text = f"{count} × {summary['steps']} steps from {summary['start']} written to {out}"
    if result.left_out:
        text += f"; not forecast, for too little history: {named(result.left_out)}"
    _print(summary, [text], as_json)


@app.command()
def site(
    city: CityFolder,
    out: Annotated[Path, typer.Option(help="File to write, .parquet or .csv.", show_default=False)],
    lon: Annotated[float | None, typer.Option(help="Longitude of the place, degrees.")] = None,
    lat: Annotated[float | None, typer.Option(help="Latitude of the place, degrees.")] = None,
    sites: Annotated[
        Path | None, typer.Option(help="Table of candidates: name, lon, lat, and optionally text and chip.")
    ] = None,
    chip: Annotated[
        Path | None, typer.Option(help="Image of the place (JPEG, PNG, WebP, GeoTIFF); else from the city's imagery.")
    ] = None,
    text: Annotated[str | None, typer.Option(help="What stands there, in English.")] = None,
    chip_metres: Annotated[
        float | None, typer.Option(min=10, help="Metres a side that the chips given show; else as the city's.")
    ] = None,
    start: Annotated[str | None, typer.Option(help="Time of the first step, ISO 8601; else after the data.")] = None,
    usual_week: Annotated[Path | None, typer.Option(help="File for a usual week, .parquet or .csv.")] = None,
    samples: Annotated[int, typer.Option(help="Futures drawn.")] = 100,
    keep_samples: Annotated[bool, typer.Option("--keep-samples", help="Write every sample, too.")] = False,
    accept_terms: Annotated[
        bool, typer.Option("--accept-terms", help="You have the consent that Esri's terms ask for.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Of the samples.")] = 0,
    as_json: Json = False,
) -> None:
    """Estimate what places without history would carry, from their surroundings and the stations around."""
    from dataclasses import asdict

    from lecdiff_core.city.folder import City
    from lecdiff_core.forecast import write_forecast
    from lecdiff_core.sites.candidates import one_candidate, read_candidates
    from lecdiff_core.sites.forecast import SiteForecaster
    from lecdiff_core.sites.report import site_lines
    from lecdiff_core.tables import check_suffix

    check_suffix(out, "sites", "--out")
    if usual_week is not None:
        check_suffix(usual_week, "a usual week", "--usual-week")
    if sites is not None and any(option is not None for option in (lon, lat, chip, text)):
        raise UserError(
            "--sites FILE says where the sites are and what stands there; leave --lon, --lat, --chip and --text away"
        )
    opened = City.open(city)
    asked = [one_candidate(opened, lon, lat, chip, text)] if sites is None else read_candidates(sites, opened)
    with _progress() as report:
        result = SiteForecaster(opened).forecast(asked, start, samples, seed, chip_metres, accept_terms, report=report)
    write_forecast(result.day, out, keep_samples)
    if usual_week is not None:
        write_forecast(result.week, usual_week, keep_samples)
    _note(f"{shown.name}: {notice}" for shown in result.sites for notice in shown.notices)
    summary = {
        "out": str(out),
        "start": result.day.timestamps[0].isoformat(),
        "unit": opened.meta.unit,
        "sites": [asdict(shown) for shown in result.sites],
        "left_out": result.left_out,
        "assumptions": list(result.assumptions),
    }
    lines = [*site_lines(result, opened.meta.unit, opened.meta.interval), *result.assumptions]
    lines += [f"not told: {name}: {reason}" for name, reason in result.left_out.items()]
    _print(summary, lines, as_json)


@app.command()
def benchmark(
    city: CityFolder,
    out: Annotated[
        Path, typer.Option(help="JSON file to write; results in it are not computed again.", show_default=False)
    ],
    part: Annotated[
        Literal["validation", "test", "zero-shot"],
        typer.Option(help="validation: for choosing; test: the table; zero-shot: models that need no training."),
    ] = "test",
    models: Annotated[
        list[str] | None,
        typer.Option(metavar="all|A,B", help="Names of models, or repeat it; else LEC-Diff and the yardsticks."),
    ] = None,
    seeds: Annotated[int, typer.Option(help="How often each model is trained.")] = 3,
    hold_out_stations: Annotated[float, typer.Option(help="Share of stations left out of training.")] = 0.0,
    history_hours: Annotated[
        int | None,
        typer.Option(
            help="Know only so much past of the stations held out, or of all (0: places without history); else everything."
        ),
    ] = None,
    base_without: Annotated[
        str | None,
        typer.Option(metavar="NETWORK", help="Measure the base model by its fit that saw nothing of this network."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure models by the protocol and write the results; stopped half-way, the same command goes on."""
    from lecdiff_core import api
    from lecdiff_core.city.folder import City

    opened = City.open(city)
    chosen = _listed("--models", models, ())
    with _progress() as report:
        document = api.benchmark(
            opened, out, part, chosen, seeds, hold_out_stations, history_hours, report=report, base_without=base_without
        )
    _print(document, [*_results_table(document["results"]), *document["notices"]], as_json)


@app.command()
def surges(
    city: CityFolder,
    out: Annotated[Path, typer.Option(help="File to write, .parquet or .csv.", show_default=False)],
    model: Annotated[str, typer.Option(help="Name of the model.")] = PREFERRED,
    since: Annotated[
        str | None,
        typer.Option(help="Look from this time on, ISO 8601; else from the end of what the model learned from."),
    ] = None,
    false_alarms_per_day: Annotated[
        float, typer.Option(help="Expected false alarms a day in the whole city; fewer means stronger surges only.")
    ] = 1.0,
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Find when and where traffic left the forecasts made before; stopped half-way, the same command goes on."""
    from lecdiff_core import api
    from lecdiff_core.city.folder import City

    opened = City.open(city)
    with _progress() as report:
        result = api.surges(opened, out, model, since, false_alarms_per_day, device, report)
    text = (
        f"{result['events']} events ({result['above']} surges above, {result['below']} drops below the forecast) at "
        f"{false_alarms_per_day:g} false alarms a day written to {out}"
    )
    _print(result, ["; ".join([text, *result["notices"]])], as_json)


@app.command()
def imagery(
    city: CityFolder,
    source: Annotated[
        str, typer.Option(help="arcgis, a tile template with {z}, {x} and {y}, or a GeoTIFF file.")
    ] = "arcgis",
    size: Annotated[int, typer.Option(min=32, max=2048, help="Pixels a side of a chip.")] = 256,
    metres: Annotated[float, typer.Option(min=50, max=10_000, help="Metres a side of a chip.")] = 640,
    date: Annotated[str | None, typer.Option(metavar="YYYY-MM", help="Nearest dated release (ArcGIS only).")] = None,
    accept_terms: Annotated[
        bool, typer.Option("--accept-terms", help="You have the consent that Esri's terms ask for.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Fetch the satellite chip around every station of CITY."""
    from dataclasses import asdict

    from lecdiff_core.addresses import AllowedHosts
    from lecdiff_core.city.folder import City
    from lecdiff_core.environment.imagery.chips import fetch_imagery
    from lecdiff_core.jobs import background

    allowed = AllowedHosts.here() if background.is_job() else None
    with _progress() as report:
        result = fetch_imagery(
            City.open(city), source, size, metres, date, accept_terms, allowed=allowed, report=report
        )
    counts = f"chips: {len(result.made)} made, {len(result.kept)} kept, {len(result.own)} your own, {len(result.failed)} failed"
    lines = [counts, *_failures(result.failed), *result.notes, result.attribution, result.missing]
    _print(asdict(result), lines, as_json)
    _end(result.nothing)


@app.command()
def describe(
    city: CityFolder,
    provider: Annotated[
        Literal["openai", "offline", "table"],
        typer.Option(
            help="An OpenAI-compatible endpoint, measured image evidence, or a table of what is counted there."
        ),
    ] = "openai",
    model: Annotated[str | None, typer.Option(help="Name of the language model.")] = None,
    per_station: Annotated[int, typer.Option(min=1, max=20, help="Descriptions a station.")] = 1,
    instruction: Annotated[
        str, typer.Option(help="short, standard, infrastructure, or a file of your own.")
    ] = "standard",
    budget: Annotated[float | None, typer.Option(min=0, help="Dollars it may cost at most.")] = None,
    table: Annotated[
        Path | None, typer.Option("--from", metavar="TABLE", help="For --provider table: else the one the city keeps.")
    ] = None,
    verify: Annotated[
        Literal["llm"] | None, typer.Option(help="llm: a model that sees the chip judges every sentence that was kept.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Have every chip of CITY described by a language model, and the descriptions refined."""
    from dataclasses import asdict

    from lecdiff_core.city.folder import City
    from lecdiff_core.environment.descriptions.describe import describe_city

    with _progress() as report:
        result = describe_city(
            City.open(city),
            provider,
            model,
            per_station,
            instruction,
            budget=budget,
            report=report,
            table=table,
            verify=verify,
        )
    spent = "" if result.cost is None else f", {result.cost:.2f} USD"
    shared = f", {result.shared} of them shared with a station that has the very same chip" if result.shared else ""
    lines = [
        f"descriptions by {result.model}: {result.made} made{shared}, {result.kept} kept, {len(result.failed)} failed",
        f"tokens: {result.tokens_in:,} in, {result.tokens_out:,} out{spent}",
        f"second look: {result.looked_at} descriptions, {result.contradicted} sentences removed" if verify else "",
        *_failures(result.failed),
        f"stopped: {result.stopped}" if result.stopped else "",
        "; ".join(line for line in (result.unlooked, result.missing) if line),
    ]
    _print(asdict(result), lines, as_json)
    _end(result.nothing)


@app.command()
def embed(
    city: CityFolder,
    encoder: Annotated[
        str | None,
        typer.Option(
            help="default, clean, a folder, or an open_clip model with its weights (MODEL/TAG, MODEL/FILE); without it the one "
            "that CITY has, else default."
        ),
    ] = None,
    device: Device = "auto",
    table: Annotated[
        Path | None,
        typer.Option(
            "--from", metavar="TABLE", help="station_id and number columns (CSV, Parquet), beside chips or alone."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Embed what stands around every station of CITY, once; forecasts, neighbours and search reuse it."""
    from dataclasses import asdict

    from lecdiff_core.city.folder import City
    from lecdiff_core.environment.embedding.embed import embed_city

    with _progress() as report:
        result = embed_city(City.open(city), encoder, device, report, table)
    in_table = f", {len(result.in_table)} from a table" if result.in_table else ""
    lines = [
        f"embeddings of width {result.width}: {len(result.made)} made, {len(result.kept)} kept{in_table}",
        f"stations without a chip: {len(result.without_chip)}; without a description: {len(result.without_text)}",
        *_failures(result.unreadable),
        result.missing,
    ]
    _print(asdict(result), lines, as_json)
    _end(result.nothing)


@app.command()
def search(
    city: CityFolder,
    text: Annotated[str, typer.Argument(help="What should stand there, such as: stadium.", show_default=False)],
    top: Annotated[int, typer.Option(min=1, help="How many stations.")] = 10,
    as_json: Json = False,
) -> None:
    """Find the stations of CITY whose surroundings fit a sentence."""
    from lecdiff_core.city.folder import City
    from lecdiff_core.environment.search.neighbours import search as find

    matches = find(City.open(city), text, top)
    result = {"text": text, "stations": [{"station_id": name, "similarity": fit} for name, fit in matches]}
    _print(result, [f"{name}  {fit:.3f}" for name, fit in matches], as_json)


@app.command()
def info(city: CityFolder, as_json: Json = False) -> None:
    """Say what the folder CITY holds and what is missing."""
    from lecdiff_core.city.folder import City
    from lecdiff_core.city.summary import summarise

    summary = summarise(City.open(city))
    _print(summary.model_dump(mode="json"), summary.lines(), as_json)


@app.command("app")
def app_(
    city: Annotated[Path | None, typer.Argument(metavar="[CITY]", help="City to open; else the demo.")] = None,
    port: Annotated[int | None, typer.Option(help="Port of the server.")] = None,
    headless: Annotated[bool, typer.Option("--headless", help="Do not open a browser.")] = False,
) -> None:
    """Open the application in a browser."""
    from lecdiff_core.serve import run

    run(city, port, headless)


def _roles(pairs: list[str]) -> dict[str, list[str]]:
    """ROLE=NAME pairs as the names of each role."""
    roles: dict[str, list[str]] = {}
    for pair in pairs:
        role, equals, name = pair.partition("=")
        if not (role and equals and name):
            raise UserError(f"--column {pair}: write it as ROLE=NAME, such as station_id=BS")
        roles.setdefault(role, []).append(name)
    return roles


def _listed(option: str, values: list[str] | None, known: Collection[str]) -> list[str] | None:
    """The names in the values of an option; a value that is a name as it stands is one, any other is a line of CSV."""
    if values is None:
        return None
    names = []
    for value in values:
        try:
            [cells] = [[value]] if value in known else csv.reader([value], skipinitialspace=True, strict=True)
        except (csv.Error, ValueError) as error:
            raise UserError(f"{option} {value}: write it as A,B, a name with a comma in double quotes") from error
        names += [cell if cell in known else cell.strip() for cell in cells]
    return names


def _note(notices: Iterable[str]) -> None:
    for notice in notices:
        print(f"note: {notice}", file=sys.stderr)


def _print(result: dict[str, Any], lines: list[str], as_json: bool) -> None:
    text = "\n".join(filter(None, lines))
    print(json.dumps(_finite(result), default=str, allow_nan=False) if as_json else text)


def _end(nothing: str) -> None:
    """End with status 3 where nothing of what was asked could be made, and say why; after the result is printed."""
    if nothing:
        raise typer.Exit(_refuse(nothing, NOTHING_MADE))


def _finite(value: Any) -> Any:
    """The same with null for numbers that JSON does not know (NaN, infinity)."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _failures(failed: dict[str, str]) -> list[str]:
    return [f"failed: {station}: {reason}" for station, reason in failed.items()]


def _brief(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _results_table(results: list[dict[str, Any]]) -> list[str]:
    """Results of a benchmark as lines of a table, a line a model, seed and dependence: its scores, and nCRPS of what it sums to."""
    measures = ("mae", "rmse", "crps", "ncrps", "coverage_50", "coverage_90")
    sums = ("day_peak", "day_total", "area_20", "area_all")
    from rich.console import Console
    from rich.table import Table

    table = Table("model", "seed", *measures, *sums, "dependence", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for row in results:
        scores = [row.get(name, "") for name in measures] + [row.get(name, {}).get("ncrps", "") for name in sums]
        table.add_row(row["model"], str(row["seed"]), *map(_brief, scores), row.get("dependence", ""))
    console = Console(width=UNBOUNDED, color_system=None, markup=False, emoji=False)
    with console.capture() as captured:
        console.print(table)
    return [line.rstrip() for line in captured.get().splitlines()]


@contextmanager
def _progress() -> Iterator[Report]:
    """A report that draws a bar with the time left on stderr; where that is no terminal, a line now and then.

    In a background job it writes the file that the job's process names.
    """
    from lecdiff_core.jobs import background

    if file := os.environ.get(background.PROGRESS_VARIABLE):
        yield background.report_to(Path(file))
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _report_lines()
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("")
        yield lambda done, total, message: bar.update(task, completed=done, total=total, description=message)


def _report_lines() -> Report:
    started = said = time.monotonic()

    def report(done: float, total: float, message: str) -> None:
        nonlocal said
        now = time.monotonic()
        if now - said >= SECONDS_BETWEEN_LINES and 0 < done <= total:
            said = now
            left = (now - started) * (total - done) / done
            print(f"{message}: {done / total:.0%}, about {left / 60:.1f} min left", file=sys.stderr, flush=True)

    return report
