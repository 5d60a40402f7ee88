"""DeepAR and PatchTST as GluonTS has them, with the project's covariates, lags and early stopping.

Both are trained on random windows of the training part, stop early on the loss of the validation windows, and are tried in two
settings, of which the one with the lower CRPS on the validation part is kept. GluonTS masks missing values itself, and takes a GPU
where there is one.
"""

import logging
import tempfile
import warnings
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch
from gluonts.torch import DeepAREstimator, PatchTSTEstimator
from gluonts.torch.model.estimator import PyTorchLightningEstimator
from gluonts.torch.model.predictor import PyTorchPredictor
from gluonts.transform import ExpectedNumInstanceSampler
from lightning.pytorch.callbacks import EarlyStopping

from benchmarks.peers.exchange import Known, validation_ncrps

BUDGET_SECONDS = 120  # of training, each trial
EPOCHS, STEPS, PATIENCE = 60, 50, 8
BATCH = 64
LEAST_HISTORY_DAYS = 3


class Neural:
    """What the two share. A subclass says how its estimator is made and what is tried."""

    libraries = ("gluonts", "torch")
    trials: ClassVar[tuple[dict[str, Any], ...]]
    predictor: PyTorchPredictor

    def estimator(self, known: Known, settings: dict[str, Any], common: dict[str, Any]) -> PyTorchLightningEstimator:
        """The untrained model."""
        raise NotImplementedError

    def fit(self, known: Known, train_stop: int, seed: int) -> dict[str, Any]:
        """Train in every setting and keep the one that is better on the validation part."""
        logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
        warnings.filterwarnings("ignore")
        torch.set_num_threads(1)
        trials, predictors = [], []
        for settings in self.trials:
            torch.manual_seed(seed)
            self.predictor, epochs = self._trained(known, train_stop, settings)
            score = validation_ncrps(self, known, train_stop)
            trials.append(settings | {"epochs": epochs, "ncrps": round(score, 5)})
            predictors.append(self.predictor)
        best = int(np.argmin([trial["ncrps"] for trial in trials]))
        self.predictor = predictors[best]
        return {
            "parameters": sum(weights.numel() for weights in self.predictor.prediction_net.parameters()),
            "settings": self.trials[best],
            "trials": trials,
            "budget_seconds": BUDGET_SECONDS * len(trials),
        } | ({"device": torch.cuda.get_device_name()} if torch.cuda.is_available() else {})

    def sample(self, known: Known, samples: int, seed: int) -> np.ndarray:
        """The library's own samples."""
        torch.manual_seed(hash((seed, known.steps)))
        forecasts = self.predictor.predict(_series(known, known.steps + known.horizon), num_samples=samples)
        return np.stack([_samples(forecast, samples) for forecast in forecasts], axis=1)

    def _trained(self, known: Known, train_stop: int, settings: dict[str, Any]) -> tuple[PyTorchPredictor, int]:
        windows = ExpectedNumInstanceSampler(
            num_instances=1.0,
            min_past=min(LEAST_HISTORY_DAYS * known.steps_per_day, train_stop // 2),
            min_future=known.horizon,
        )
        with tempfile.TemporaryDirectory() as folder:
            trainer = {
                "max_epochs": EPOCHS,
                "max_time": {"seconds": BUDGET_SECONDS},
                "callbacks": [EarlyStopping("val_loss", patience=PATIENCE)],
                "accelerator": "auto",
                "devices": 1,
                "logger": False,
                "enable_progress_bar": False,
                "enable_model_summary": False,
                "default_root_dir": folder,
            }
            common = {
                "prediction_length": known.horizon,
                "num_feat_dynamic_real": known.calendar().shape[1],
                "batch_size": BATCH,
                "num_batches_per_epoch": STEPS,
                "train_sampler": windows,
                "trainer_kwargs": trainer,
            }
            train = _series(known.before(train_stop), train_stop)
            validation = [
                series
                for origin in known.origins(train_stop)
                for series in _series(known.before(origin + known.horizon), origin + known.horizon)
            ]
            output = self.estimator(known, settings, common).train_model(train, validation, cache_data=True)
        return output.predictor, output.trainer.current_epoch


class DeepAR(Neural):
    """Autoregressive LSTM with Student-t output, with a station table and lags of the last hours and the last seven days."""

    trials = (
        {"hidden_size": 40, "context_days": 1, "dropout_rate": 0.1},
        {"hidden_size": 64, "context_days": 2, "dropout_rate": 0.2},
    )

    def estimator(self, known: Known, settings: dict[str, Any], common: dict[str, Any]) -> PyTorchLightningEstimator:
        """DeepAR; the calendar comes as covariates instead of the library's own features of the date."""
        day = known.steps_per_day
        around = [days * day + shift for days in range(1, 8) for shift in (-1, 0, 1)]
        return DeepAREstimator(
            freq=_frequency(known),
            context_length=settings["context_days"] * day,
            hidden_size=settings["hidden_size"],
            dropout_rate=settings["dropout_rate"],
            patience=PATIENCE // 2,
            num_feat_static_cat=1,
            cardinality=[len(known.values)],
            lags_seq=[1, 2, 3, 4, 5, 6, *around],
            time_features=[],
            num_parallel_samples=100,
            nonnegative_pred_samples=True,
            **common,
        )


class PatchTST(Neural):
    """Transformer over patches of the last week, with Student-t output."""

    trials = (
        {"d_model": 32, "num_encoder_layers": 2, "dropout": 0.1, "context_days": 7},
        {"d_model": 64, "num_encoder_layers": 3, "dropout": 0.2, "context_days": 7},
    )

    def estimator(self, known: Known, settings: dict[str, Any], common: dict[str, Any]) -> PyTorchLightningEstimator:
        """PatchTST with patches of eight hours, half overlapping."""
        patch = known.steps_per_day // 3
        return PatchTSTEstimator(
            patch_len=patch,
            stride=patch // 2,
            context_length=settings["context_days"] * known.steps_per_day,
            d_model=settings["d_model"],
            dim_feedforward=4 * settings["d_model"],
            num_encoder_layers=settings["num_encoder_layers"],
            dropout=settings["dropout"],
            **common,
        )


def _series(known: Known, calendar_steps: int) -> list[dict[str, Any]]:
    """GluonTS's form of a panel: one dictionary a station, with the calendar of `calendar_steps` steps."""
    start = pd.Period(known.start, freq=_frequency(known))
    calendar = known.calendar()[:calendar_steps].T
    return [
        {"start": start, "target": values, "feat_dynamic_real": calendar, "feat_static_cat": [station]}
        for station, values in enumerate(known.values)
    ]


def _frequency(known: Known) -> str:
    return f"{24 * 60 // known.steps_per_day}min"


def _samples(forecast: Any, samples: int) -> np.ndarray:
    """(S, H) of a forecast by samples or by a distribution."""
    return forecast.samples if hasattr(forecast, "samples") else forecast.to_sample_forecast(samples).samples
