"""Where everything lies in a city folder: each name written here, and nowhere else.

What the files hold is described in docs/city-folder.md. Paths are relative to the city's folder, those of a model or an encoder to
its own.
"""

from pathlib import Path

META_FILE = "city.toml"
STATIONS_FILE = "stations.parquet"
TRAFFIC_FILE = "traffic.parquet"

IMAGERY_FOLDER = "imagery"
CHIPS_FOLDER = f"{IMAGERY_FOLDER}/chips"
CHIP_RECORDS_FILE = f"{IMAGERY_FOLDER}/chips.jsonl"
CHIP_SUFFIXES = (".jpg", ".png", ".webp")
TILES_FOLDER = f"{IMAGERY_FOLDER}/tiles"
TILE_CACHE_FOLDER = f"{IMAGERY_FOLDER}/cache"

DESCRIPTIONS_FILE = "descriptions.jsonl"
ENCODER_FOLDER = "encoder"
EMBEDDED_FILE = "embedded.safetensors"  # in the encoder's folder
ENVIRONMENT_FILE = "environment.safetensors"
SURROUNDINGS_FILE = "surroundings.parquet"  # a table of what stands around the stations, as it was given

MODELS_FOLDER = "models"
CONFIG_FILE, WEIGHTS_FILE, METRICS_FILE = "config.json", "model.safetensors", "metrics.json"  # of a model or an encoder
UNFINISHED_FILE = "unfinished.safetensors"  # of a training that goes on

FORECASTS_FOLDER = "forecasts"
SURGES_FILE, SURGE_SCORES_FILE = "surges.parquet", "surge_scores.parquet"
UNFINISHED_SURGES_FILE = ".surges-unfinished.safetensors"
BENCHMARKS_FOLDER = "benchmarks"
PARTS = ("validation", "test")  # of a city's time that models are measured on

JOBS_FOLDER = "jobs"
TRUTH_FOLDER = "truth"
TRUE_EVENTS_FILE, LAND_USE_FILE = f"{TRUTH_FOLDER}/events.json", f"{TRUTH_FOLDER}/land_use.parquet"


def forecast_file(city: Path, model: str) -> Path:
    """Where the next 24 hours lie, forecast by a model."""
    return city / FORECASTS_FOLDER / f"{model}.parquet"


def benchmark_file(city: Path, part: str) -> Path:
    """Where the measurements of a part of the city's data lie."""
    return city / BENCHMARKS_FOLDER / f"{part}.json"
