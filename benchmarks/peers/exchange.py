"""What a peer is given of a city and what it gives back, as plain files: numpy alone, so that both environments read it.

    FOLDER/CITY/about.json         grid, split, origins, data hash
    FOLDER/CITY/panel.npz          values (N, T) float32, NaN = missing; slot, weekday, day_type (T,) int64
    FOLDER/CITY/MODEL-SEED.npz     validation, test (O, S, N, H) float32: samples at each origin of the part
    FOLDER/CITY/MODEL-SEED.json    what the fit chose and what it cost

Letters: N stations, T steps, P steps a day, H horizon steps, S samples, O origins, F calendar features.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

ORIGINS_A_DAY = 4
DAY_TYPES = 3


@dataclass(frozen=True)
class Known:
    """All that is known at a moment: traffic (N, t) before it, and the calendar of the t steps and of the H that follow.

    slot: slot of the day, 0 … P-1.  weekday: 0 = Monday … 6.  day_type: 0 weekday, 1 Saturday, 2 Sunday or holiday.
    start: naive local time of the first step, ISO 8601.
    """

    values: np.ndarray
    slot: np.ndarray
    weekday: np.ndarray
    day_type: np.ndarray
    steps_per_day: int
    start: str

    @property
    def steps(self) -> int:
        """t, the number of steps of traffic."""
        return self.values.shape[1]

    @property
    def horizon(self) -> int:
        """H: a forecast is of 24 hours."""
        return self.steps_per_day

    def before(self, origin: int) -> "Known":
        """What was known before step `origin`: a copy, through which nothing later can be reached."""
        if not 0 < origin <= self.steps:
            raise ValueError(f"an origin must lie between step 1 and step {self.steps}, not at {origin}")
        calendar = {
            name: getattr(self, name)[: origin + self.horizon].copy() for name in ("slot", "weekday", "day_type")
        }
        return replace(self, values=self.values[:, :origin].copy(), **calendar)

    def stations(self, index: np.ndarray) -> "Known":
        """The same of some stations."""
        return replace(self, values=self.values[index])

    def origins(self, start: int) -> np.ndarray:
        """Origins of whole windows from step `start` on, one every 6 hours, as the protocol has them."""
        return np.arange(start, self.steps - self.horizon + 1, self.steps_per_day // ORIGINS_A_DAY)

    def calendar(self, harmonics: int = 2) -> np.ndarray:
        """(T, F) float32 covariates: harmonics of the hour and of the week, Saturday, Sunday or holiday."""
        hour = 2 * np.pi * self.slot / self.steps_per_day
        week = 2 * np.pi * (self.weekday * self.steps_per_day + self.slot) / (7 * self.steps_per_day)
        waves = [wave(k * hour) for k in range(1, harmonics + 1) for wave in (np.sin, np.cos)]
        waves += [np.sin(week), np.cos(week)]
        types = [self.day_type == kind for kind in range(1, DAY_TYPES)]
        return np.stack([*waves, *types], axis=1).astype(np.float32)


class Peer(Protocol):
    """A model from a library."""

    libraries: tuple[str, ...]

    def fit(self, known: Known, train_stop: int, seed: int) -> dict[str, Any]:
        """Fit on the steps before `train_stop`; what `known` holds after them is the validation part.

        Returns {"parameters": count, "settings": those chosen on the validation part, "trials": all that were tried}.
        """

    def sample(self, known: Known, samples: int, seed: int) -> np.ndarray:
        """(S, N, H) samples of the steps that follow what is known."""


def validation_ncrps(peer: Peer, known: Known, train_stop: int, samples: int = 50) -> float:
    """CRPS over total traffic on the validation part: what tuning trials are compared by."""
    from scoringrules import crps_ensemble

    score = total = 0.0
    for origin in known.origins(train_stop):
        observed = known.values[:, origin : origin + known.horizon]
        drawn = np.maximum(peer.sample(known.before(origin), samples, seed=0), 0.0)
        seen = np.isfinite(observed)
        filled = np.where(seen, observed, 0.0)
        score += float(crps_ensemble(filled, drawn, m_axis=0, estimator="pwm", backend="numpy")[seen].sum())
        total += float(filled.sum())
    return score / max(total, 1e-12)


def write_city(folder: Path, known: Known, about: dict[str, Any]) -> None:
    """Write a city for the peers."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {name: getattr(known, name) for name in ("values", "slot", "weekday", "day_type")}
    np.savez(folder / "panel.npz", **arrays)
    grid = {"steps_per_day": known.steps_per_day, "start": known.start}
    (folder / "about.json").write_text(json.dumps(about | grid, indent=1, ensure_ascii=False) + "\n", "utf-8")


def read_city(folder: Path) -> tuple[Known, dict[str, Any]]:
    """A city that `write_city` wrote."""
    about = json.loads((folder / "about.json").read_text("utf-8"))
    with np.load(folder / "panel.npz") as arrays:
        return Known(**arrays, steps_per_day=about["steps_per_day"], start=about["start"]), about


def write_samples(folder: Path, name: str, samples: dict[str, np.ndarray], log: dict[str, Any]) -> None:
    """Write samples and their log, the log last: where it lies, the samples are whole."""
    unfinished = folder / f"{name}.unfinished.npz"
    np.savez(unfinished, **samples)
    unfinished.replace(folder / f"{name}.npz")
    (folder / f"{name}.json").write_text(json.dumps(log, indent=1) + "\n", "utf-8")


def read_samples(folder: Path, name: str) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Samples and log that `write_samples` wrote."""
    with np.load(folder / f"{name}.npz") as arrays:
        return dict(arrays), json.loads((folder / f"{name}.json").read_text("utf-8"))
