"""Many studies from one script, and their fronts as one table: spaces x targets x precisions, by estimates.

Each study has a file of its own, and resumes when the script is run again. Estimates disturb nobody, so that studies
run side by side; what is measured on one device has to run one after the other: --jobs 1.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from pathlib import Path
from typing import NamedTuple

import pandas as pd

import lts


class Case(NamedTuple):
    """One study."""

    space: str
    target: str
    precision: str
    trials: int
    store: Path


def front_of(case: Case) -> pd.DataFrame:
    """Run a study, or what is left of it; its front, a row per member, beside the names of the case."""
    space = lts.SearchSpace.load(case.space)
    # In place of device="none", which estimates: a device, and then trials=40 suffice.
    with (
        lts.open_evaluator(case.target, device="none", precision=case.precision, n_prompt=32, n_gen=16) as evaluator,
        lts.Study(space, evaluator, store=case.store) as study,
    ):
        front = study.run(trials=case.trials)
    table = front.trials_dataframe(provenance=False)
    table.insert(0, "knee", table["trial"] == front.knee().id)
    for name in reversed(("space", "target", "precision")):
        table.insert(0, name, getattr(case, name))
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the studies and front.csv are kept")
    parser.add_argument("--spaces", nargs="+", default=["gpt2-tiny", "llama-tiny"])
    parser.add_argument("--targets", nargs="+", default=["cortex-a72", "arm64"])
    parser.add_argument("--precisions", nargs="+", default=["float32", "int8"])
    parser.add_argument("--trials", type=int, default=5000, help="candidates of each study")
    parser.add_argument("--jobs", type=int, default=2, help="studies at the same time")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    cases = [
        Case(space, target, precision, arguments.trials, arguments.folder / f"{space}-{target}-{precision}.db")
        for space, target, precision in product(arguments.spaces, arguments.targets, arguments.precisions)
    ]
    with ProcessPoolExecutor(arguments.jobs) as pool:
        table = pd.concat(pool.map(front_of, cases), ignore_index=True)
    table.to_csv(arguments.folder / "front.csv", index=False)
    by_case = table.groupby(["space", "target", "precision"], sort=False)
    knees = table[table["knee"]].set_index(["space", "target", "precision"])
    print(
        knees[["trial", "decoder_params", "request_ms", "peak_memory_mib"]]
        .join(by_case.size().rename("members"))
        .to_string()
    )


if __name__ == "__main__":
    main()
