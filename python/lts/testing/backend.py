"""The suite for backends."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import Any

from lts.backends.backend import Backend, BuildError, SeveralRuns, runs_open_sizes
from lts.devices.local import LocalDevice
from lts.targets.target import Target, detect_target
from lts.targets.workload import Step

# Seconds. Everything here takes less than one, but can take many on a busy machine.
_TIMEOUT = 60.0


class BackendSuite:
    """What every backend must do. Override `make_backend`, and `target` or `tolerance` where needed."""

    n_prompt = 6
    tolerance = 1e-3
    """Relative difference of the outputs' root mean square from that of ONNX's reference implementation."""

    def make_backend(self) -> Backend:
        """A new backend."""
        raise NotImplementedError("override make_backend")

    def target(self) -> Target:
        """A target that it compiles for and that this machine can run."""
        return detect_target()

    def run(self, model: Path, phase: str = "prefill", vocab_size: int = 512) -> Any:
        """The result of building a model and running it in a worker process."""
        backend, target = self.make_backend(), self.target()
        try:
            backend.check(target)
            step = Step(phase, dims_of(phase, self.n_prompt), vocab_size)
            built = backend.build(model, target, step, _TIMEOUT)
            job = backend.job(built, step, threads=target.threads, min_time=0.0, min_repeats=3)
            with LocalDevice() as device:
                return job.run_on(device, _TIMEOUT) if isinstance(job, SeveralRuns) else device.run(job, _TIMEOUT)
        finally:
            backend.close()

    def test_it_has_a_name(self) -> None:
        assert self.make_backend().name

    def test_it_runs_every_family_and_computes_what_onnx_says(self) -> None:
        from lts._core import SearchSpace, families
        from lts.export import onnx_model
        from lts.export.decoder import ANY
        from lts.spaces.space import load_space, space_names

        together = runs_open_sizes(self.make_backend())
        tiny = [load_space(name) for name in space_names() if name.endswith("-tiny")]
        there = {space.options["family"] for space in tiny}
        for family in families():
            if family.name not in there and not family.encoder:  # a variant without a preset of its own
                options = load_space("hw-gpt-tiny").options
                tiny.append(SearchSpace(**{**options, "name": family.name, "family": family.name}))
        for space in tiny:
            (architecture,) = space.sample(1, 7)
            for phase in ("prefill", "decode"):
                with tempfile.TemporaryDirectory() as folder:
                    model = onnx_model(architecture, ANY if together else phase)
                    file = Path(folder) / "model.onnx"
                    file.write_bytes(model.SerializeToString())
                    result = self.run(file, phase, architecture.vocab_size)
                assert result.error is None, (space.name, phase, result.error)
                self.check_result(result.value)
                expected = reference_rms(model, dims_of(phase, self.n_prompt), architecture.vocab_size)
                assert math.isclose(result.value["rms"], expected, rel_tol=self.tolerance), (space.name, phase)

    def check_result(self, value: dict[str, Any]) -> None:
        """The keys and types of what a runner returns."""
        assert len(value["samples_ns"]) >= 3
        assert all(isinstance(sample, int) and sample > 0 for sample in value["samples_ns"])
        assert len(value.get("wall_ns", value["samples_ns"])) == len(value["samples_ns"])
        assert value["peak_memory_mib"] > 0
        assert value["load_seconds"] >= 0
        assert value["run_seconds"] > 0
        assert all(isinstance(warning, str) for warning in value["warnings"])

    def test_the_same_model_gives_the_same_outputs(self, tmp_path: Path) -> None:
        file = self.write_small_model(tmp_path, factor=3.0)
        first, second = self.run(file), self.run(file)
        assert first.value["checksum"] == second.value["checksum"]
        other = self.run(self.write_small_model(tmp_path, factor=4.0))
        assert other.value["checksum"] != first.value["checksum"]
        assert math.isclose(other.value["rms"], first.value["rms"] * 4 / 3, rel_tol=self.tolerance)

    def test_outputs_that_are_not_finite_are_an_error(self, tmp_path: Path) -> None:
        for factor in (math.inf, math.nan):
            result = self.run(self.write_small_model(tmp_path, factor=factor))
            assert "not finite" in result.error

    def test_an_unknown_dimension_is_an_error(self, tmp_path: Path) -> None:
        result = self.run(self.write_small_model(tmp_path, factor=1.0, dimension="width_of_beam"))
        assert result.value is None
        assert "width_of_beam" in result.error

    def test_a_damaged_model_is_an_error(self, tmp_path: Path) -> None:
        file = tmp_path / "model.onnx"
        file.write_bytes(b"this is not a model " * 50)
        try:
            error = self.run(file).error
        except (ValueError, RuntimeError, BuildError) as raised:  # raising in `build` is as good
            error = str(raised)
        assert error

    def write_small_model(self, folder: Path, factor: float, dimension: str = "sequence") -> Path:
        """A model whose `logits` are the token ids times a factor."""
        from onnx import TensorProto, helper, save

        ids = helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", dimension])
        logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", dimension])
        nodes = [
            helper.make_node("Cast", ["input_ids"], ["x"], to=TensorProto.FLOAT),
            helper.make_node("Mul", ["x", "factor"], ["logits"]),
        ]
        constant = helper.make_tensor("factor", TensorProto.FLOAT, [], [factor])
        graph = helper.make_graph(nodes, "small", [ids], [logits], [constant])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        file = folder / f"small-{factor}.onnx"
        save(model, file)
        return file


def dims_of(phase: str, n: int) -> dict[str, int]:
    """Sizes of the symbolic dimensions at batch 1, with `n` tokens of prompt or of past."""
    if phase == "prefill":
        return {"batch": 1, "sequence": n, "past": 0, "memory": 0, "total": n}
    return {"batch": 1, "sequence": 1, "past": n, "memory": n, "total": n + 1}


def reference_rms(model: Any, dims: dict[str, int], vocab_size: int) -> float:
    """Root mean square of the first output, computed by ONNX's reference implementation for the runner's inputs."""
    import numpy as np
    from onnx import helper
    from onnx.reference import ReferenceEvaluator

    from lts.backends.inputs import make_inputs

    specifications = []
    for value in model.graph.input:
        tensor = value.type.tensor_type
        shape = [dim.dim_param or dim.dim_value for dim in tensor.shape.dim]
        specifications.append((value.name, shape, helper.tensor_dtype_to_np_dtype(tensor.elem_type)))
    outputs = ReferenceEvaluator(model).run(None, make_inputs(specifications, dims, vocab_size))
    return float(np.sqrt(np.mean(np.square(outputs[0], dtype=np.float64))))
