"""One trainer for every model: random windows, early stopping on validation CRPS, checkpoints that resume.

Large cities are trained on blocks of neighbouring stations, so that memory does not grow with the city.
"""

import copy
import hashlib
import json
import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from lecdiff_core.bounded import parse_json
from lecdiff_core.city.graph import Graph, distance_graph
from lecdiff_core.city.panel import Panel
from lecdiff_core.city.splits import Split, origins_within, protocol_split, steps_apart
from lecdiff_core.city.windows import Batch, Windows
from lecdiff_core.errors import UserError
from lecdiff_core.evaluation.metrics import crps
from lecdiff_core.models.protocol import NETWORK, PRIOR, ForecastModel, RowNoise
from lecdiff_core.progress import Report, silent
from lecdiff_core.storage import replacing

ORIGINS_A_DAY = 4
DATES = ("fit_from", "fit_to", "calibration_from", "calibration_to", "surges_from")  # in a model's metrics
DEPENDENCE_WINDOWS = 100  # at most, of the training part


@dataclass(frozen=True)
class Recipe:
    """How a model is trained."""

    learning_rate: float = 5e-4
    slow_start: int = 20  # steps over which the learning rate rises
    weight_decay: float = 0.05
    denoiser_learning_rate: float = 1e-3
    prior_learning_rate: float = 1e-2  # of the few parameters of a prior, which carry no decay
    averaging: float = 0.95  # decay of the moving average of the weights, which is what is kept
    rows: int = 256  # windows times stations in a batch
    epochs: int = 20
    steps: int = 20  # least steps in an epoch
    windows_a_station: int = 8  # every station is seen in about as many windows an epoch
    patience: int = 5  # epochs without a better validation CRPS before it stops
    least_history_days: int = 3
    validation_samples: int = 50
    validation_stations: int = 512

    def of_group(self, group: str) -> dict[str, float]:
        """Learning rate and decay of a group of parameters (`ForecastModel.parameter_groups`)."""
        rates = {"denoiser": self.denoiser_learning_rate, PRIOR: self.prior_learning_rate}
        decay = 0.0 if group == PRIOR else self.weight_decay
        return {"full_rate": rates.get(group, self.learning_rate), "weight_decay": decay}


RECIPES = {
    "default": Recipe(patience=6),
    "paper": Recipe(
        learning_rate=1e-3, weight_decay=0.0, averaging=0.99, rows=64, validation_samples=8, validation_stations=32
    ),
    "network": Recipe(learning_rate=3e-3, epochs=24, validation_samples=2),
    "network+prior": Recipe(learning_rate=3e-4, validation_samples=2),
    "likelihood": Recipe(learning_rate=2e-3, epochs=12, patience=4, validation_samples=10, validation_stations=150),
    "step by step": Recipe(
        prior_learning_rate=2e-3, rows=128, epochs=12, patience=3, validation_samples=4, validation_stations=32
    ),
}


@dataclass(frozen=True)
class Parts:
    """What a saved model has learned from, as steps of a panel.

    fit, calibration: what it was fitted on, and what stopped and calibrated it.  since: the first step that surges are looked
    for from, which the model was not fitted on.
    """

    fit: range
    calibration: range
    since: int


def dates_of(split: Split, panel: Panel) -> dict[str, str]:
    """When a training's parts begin and end, ISO 8601, ends exclusive; `surges_from`: where surges are looked for from.

    That is the test part where the split has one, else what calibrates, as the model was not fitted on it.
    """
    since = split.test.start if len(split.test) else split.validation.start
    steps = {
        "fit_from": split.train.start,
        "fit_to": split.train.stop,
        "calibration_from": split.validation.start,
        "calibration_to": split.validation.stop,
        "surges_from": since,
    }
    return {name: panel.time(step).isoformat() for name, step in steps.items()}


