"""Makes a small compiled model for lts-runner: python runner_models.py FOLDER TRIPLE LINKER."""

# ruff: noqa: N805 (TVM's parser reads these functions, which are no methods)
from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import tvm
from tvm.script import ir as I  # noqa: N812
from tvm.script import relax as R  # noqa: N812

ROWS, IN, OUT, N_TABLE = 4, 64, 32, 7


@I.ir_module
class Model:
    @R.function
    def prepare(w: R.Tensor((64, 32), "float32"), e: R.Tensor((7, 32), "float32")):
        with R.dataflow():
            p = R.permute_dims(w, axes=[1, 0])
            g = (p, e)
            R.output(g)
        return g

    @R.function
    def main(
        x: R.Tensor((4, 64), "float32"),
        ids: R.Tensor((4,), "int64"),
        p: R.Tensor((32, 64), "float32"),
        e: R.Tensor((7, 32), "float32"),
    ):
        with R.dataflow():
            z = R.take(e, ids, axis=0)
            a = R.add(R.matmul(x, R.permute_dims(p, axes=[1, 0])), z)
            g = (a, z)
            R.output(g)
        return g

    @R.function
    def plain(
        x: R.Tensor((4, 64), "float32"),
        ids: R.Tensor((4,), "int64"),
        w: R.Tensor((64, 32), "float32"),
        e: R.Tensor((7, 32), "float32"),
    ):
        with R.dataflow():
            a = R.add(R.matmul(x, w), R.take(e, ids, axis=0))
            R.output(a)
        return a


def make(folder: Path, triple: str, linker: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    target = tvm.target.Target({"kind": "llvm", "mtriple": triple})
    executable = tvm.compile(Model, target)
    executable.export_library(str(folder / "model.so"), fcompile=tvm.support.cc.cross_compiler(linker))
    random = np.random.default_rng(1)
    x = random.standard_normal((ROWS, IN), dtype=np.float32)
    ids = np.array([1, 2, 3, 6], np.int64)
    w = random.standard_normal((IN, OUT), dtype=np.float32)
    e = random.standard_normal((N_TABLE, OUT), dtype=np.float32)
    (folder / "inputs.bin").write_bytes(x.tobytes() + ids.tobytes())
    # The table is not aligned as TVM wants it.
    (folder / "weights.bin").write_bytes(bytes(4096) + w.tobytes() + bytes(4) + e.tobytes())
    (x @ w + e[ids]).astype(np.float32).tofile(folder / "expected.bin")

    def tensor(name: str, array: np.ndarray[Any, Any], file: str, offset: int) -> dict[str, Any]:
        return {"name": name, "shape": list(array.shape), "dtype": array.dtype.name, "file": file, "offset": offset}

    manifest = {
        "schema": 1,
        "phase": "prefill",
        "triple": triple,
        "device": "cpu",
        "threads": 1,
        "tvm": tvm.__version__,
        "library": "model.so",
        "function": "main",
        "prepare": "prepare",
        "inputs": [tensor("x", x, "inputs.bin", 0), tensor("ids", ids, "inputs.bin", x.nbytes)],
        "weights": [tensor("w", w, "weights.bin", 4096), tensor("e", e, "weights.bin", 4096 + w.nbytes + 4)],
        "outputs": ["logits", "rows"],
    }
    (folder / "model.json").write_text(json.dumps(manifest))


if __name__ == "__main__":
    make(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
