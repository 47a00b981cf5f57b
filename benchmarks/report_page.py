"""How large the report of a study of many trials is, and how soon it is there in a browser.

Run: python benchmarks/report_page.py [--trials 10000] [--times 5] [--threads 2]

The study is made up: architectures of 12 to 16 layers that all differ, four columns of which one is measured with
intervals, a tenth of the trials failed. Its page is opened from the disk in Chromium (playwright, Debian's), in
a window and a profile of its own each time, on as many processors as `--threads`. The time is from the start of the
navigation until all charts are drawn.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
from chromium import started

from lts import decoder_params, flops_prefill
from lts.measure.trial import Trial
from lts.report import write_report
from lts.spaces.space import load_space
from lts.study.store import Store

GOAL_BYTES, GOAL_SECONDS = 5_000_000, 3.0
SPACE = "gpt2-lts"
_WHEN = """
addEventListener("DOMContentLoaded", () => new MutationObserver(() => {
  if (document.documentElement.dataset.drawn !== undefined) window.drawnAfter ??= performance.now();
}).observe(document.documentElement, { attributes: true }));
"""


def many_trials(path: Path, n: int, seed: int = 0) -> Path:
    """Write the store of a made-up study of `n` trials."""
    space = load_space(SPACE)
    random = np.random.default_rng(seed)
    provenance = {
        "decoder_params": "exact",
        "latency_ms": "measured",
        "peak_memory_mib": "measured",
        "flops_prefill": "estimated",
    }
    trials = []
    for key, architecture in enumerate(space.sample(n, seed=seed, method="choices")):
        operations, size = flops_prefill(architecture, n_prompt=128), decoder_params(architecture)
        latency = operations / 4e7 * float(random.lognormal(0, 0.1))
        memory = 3 + 4e-6 * size * float(random.lognormal(0, 0.05))
        good = key % 10 != 7
        values = (float(size), latency, memory, float(operations))
        trial = Trial(
            id=key,
            state="complete" if good else "failed",
            architecture=architecture,
            values=dict(zip(provenance, values, strict=True)) if good else {},
            provenance=provenance if good else {},
            interval={"latency_ms": (0.99 * latency, 1.02 * latency)} if good else {},
            feasible=True if good else None,
            error=None if good else f"the build timed out after {key % 40} s",
            seconds={"export": 0.05, "build": 0.2, "run": 1.0},
            target="host",
            device="local",
            backend="onnxruntime",
            environment="c0ffee12",
            time=f"2026-11-20T{key // 3600 % 24:02d}:{key // 60 % 60:02d}:{key % 60:02d}Z",
            lts_version="0.1.0",
        )
        trials.append(trial)
    configuration = {
        "space": json.loads(space.to_json()),
        "objectives": ["decoder_params:max", "latency_ms:min", "peak_memory_mib:min"],
        "constraints": [],
        "algorithm": "nsga2",
        "seed": seed,
        "target": "host",
        "device": "local",
        "backend": "onnxruntime",
        "n_prompt": 128,
    }
    with Store(path, writable=True, create=True) as store:
        store.write(trials=tuple(trials), meta={"study": configuration})
        store.add_environment("c0ffee12", {"cpu": {"name": "Cortex-A72", "cores": 4}})
    return path


def seconds_to_open(page: Path, times: int) -> list[float]:
    """Seconds from the start of the navigation until the page is drawn, each in a browser of its own."""
    from playwright.sync_api import sync_playwright

    found = []
    for _ in range(times):
        with sync_playwright() as running:
            chromium = started(running)
            tab = chromium.new_page(viewport={"width": 1280, "height": 800})
            tab.add_init_script(_WHEN)
            tab.goto(page.as_uri())
            tab.wait_for_function("() => window.drawnAfter !== undefined", timeout=120_000)
            found.append(tab.evaluate("() => window.drawnAfter") / 1000)
            chromium.close()
    return found


def main() -> None:
    """Write the page, open it, and say whether the goals are met."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.threads])
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "report.html"
        store = many_trials(Path(folder) / "study.db", options.trials)
        begin = time.perf_counter()
        write_report(store, page)
        print(f"written in {time.perf_counter() - begin:.1f} s")
        size = page.stat().st_size
        print(f"{size / 1e6:.2f} MB, at most {GOAL_BYTES / 1e6:g}: {'met' if size <= GOAL_BYTES else 'MISSED'}")
        found = seconds_to_open(page, options.times)
        middle = median(found)
        print(
            f"drawn after {middle:.2f} s ({min(found):.2f} to {max(found):.2f}), at most {GOAL_SECONDS:g}: "
            f"{'met' if middle <= GOAL_SECONDS else 'MISSED'}"
        )


if __name__ == "__main__":
    main()
