"""What a search says before it begins."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lts.cli.log import say

if TYPE_CHECKING:
    from lts.compress.text import Windows
    from lts.measure.evaluator import TargetEvaluator
    from lts.study.plan import Split
    from lts.study.study import Study

_COUNTED_COSTS = ("flops_prefill", "flops_decode", "weight_mib", "kv_cache_mib", "peak_memory_estimate_mib")


def announce(study: Study, evaluator: TargetEvaluator, path: Path, split: Split) -> None:
    """What is searched, where and how, in which time, what is resumed, and doubts about the machine."""
    from lts.measure.evaluator import ENERGY_COLUMNS
    from lts.system.environment import METER, fitness_warnings
    from lts.system.text import magnitude

    target = evaluator.target
    say(
        f"searching {study.space.name} ({magnitude(study.space.size)} architectures) for {target.name} on "
        f"{evaluator.device_name} with {evaluator.backend_name}: {evaluator.workload}"
    )
    say(f"time: {split}")
    known = target.calibration
    if known is not None and known.workload != evaluator.workload:
        say(f"note: the calibration of {target.name} is not used: it is for {known.workload}")
    for objective in study.objectives:
        if objective.direction == "max" and objective.name in (*evaluator.costs, *_COUNTED_COSTS):
            say(f"note: {objective} looks for what costs most; less of it is {objective.name}:min")
    if set(study.columns) & set(ENERGY_COLUMNS) and evaluator.device is not None:
        say(
            f"energy: that of {evaluator.environment().get(METER, 'the device')} as a whole, with idle power and what "
            "other programs take"
        )
    if study.resumed:
        say(f"resuming {path}: {study.n_finished} trials are there")
        if study.environment_changed:
            say("warning: earlier trials come from another machine or software; costs may not compare")
    if evaluator.provenance == "estimated":
        say(
            f"no device: costs are estimated from the profile of {target.name}; to measure: "
            "--device ssh://HOST (docs/devices.md)"
        )
    for warning in fitness_warnings() if evaluator.device_name == "local" else ():
        say(f"warning: {warning}")


def say_text(windows: Windows) -> None:
    """What sub-networks are chosen and judged on."""
    from lts.system.text import grouped

    parts = [
        f"{len(windows.calibration)} windows of {grouped(windows.length)} tokens decide what stays",
        f"perplexity is measured on {len(windows.held_out)} others",
    ]
    if windows.second is not None:
        parts.append(f"and on {len(windows.second)} of the second text")
    say(f"text: {', '.join(parts)}")
    for note in windows.notes:
        say(f"note: {note}")
