"""Measure a design of architectures on a device, and say what its costs are made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lts import _core
from lts._core import Architecture, SearchSpace, Surrogate, cost_term_names, cost_terms
from lts.devices.device import ENERGY
from lts.errors import MeasurementError, UsageError
from lts.measure.request import REQUEST_ENERGY, SPEED
from lts.measure.trial import Trial
from lts.study.cost_model import Additive, outlier_notes
from lts.study.loop import Progress
from lts.study.spread import noise_of
from lts.study.study import Study
from lts.system.progress import Observer, unobserved
from lts.targets.calibration import CalibratedCost, Calibration
from lts.targets.workload import Workload

if TYPE_CHECKING:
    from lts.measure.evaluator import Evaluator

_LEAST = 8


@dataclass(frozen=True)
class Calibrated:
    """What `calibrate` gives: the coefficients for a profile, the models, the trials that they come from, and warnings
    for the user."""

    calibration: Calibration
    models: dict[str, Surrogate]
    trials: list[Trial]
    notes: list[str]


def calibrate_target(
    space: SearchSpace,
    evaluator: Evaluator,
    *,
    trials: int = 20,
    timeout: float | None = None,
    seed: int = 0,
    store: Path | None = None,
    progress: Callable[[Progress], None] | None = None,
    observe: Observer = unobserved,
) -> Calibrated:
    """Fit all costs of a device to measurements of a first design, the one that a study would begin with.

    Parameters
    ----------
    space
        Where the architectures come from.
    evaluator
        With the device.
    trials, timeout
        How many architectures, and seconds for all of them.
    seed
        Seed of the design.
    store
        As in `Study`: what is there already is not measured again.
    progress, observe
        As in `Study.run`.

    Raises
    ------
    UsageError
        For an argument that is wrong.
    MeasurementError
        When fewer than eight architectures could be measured.
    """
    # The others are sums over layers; energy takes runs of its own, for which nobody has asked.
    columns = [name for name in evaluator.costs if name not in (SPEED, REQUEST_ENERGY, *ENERGY)]
    with Study(
        space,
        evaluator,
        objectives=[f"{name}:min" for name in columns],
        seed=seed,
        store=store,
        surrogate="additive",
        design=trials,
    ) as study:
        study.run(trials=trials, timeout=timeout, progress=progress, confirm=False, observe=observe)
        measured = [trial for trial in study.trials if trial.state == "complete"]
        about = evaluator.describe()
    if len(measured) < _LEAST:
        raise MeasurementError(
            f"{len(measured)} architectures were measured; a calibration needs {_LEAST}: allow more time or trials"
        )
    models: dict[str, Surrogate] = {}
    notes: list[str] = []
    for name in columns:
        noise = [noise_of(trial, name) for trial in measured]
        architectures = [trial.architecture for trial in measured]
        values = np.array([trial.values[name] for trial in measured])
        models[name] = Surrogate.fit(architectures, values, noise=noise)
        notes += Additive().fit(name, architectures, values, np.array(noise))[1]
        notes += outlier_notes(name, models[name], [trial.id for trial in measured], values)
    calibration = Calibration(
        device=str(about["device"]),
        backend=str(about["backend"]),
        **Workload.of(about).describe(),
        space=space.name,
        environment=measured[-1].environment,
        time=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        lts_version=_core.__version__,
        provenance=measured[-1].provenance[columns[0]],
        costs={
            name: CalibratedCost(model.n_samples, model.error, model.error_max, dict(model.coefficients))
            for name, model in models.items()
        },
    )
    return Calibrated(calibration, models, measured, notes)


def layer_costs(calibration: Calibration, space: SearchSpace) -> list[dict[str, float]]:
    """What every layer that the space allows adds to each cost: a row per d_model, n_head, n_kv_head and d_ff.

    For other tools, whose latency models are tables by layer.

    Raises
    ------
    UsageError
        For a space with several choices of head_dim.
    """
    names = cost_term_names()
    rows = []
    seen = set()
    for architecture in _single_layers(space):
        key = (architecture.d_model, architecture.n_head[0], architecture.n_kv_head[0], architecture.d_ff[0])
        if key in seen:
            continue
        seen.add(key)
        twice = _deeper(architecture)
        # The widest layer is no sum; what a second equal layer adds is all that a layer adds.
        amounts = cost_terms([twice])[0] - cost_terms([architecture])[0]
        rows.append(
            {
                **dict(zip(("d_model", "n_head", "n_kv_head", "d_ff"), key, strict=True)),
                **{
                    name: float(amounts @ np.array([cost.coefficients[term] for term in names]))
                    for name, cost in calibration.costs.items()
                },
            }
        )
    return sorted(rows, key=lambda row: tuple(row.values()))


def _single_layers(space: SearchSpace) -> Sequence[Architecture]:
    """Architectures of one layer with all widths of the space, as far as its rules allow them."""
    options = space.options
    if isinstance(options["head_dim"], list):
        raise UsageError(f"costs by layer need heads of one width, and the space {space.name} has choices of head_dim")
    made = []
    for d_model in options["d_model"]:
        for (n_head, n_kv_head), d_ff in product(space.head_choices, space.d_ff_choices(d_model)):
            try:
                made.append(
                    Architecture(
                        options["family"],
                        vocab_size=options["vocab_size"],
                        n_positions=options["n_positions"],
                        d_model=d_model,
                        head_dim=options["head_dim"],
                        n_head=[n_head],
                        n_kv_head=[n_kv_head],
                        d_ff=[d_ff],
                    )
                )
            except ValueError:  # heads that do not divide the width
                continue
    return made


def _deeper(architecture: Architecture) -> Architecture:
    record = architecture.to_dict()
    return Architecture.from_dict(
        {
            **record,
            "n_layer": 2,
            "n_head": architecture.n_head * 2,
            "n_kv_head": architecture.n_kv_head * 2,
            "d_ff": architecture.d_ff * 2,
        }
    )