def parts_of(metrics: dict[str, Any], panel: Panel) -> Parts:
    """The parts of a saved model's training, from the dates in its metrics; without dates it was trained by the protocol.

    Raises UserError where the dates are no dates, or lie outside of the city's traffic.
    """
    if "surges_from" not in metrics:
        split = protocol_split(panel.steps)
        return Parts(split.train, split.validation, split.test.start)
    try:
        steps = {name: panel.step_at(pd.Timestamp(metrics[name])) for name in DATES}
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"the dates of the model's training cannot be read ({error}); train the model again") from error
    fit_from, fit_to, calibration_from, calibration_to, since = steps.values()
    if not calibration_from < calibration_to or since >= panel.steps:
        raise UserError(
            f"the model was calibrated from {metrics['calibration_from']} to {metrics['calibration_to']}, and the city has no "
            "such days; train the model again"
        )
    return Parts(range(fit_from, fit_to), range(calibration_from, calibration_to), since)


class Blocks:
    """The panel cut into batches: whole where it is small, else blocks of neighbouring stations.

    Where no place is known, those next to one another in the panel.
    """

    def __init__(self, panel: Panel, model: ForecastModel, rows: int, station: np.ndarray) -> None:
        self.panel, self.model, self.rows, self.station = panel, model, rows, station
        self.graph: Graph = distance_graph(panel.positions)
        count = len(panel.station_ids)
        self.size = min(count, rows)
        self.windows_a_batch = max(1, rows // self.size)
        self._whole = self._windows(np.arange(count)) if count <= rows else None

    def _windows(self, stations: np.ndarray) -> Windows:
        graph = self.graph.subgraph(stations)
        return Windows(
            self.panel.select(stations),
            graph,
            self.model.context,
            self.model.horizon,
            self.station[stations],
        )

    def around(self, seed: int) -> Windows:
        """Windows over the block of stations nearest to station number `seed`."""
        if self._whole is not None:
            return self._whole
        distance = ((self.panel.positions - self.panel.positions[seed]) ** 2).sum(1)
        if np.isnan(distance).any():
            distance = (np.arange(len(distance)) - seed) % len(distance)
        return self._windows(np.sort(np.argpartition(distance, self.size - 1)[: self.size]))


class Trainer:
    """Trains one model on one panel and split; see `train`."""

    def __init__(
        self,
        model: ForecastModel,
        panel: Panel,
        split: Split,
        recipe: Recipe,
        seed: int,
        device: torch.device,
        checkpoint: Path | None,
        report: Report,
    ) -> None:
        self.model, self.panel, self.split, self.recipe = model.to(device), panel, split, recipe
        self.device, self.report = device, report
        self.station = np.arange(1, len(panel.station_ids) + 1)
        self.blocks = Blocks(panel, model, recipe.rows, self.station)
        first = min(recipe.least_history_days * panel.steps_per_day, split.train.stop // 2)
        self.origins = origins_within(range(first, split.train.stop), model.horizon, 1)
        self.validation = origins_within(
            split.validation, model.horizon, steps_apart(panel.steps_per_day, ORIGINS_A_DAY)
        )
        if len(self.origins) == 0 or len(self.validation) == 0:
            days = panel.steps / panel.steps_per_day
            raise UserError(
                f"{days:.1f} days of traffic are too few to train on: neither the part that is learned from nor the validation "
                "part may be without a whole day to forecast"
            )
        self.rng = np.random.default_rng(seed)
        self.seed = seed
        self.model.eval().fit_dependence(self._dependence_batches())
        self.average = copy.deepcopy(self.model).eval()
        self.best: dict[str, Tensor] = {}
        self.log: dict[str, Any] = {"validation_crps": [], "loss": [], "seconds": 0.0}
        self.checkpoint = checkpoint

    def _dependence_batches(self) -> Iterator[Batch]:
        """Windows of the training part, spread over time and city, from which it is read how stations and steps hang together."""
        every = max(steps_apart(self.panel.steps_per_day, ORIGINS_A_DAY), len(self.origins) // DEPENDENCE_WINDOWS)
        for seed in self._spread_stations():
            windows = self.blocks.around(seed)
            yield from (batch.to(self.device) for batch in windows.batches(self.origins[::every], 1))

    # ---- the loop

    def run(self) -> dict[str, Any]:
        """Train until validation CRPS stops falling; leaves the best weights in the model, calibrated. Returns the log."""
        if self.model.trainable:
            with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
                torch.manual_seed(self.seed)
                self.optimizer = self._optimizer()
                self._resume()
                if not self.best and self.model.in_group(PRIOR):
                    self._consider_start()
                while not self._finished():
                    self._epoch()
            self.model.load_state_dict(self.best)
        self.model.eval()
        self.model.calibrate(self._validation_batches())
        return self.log | {"epochs": len(self.log["loss"]), "best_epoch": self._best_epoch()}

    def _consider_start(self) -> None:
        """A model that starts as a forecast of its own, its prior, is kept as it is where training does not better it."""
        self.log["start_crps"] = self._validate()
        self.best = {name: tensor.clone() for name, tensor in self.average.state_dict().items()}

    def _best_epoch(self) -> int:
        """Number of the best epoch so far, 0 = the start."""
        scores = [self.log.get("start_crps", math.inf), *self.log["validation_crps"]]
        return int(np.argmin(scores))

    def _finished(self) -> bool:
        done = len(self.log["loss"])
        return done >= self.recipe.epochs or (done > 0 and done - self._best_epoch() >= self.recipe.patience)

    @property
    def _steps(self) -> int:
        windows = self.blocks.size * self.blocks.windows_a_batch
        return max(self.recipe.steps, math.ceil(self.recipe.windows_a_station * len(self.station) / windows))

    def _epoch(self) -> None:
        started = time.perf_counter()
        epoch, steps = len(self.log["loss"]), self._steps
        total = steps * self.recipe.epochs
        self.model.train()
        losses = []
        for step in range(epoch * steps, (epoch + 1) * steps):
            losses.append(self._step(step, total))
            self.report(step + 1, total, self._status())
        self.log["loss"].append(float(np.mean(losses)))
        self.log["validation_crps"].append(self._validate())
        if self._best_epoch() == epoch + 1:
            self.best = {name: tensor.clone() for name, tensor in self.average.state_dict().items()}
        self.log["seconds"] += time.perf_counter() - started
        self._save()

    def _status(self) -> str:
        scores = self.log["validation_crps"]
        status = f"epoch {len(scores) + 1} of at most {self.recipe.epochs}"
        return f"{status}, best validation CRPS {min(scores):.4f}" if scores else status

    def _step(self, step: int, total: int) -> float:
        seed_station = int(self.rng.integers(len(self.station)))
        windows = self.blocks.around(seed_station)
        origins = self.rng.choice(self.origins, self.blocks.windows_a_batch)
        batch = windows.batch(origins).to(self.device)
        rise = min(1.0, (step + 1) / self.recipe.slow_start)
        factor = rise * (1 + math.cos(math.pi * step / total)) / 2
        for group in self.optimizer.param_groups:
            group["lr"] = group["full_rate"] * factor
        loss = self.model.loss(batch)
        if not torch.isfinite(loss):
            raise FloatingPointError(f"training loss became {loss.item()} at step {step + 1}")
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        with torch.no_grad():
            for averaged, current in zip(self.average.parameters(), self.model.parameters(), strict=True):
                averaged.lerp_(current, 1 - self.recipe.averaging)
        return loss.item()

    def _optimizer(self) -> torch.optim.Optimizer:
        groups = []
        for name in (NETWORK, *self.model.parameter_groups):
            parameters = [part for part in self.model.in_group(name).values() if part.requires_grad]
            if parameters:
                groups.append({"params": parameters} | self.recipe.of_group(name))
        return torch.optim.AdamW(groups, lr=self.recipe.learning_rate)

    # ---- validation

    def _validation_batches(self) -> list[Batch]:
        """Windows of the validation part; in a large city, over blocks spread across it."""
        batches = []
        for seed in self._spread_stations():
            windows = self.blocks.around(seed)
            batches += [
                batch.to(self.device) for batch in windows.batches(self.validation, self.blocks.windows_a_batch)
            ]
        return batches

    def _spread_stations(self) -> list[int]:
        """Stations whose blocks are looked at together, in a large city spread across it."""
        count, size = len(self.station), self.blocks.size
        if count > self.recipe.validation_stations:
            blocks = max(1, self.recipe.validation_stations // size)
            return np.linspace(0, count - 1, blocks).astype(int).tolist()
        return list(range(0, count, size)) if size < count else [0]

    def _validate(self) -> float:
        """CRPS over total traffic on the validation part, of the averaged weights."""
        score = total = 0.0
        for batch in self._validation_batches():
            assert batch.future is not None
            noise = RowNoise(range(batch.past.shape[0] * batch.past.shape[1]), self.device)
            samples = self.average.sample(batch, self.recipe.validation_samples, noise).transpose(0, 1)
            observed = batch.future.cpu().numpy()
            known = np.isfinite(observed)
            score += float(crps(observed, samples.cpu().numpy())[known].sum())
            total += float(np.abs(observed[known]).sum())
        return score / max(total, 1e-12)

    # ---- checkpoints

    @property
    def _key(self) -> str:
        """Hash of all that decides the course of training: a checkpoint of another course is not resumed."""
        parts = [self.model.settings(), asdict(self.recipe), self.seed, self.model.recipe, str(self.split)]
        digest = hashlib.sha256(json.dumps(parts, sort_keys=True).encode())
        digest.update(self.panel.values.tobytes())
        if self.panel.environment is not None:
            digest.update(self.panel.environment.tobytes())
        return digest.hexdigest()

    def _save(self) -> None:
        if self.checkpoint is None:
            return
        tensors = {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
        tensors |= {f"average.{name}": tensor for name, tensor in self.average.state_dict().items()}
        tensors |= {f"best.{name}": tensor for name, tensor in self.best.items()}
        for index, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{name}": tensor for name, tensor in state.items()}
        tensors["random"] = torch.get_rng_state()
        state = {"key": self._key, "log": self.log, "rng": self.rng.bit_generator.state}
        owned = {name: tensor.detach().cpu().clone() for name, tensor in tensors.items()}
        with replacing(self.checkpoint) as unfinished:
            unfinished.write_bytes(save_tensors(owned, {"state": json.dumps(state)}))

    def _resume(self) -> None:
        if self.checkpoint is None or not self.checkpoint.is_file():
            return
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(self.checkpoint, framework="pt") as file:
                state = parse_json(file.metadata()["state"])
            tensors = load_tensors(self.checkpoint.read_bytes())
        except (OSError, SafetensorError, KeyError, TypeError, ValueError):
            return  # a damaged checkpoint is as good as none: training starts again
        if state["key"] != self._key:
            return

        def part(prefix: str) -> dict[str, Tensor]:
            return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}

        self.model.load_state_dict(part("model."))
        self.average.load_state_dict(part("average."))
        self.best = {name: tensor.to(self.device) for name, tensor in part("best.").items()}
        saved: dict[int, dict[str, Tensor]] = {}
        for name, tensor in part("optimizer.").items():
            index, entry = name.split(".")
            saved.setdefault(int(index), {})[entry] = tensor
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": saved, "param_groups": groups})
        torch.set_rng_state(tensors["random"])
        self.rng.bit_generator.state = state["rng"]
        self.log = state["log"]


def train(
    model: ForecastModel,
    panel: Panel,
    split: Split,
    recipe: Recipe | None = None,
    seed: int = 0,
    device: torch.device | str = "cpu",
    checkpoint: Path | None = None,
    report: Report = silent,
) -> dict[str, Any]:
    """Fit a model in place on `split.train`, stop and calibrate it on `split.validation`; nothing later is read.

    checkpoint: a file written after every epoch, from which the same training goes on when it is run again.
    Returns the log: loss and validation CRPS of each epoch, seconds.
    """
    known = torch.tensor(panel.values[:, : split.train.stop])
    model.fit_statistics(known, panel.calendar.slot[: split.train.stop])
    trainer = Trainer(model, panel, split, recipe or RECIPES["default"], seed, torch.device(device), checkpoint, report)
    return trainer.run()
