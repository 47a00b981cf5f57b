"""Made-up studies, of which tests write pages."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from pages import NASTY

from lts import SearchSpace, decoder_params, flops_prefill
from lts._core import parse_constraint
from lts.measure.trial import Trial
from lts.spaces.space import load_space
from lts.study.store import Store

DEFAULT = ("decoder_params:max", "latency_ms:min", "peak_memory_mib:min")
HOSTILE = (
    NASTY,
    "<img src=x onerror=alert(1)>",
    "w" * 3000,
    "a_" * 400,
    "\u05e9\u05dc\u05d5\u05dd \u202etxt.exe",  # from right to left, and an override of the direction
    "NUL\x00 escape\x1b[2J bell\x07 return\r",
    "zero\u200bwidth line\u2028separator \U0001d518\U0001d52b \U0001f469\u200d\U0001f467",
    "{{7*7}} ${7*7} %s `x` javascript:alert(1)",
)


def trial_of(space: SearchSpace, key: int) -> Trial:
    """A complete trial with plausible values."""
    architecture = space.sample(1, seed=key, method="choices")[0]
    latency = 0.3 + flops_prefill(architecture, n_prompt=128) * (1 + 0.1 * ((key * 7) % 5)) / 4e7
    estimate = 1 + 4e-6 * decoder_params(architecture)
    return Trial(
        id=key,
        state="complete",
        architecture=architecture,
        values={
            "decoder_params": float(decoder_params(architecture)),
            "latency_ms": latency,
            "peak_memory_mib": 1.2 * estimate + 3 + (key * 5) % 4,
            "peak_memory_estimate_mib": estimate,
            "flops_prefill": float(flops_prefill(architecture, n_prompt=128)),
        },
        provenance={
            "decoder_params": "exact",
            "latency_ms": "measured",
            "peak_memory_mib": "measured",
            "peak_memory_estimate_mib": "estimated",
            "flops_prefill": "estimated",
        },
        interval={"latency_ms": (0.99 * latency, 1.02 * latency)},
        feasible=True,
        seconds={"export": 0.05, "build": 0.2 + 0.01 * key, "run": 1.0},
        target="host",
        device="local",
        backend="onnxruntime",
        environment="c0ffee12",
        time=f"2026-11-20T19:{key // 60:02d}:{key % 60:02d}Z",
        lts_version="0.1.0",
    )


def failed(trial: Trial, reason: str) -> Trial:
    return replace(trial, state="failed", values={}, provenance={}, interval={}, feasible=None, error=reason)


def bounded(trial: Trial, *constraints: str) -> Trial:
    """The trial with its feasibility."""
    parsed = [parse_constraint(text) for text in constraints]
    return replace(trial, feasible=all(c.holds(trial.values[c.name]) for c in parsed))


def store_of(
    path: Path,
    trials: list[Trial],
    *,
    space: SearchSpace,
    objectives: tuple[str, ...] = DEFAULT,
    constraints: tuple[str, ...] = (),
    environments: dict[str, Any] | None = None,
    **about: Any,
) -> Path:
    configuration = {
        "space": json.loads(space.to_json()),
        "objectives": list(objectives),
        "constraints": list(constraints),
        "algorithm": "lts",
        "algorithm_options": {},
        "seed": 7,
        "target": "host",
        "threads": 4,
        "precision": "float32",
        "device": "local",
        "backend": "onnxruntime",
        "n_prompt": 128,
        **about,
    }
    with Store(path, writable=True, create=True) as store:
        store.write(trials=tuple(trials), meta={"study": configuration})
        if environments is None:
            environments = {"c0ffee12": {"cpu": {"name": "Cortex-A72", "cores": 4}, "load": [0.1, 0.2], "turbo": None}}
        for key, description in environments.items():
            store.add_environment(key, description)
    return path


def hostile_store(path: Path) -> Path:
    """A study all of whose names, notes, errors and descriptions are hostile."""
    options = load_space("gpt2-tiny").options
    options["name"] = " ".join(HOSTILE)
    space = SearchSpace(**options)
    trials = []
    for key in range(40):
        text = HOSTILE[key % len(HOSTILE)]
        trial = trial_of(space, key)
        trials.append(
            replace(
                trial,
                values={**trial.values, NASTY: 2.0 + key, "w" * 300: 1.0},
                provenance={**trial.provenance, NASTY: "measured"},
                warnings=[text],
                seconds={text: 1.0 + key},
                environment=text[:60],
                lts_version=text,
            )
        )
    trials[3:11] = [failed(trial, text) for trial, text in zip(trials[3:11], HOSTILE, strict=True)]
    return store_of(
        path,
        trials,
        space=space,
        environments={text[:60]: {text: [text, text]} for text in HOSTILE},
        target=HOSTILE[2],
        device=HOSTILE[0] + HOSTILE[2],
        backend=" ".join(HOSTILE),
        algorithm=HOSTILE[5],
        algorithm_options=dict.fromkeys(HOSTILE, HOSTILE[3]),
        custom={text: {text: text} for text in HOSTILE},
    )
