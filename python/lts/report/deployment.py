"""The sections of a report about compiled models and about estimates, for a target that is not this machine."""

from __future__ import annotations

from lts.report.contents import Contents
from lts.report.elements import escaped, simple_table
from lts.system.text import number

_COSTS = ("latency_ms", "decode_ms_per_token", "peak_memory_mib")
_CHECKS = ("output_error", "instructions", "decode_instructions")


def estimates(contents: Contents) -> str:
    """A section on estimated costs, and how to measure instead; empty when none was estimated."""
    estimated = [name for name in _COSTS if contents.provenances(name) == ["estimated"]]
    if not estimated:
        return ""
    target = contents.configuration.get("target")
    published = ""
    if contents.has("latency_published_ms"):
        published = (
            " <b>latency_published_ms</b> is the time in the software of the published measurements that the profile "
            "was fitted to; <b>latency_ms</b> is for a compiled model."
        )
    command = f"lts-engine search --target {target} --device ssh://USER@HOST"
    return (
        f'<h2>Estimates</h2><p class="warn">Nothing was measured: {escaped(", ".join(estimated))} are estimated from '
        f"the profile of {escaped(target)} (lts-engine target show {escaped(target)}).{published}</p>"
        f"<p>To measure on a board: <code>{escaped(command)}</code>; it needs an ssh server and no Python.</p>"
    )


def compiled(contents: Contents) -> str:
    """A section on the members of the front that were compiled for the target, and the results of running them."""
    trials = [trial for trial in contents.front.trials if trial.deployed is not None]
    if not trials:
        return ""
    names = [name for name in _CHECKS if any(name in trial.values for trial in trials)]
    target = str(contents.configuration.get("target"))
    rows = [[trial.id, trial.deployed, *(_text(trial.values.get(name)) for name in names)] for trial in trials]
    labels = [f"{name} ({contents.label(name)})" for name in names]
    return (
        f"<h2>Compiled for {escaped(target)}</h2><p>The models in <code>models/ID/{escaped(target)}</code>; correct: "
        "run, and compared with ONNX Runtime. output_error is the largest difference of the logits, relative to the "
        f"largest of them.</p>{simple_table(['trial', 'outcome', *labels], rows)}"
    )


def _text(value: float | None) -> str:
    return "" if value is None else number(value)
