"""Search with a cost of your own: the size of the download, which is that of the files that are shipped.

Where a cost is one number per architecture, a function is enough: lts.Study(space, lambda a: {"cost": ...}, ...). A
subclass of lts.Evaluator also says what its values depend on, so that no study resumes with other ones, and what it
knows no column of.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import lts
from lts.export import export


class Download(lts.Evaluator):
    """MiB of the ONNX model in a precision, with its weights."""

    costs = ("download_mib",)
    default_objectives = ("decoder_params:max", "download_mib:min", "kv_cache_mib:min")
    provenance = "exact"

    def __init__(self, precision: str = "int8") -> None:
        self.precision = precision

    def describe(self) -> dict[str, Any]:
        return {"target": "", "device": "files", "backend": "onnx", "precision": self.precision}

    def check(self, space: lts.SearchSpace, columns: Iterable[str]) -> None:
        known = (*lts.analytic_names(), *self.costs)
        for name in columns:
            if name not in known:
                raise lts.UsageError(f"no column '{name}' here; expected one of {', '.join(known)}")

    def evaluate(
        self, architecture: lts.Architecture, columns: Iterable[str], timeout: float | None = None
    ) -> lts.Outcome:
        # The core counts; what is costly is only done when it is asked for.
        values = {
            name: lts.analytic(name, architecture, precision=self.precision)
            for name in columns
            if name not in self.costs
        }
        if "download_mib" in columns:
            with tempfile.TemporaryDirectory() as folder:
                files = export(architecture, folder, ["onnx"], precision=self.precision)
                values["download_mib"] = sum(file.stat().st_size for file in files) / 2**20
        return lts.Outcome(values=values, provenance=dict.fromkeys(values, self.provenance))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--space", default="gpt2-tiny", help="name or TOML file of a search space")
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--store", type=Path, default=Path("download.db"), help="where every trial is kept")
    arguments = parser.parse_args()
    space = lts.SearchSpace.load(arguments.space)
    with Download() as evaluator, lts.Study(space, evaluator, store=arguments.store, seed=1) as study:
        for trial in study.run(trials=arguments.trials):
            print(f"trial {trial.id}", *(f"{name} {value:.6g}" for name, value in trial.values.items()))


if __name__ == "__main__":
    main()
