"""What a user may name as a model: files of any origin, exported and compiled folders, architectures."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from board import LARGE, SMALL, Board, Clock
from export_runner import export_pair
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lts.backends.inputs import make_inputs
from lts.errors import UsageError
from lts.export import export, onnx_model
from lts.jobs.job import Job, RunnerJob
from lts.measure.compare import Answer
from lts.measure.measured import MeasuredEvaluator
from lts.measure.models import opening
from lts.measure.models.architecture import ArchitectureModel
from lts.measure.models.comparison import check_comparable, compare_models, metrics_of
from lts.measure.models.compiled import CompiledModel, read_compiled
from lts.measure.models.model import Model, columns_of
from lts.measure.models.onnx_file import OnnxFile, OnnxModel, parse_input, parse_inputs, read_onnx
from lts.measure.models.opening import OpenDevice
from lts.measure.models.source import Source, read_files
from lts.measure.result import Result, result_of
from lts.targets.target import load_target
from lts.targets.workload import Workload

onnx = pytest.importorskip("onnx")


def relu(path: Path, *inputs: tuple[str, int, Any], metadata: dict[str, str] | None = None) -> Path:
    """A model that adds up its inputs, or where it has but one takes what is above 0 of it."""
    helper = onnx.helper
    operator = "Relu" if len(inputs) == 1 else "Sum"
    names = [name for name, _, _ in inputs]
    graph = helper.make_graph(
        [helper.make_node(operator, names, ["y"])],
        "graph",
        [helper.make_tensor_value_info(*each) for each in inputs],
        [helper.make_tensor_value_info("y", inputs[0][1], None)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    for key, value in (metadata or {}).items():
        model.metadata_props.add(key=key, value=value)
    onnx.save(model, path)
    return path


FLOAT, INT32 = 1, 6


def evaluator(clock: Clock, workload: Workload | None = None) -> MeasuredEvaluator:
    return MeasuredEvaluator(load_target("host"), clock, backend="onnxruntime", workload=workload)


# Files.


def test_open_sizes_are_asked_for_and_taken_from_shapes(tmp_path: Path) -> None:
    file = read_onnx(relu(tmp_path / "a.onnx", ("x", FLOAT, ["batch", None, 4]), ("y", FLOAT, ["batch", -1, 4])))
    assert file.inputs == {"x": ["batch", None, 4], "y": ["batch", None, 4]}
    for known in ({}, {"batch": 9}):
        assert file.dims({"x": [2, 3, 4], "y": [2, 5, 4]}, known).items() >= {"batch": 2, "x.1": 3, "y.1": 5}.items()
    wrong = {
        "the shape of input 'x' of {}, [batch, ?, 4], is needed: --input x=NxNx4": {},
        "the shape of input 'y' of {}, [batch, ?, 4], is needed: --input y=2xNx4": {"x": [2, 3, 4]},
        "{} has no input 'z'; its inputs are 'x' [batch, ?, 4], 'y' [batch, ?, 4]": {"z": [1]},
        "input 'x' of {} has 3 dimensions, [batch, ?, 4]; --input gives 2, [2, 4]": {"x": [2, 4]},
        "dimension 2 of input 'x' of {} is 4; --input gives 5": {"x": [2, 3, 5]},
        "dimension 0 of input 'y' of {} is 2; --input gives 3": {"x": [2, 3, 4], "y": [3, 3, 4]},
    }
    for told, shapes in wrong.items():
        with pytest.raises(UsageError) as caught:
            file.dims(shapes)
        assert str(caught.value) == told.format(file.path)


def test_a_file_with_fixed_inputs_needs_no_shapes(tmp_path: Path) -> None:
    clock = Clock({"a.onnx": 2.0})
    file = read_onnx(relu(tmp_path / "a.onnx", ("x", FLOAT, [2, 4])))
    model = OnnxModel("mine", file, evaluator(clock))
    found = model.measure(model.costs)
    assert model.costs == ("latency_ms", "peak_memory_mib", "size_bytes")
    assert found.values == {"latency_ms": 2.0, "peak_memory_mib": 12.0, "size_bytes": file.path.stat().st_size}
    assert found.provenance == {"latency_ms": "measured", "peak_memory_mib": "measured", "size_bytes": "exact"}
    assert model.describe()["inputs"] == {"x": [2, 4]}
    assert "n_prompt" not in model.describe()
    # Its size is known without running it.
    assert model.measure(["size_bytes"]).values == {"size_bytes": file.size_bytes}
    assert len(clock.jobs) == 1


def test_what_is_run_has_the_shapes_that_were_given(tmp_path: Path) -> None:
    clock = Clock({"a.onnx": 2.0})
    file = read_onnx(relu(tmp_path / "a.onnx", ("x", INT32, ["n", None]), ("y", INT32, ["n", 7])))
    model = OnnxModel("mine", file, evaluator(clock), {"x": [3, 7]}, below=256)
    assert model.describe()["inputs"] == {"x": [3, 7], "y": [3, 7]}
    model.measure(["latency_ms"])
    (job,) = clock.jobs
    assert isinstance(job, Job)
    arrays = make_inputs(
        [("x", ["n", None], np.dtype("int32")), ("y", ["n", 7], np.dtype("int32"))],
        job.arguments["dims"],
        job.arguments["vocab_size"],
    )
    assert {name: array.shape for name, array in arrays.items()} == {"x": (3, 7), "y": (3, 7)}
    assert 128 < max(array.max() for array in arrays.values()) < 256


def test_weights_beside_a_file_count(tmp_path: Path) -> None:
    model = onnx.load(relu(tmp_path / "a.onnx", ("x", FLOAT, [2, 400]), ("w", FLOAT, [2, 400])))
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.ones((2, 400), np.float32), "w"))
    onnx.save_model(model, tmp_path / "b.onnx", save_as_external_data=True, location="b.data", size_threshold=0)
    file = read_onnx(tmp_path / "b.onnx")
    assert set(file.inputs) == {"x"}  # that of a weight is none
    assert file.size_bytes == (tmp_path / "b.onnx").stat().st_size + 2 * 400 * 4
    (tmp_path / "b.data").unlink()
    with pytest.raises(UsageError, match=r"b.onnx has weights in .*b.data, which is not there"):
        read_onnx(tmp_path / "b.onnx")
    (tmp_path / "b.data").symlink_to("/etc/hostname")
    with pytest.raises(UsageError, match=r"b.onnx has weights in b.data; expected files in its own folder"):
        read_onnx(tmp_path / "b.onnx")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is not an ONNX model: it has no nodes or no outputs"),
        (b"\xff" * 100, "is not an ONNX model that can be read"),
        (b"<html>not found</html>", "is not an ONNX model"),
        (None, "No such file or directory; expected an ONNX model"),
    ],
)
def test_what_is_no_model_is_one_sentence(tmp_path: Path, content: bytes | None, told: str) -> None:
    path = tmp_path / "a.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError) as caught:
        read_files(path, "a.onnx")
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_inputs_that_cannot_be_made_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"input 'x' of .* has no shape, not even a number of dimensions"):
        read_onnx(relu(tmp_path / "a.onnx", ("x", FLOAT, None)))
    model = onnx.load(relu(tmp_path / "b.onnx", ("x", FLOAT, [1])))
    model.graph.input[0].CopyFrom(onnx.helper.make_tensor_sequence_value_info("x", FLOAT, [1]))
    onnx.save(model, tmp_path / "b.onnx")
    with pytest.raises(UsageError, match=r"input 'x' of .* is no tensor"):
        read_onnx(tmp_path / "b.onnx")


def test_metadata_of_others_is_no_architecture(tmp_path: Path) -> None:
    said = {"architecture": "BertForMaskedLM", "phase": "train", "precision": "bfloat16"}
    source = read_files(relu(tmp_path / "a.onnx", ("x", FLOAT, [1]), metadata=said), "a.onnx")
    assert source is not None
    assert source.form == {}
    assert source.content.architecture is None


@given(st.text(max_size=20))
def test_a_shape_is_read_or_one_sentence(text: str) -> None:
    said = None
    try:
        name, shape = parse_input(f"x={text}")
    except UsageError as error:
        said = str(error)
    if said is None:
        assert shape == [int(part) for part in text.lower().split("x")]
        assert name == "x"
    else:
        assert said.startswith("--input is '")


def test_shapes_by_name() -> None:
    assert parse_inputs(["a=1x2048", "b:0=3X4", "c=d=5"]) == {"a": [1, 2048], "b:0": [3, 4], "c=d": [5]}
    for wrong in ("a", "=1", "a=", "a=1x", "a=0", "a=-1", "a=1.5", "a=2147483648", "a=1,2", "a=" + "9" * 5000):
        with pytest.raises(UsageError):
            parse_input(wrong)
    with pytest.raises(UsageError, match="--input is given twice for 'a'"):
        parse_inputs(["a=1", "a=2"])


def test_columns_by_shorter_names() -> None:
    assert columns_of(["latency, size", "request_ms", "size"]) == ["latency_ms", "size_bytes", "request_ms"]
    for wrong in ([], [""], ["a,,b"], [","]):
        with pytest.raises(UsageError, match="expected names of columns"):
            columns_of(wrong)


# Folders that we wrote.


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "exported"
    export(SMALL, folder, ["onnx"], logits="all", precision="int8")
    return folder


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As earlier versions wrote it."""
    folder = tmp_path_factory.mktemp("models") / "exported"
    export_pair(SMALL, folder, logits="all", precision="int8")
    return folder


Open = Callable[..., Model]


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    """Opens the model at a path on a device that is made up."""
    with ExitStack() as stack:

        def open_model(path: Path, clock: Clock, **workload: Any) -> Model:
            source = read_files(path, path.name)
            assert source is not None
            return stack.enter_context(place_of(clock)).open(source, **workload)

        def place_of(clock: Clock) -> OpenDevice:
            monkeypatch.setattr(opening, "open_device", lambda *_: clock)
            return OpenDevice("host", "local", "onnxruntime")

        yield open_model


def test_an_exported_model_is_run_as_it_is(exported: Path, opened: Open) -> None:
    for named in (exported, exported / "model.onnx"):
        clock = Clock({"model.onnx": 3.0}, noise=[1.0])
        model = opened(named, clock, n_prompt=64, n_gen=11)
        found = model.measure(["request_ms", "tokens_per_second"])
        assert found.values["request_ms"] == pytest.approx(3.0 + 10 * 3.0)
        jobs = [job.arguments for job in clock.jobs if isinstance(job, Job)]
        assert [(Path(job["model"]), job["phase"], job["dims"]["past"]) for job in jobs] == [
            (exported / "model.onnx", phase, past) for phase, past in (("prefill", 0), ("decode", 64), ("decode", 73))
        ]
        known = model.describe()
        assert (known["precision"], known["logits"], known["cache"]) == ("int8", "all", "copied")
        held = sum((exported / name).stat().st_size for name in ("model.onnx", "weights.bin"))
        assert found.values["size_bytes"] == held


def test_a_pair_of_earlier_versions_is_run_as_it_is(pair: Path, opened: Open) -> None:
    exported = pair
    clock = Clock({"prefill.onnx": 4.0, "decode.onnx": 2.0}, noise=[1.0])
    model = opened(exported, clock, n_prompt=64, n_gen=11)
    found = model.measure(["request_ms", "tokens_per_second"])
    # Ten steps of 2 ms after a prompt pass of 4 ms; 500 tokens in a second.
    assert found.values["request_ms"] == pytest.approx(4.0 + 10 * 2.0)
    assert found.values["tokens_per_second"] == pytest.approx(500.0)
    paths = [Path(job.arguments["model"]) for job in clock.jobs if isinstance(job, Job)]
    assert [path.name for path in paths] == ["prefill.onnx", "decode.onnx", "decode.onnx"]
    assert {path.parent for path in paths} == {exported}
    assert all(path.is_file() for path in paths)
    assert [job.arguments["dims"]["past"] for job in clock.jobs if isinstance(job, Job)] == [0, 64, 73]
    known = model.describe()
    assert (known["precision"], known["logits"], known["cache"]) == ("int8", "all", "copied")
    beside = sum(path.stat().st_size for path in exported.iterdir() if path.suffix in (".onnx", ".bin"))
    assert found.values["size_bytes"] == beside


def test_what_an_exported_folder_has_cannot_be_asked_otherwise(exported: Path, opened: Open) -> None:
    clock = Clock({"model.onnx": 4.0})
    with pytest.raises(UsageError, match="exported has precision int8, and float32 is asked for; leave that out"):
        opened(exported, clock, precision="float32")
    with pytest.raises(UsageError, match="exported has logits all, and last is asked for"):
        opened(exported, clock, logits="last")


def test_one_of_its_files_is_run_with_the_workload(pair: Path, opened: Open) -> None:
    clock = Clock({"prefill.onnx": 4.0, "decode.onnx": 2.0}, noise=[1.0, 1.5])
    prefill = opened(pair / "prefill.onnx", clock, n_prompt=32, batch=2)
    assert prefill.costs == ("latency_ms", "peak_memory_mib", "size_bytes")
    prefill.measure(["latency_ms"])
    decode = opened(pair / "decode.onnx", clock, n_prompt=32, n_gen=33)
    assert decode.costs == ("decode_ms_per_token", "peak_memory_mib", "size_bytes")
    # As of the folder: the mean of the first and of the last step of a request.
    clock.jobs.clear()
    clock.noise = iter([1.0, 1.5])
    assert decode.measure(["decode_ms_per_token"]).values["decode_ms_per_token"] == pytest.approx(2.5)
    assert [job.arguments["dims"]["past"] for job in clock.jobs if isinstance(job, Job)] == [32, 63]
    assert decode.describe()["n_gen"] == 33


def test_sizes_that_were_exported_for_good_are_kept(tmp_path: Path, opened: Open) -> None:
    (tmp_path / "a").mkdir()
    for phase in ("prefill", "decode"):
        onnx.save(onnx_model(SMALL, phase, n_prompt=64, batch=1), tmp_path / "a" / f"{phase}.onnx")
    clock = Clock({"prefill.onnx": 4.0, "decode.onnx": 2.0})
    opened(tmp_path / "a", clock, n_prompt=64, n_gen=2).check(["request_ms"])
    with pytest.raises(UsageError, match=r"'input_ids' of .*prefill.onnx is \[1, 64\] for good; .* needs \[1, 128\]"):
        opened(tmp_path / "a", clock, n_prompt=128).check(["latency_ms"])
    with pytest.raises(UsageError, match=r"'input_ids' of .*prefill.onnx is \[1, 64\] for good; .* needs \[2, 64\]"):
        opened(tmp_path / "a" / "prefill.onnx", clock, n_prompt=64, batch=2)
    with pytest.raises(
        UsageError, match=r"'attention_mask' of .*decode.onnx is \[1, 65\] for good; .* needs \[1, 95\]"
    ):
        opened(tmp_path / "a", clock, n_prompt=64, n_gen=32).check(["request_ms"])


def test_a_folder_of_files_that_do_not_belong_together(tmp_path: Path, pair: Path, opened: Open) -> None:
    export_pair(LARGE, tmp_path / "a")
    (tmp_path / "a" / "decode.onnx").unlink()
    clock = Clock({"prefill.onnx": 4.0})
    model = opened(tmp_path / "a", clock)
    assert model.costs == ("latency_ms", "peak_memory_mib", "size_bytes")
    assert model.default_costs == ("peak_memory_mib",)
    with pytest.raises(UsageError, match="unknown metric 'request_ms' of a, exported"):
        model.check(["request_ms"])
    (tmp_path / "a" / "decode.onnx").write_bytes((tmp_path / "a" / "prefill.onnx").read_bytes())
    with pytest.raises(UsageError, match=r"decode.onnx says it is the phase 'prefill'; expected decode"):
        read_files(tmp_path / "a", "a")
    (tmp_path / "a" / "decode.onnx").write_bytes((pair / "decode.onnx").read_bytes())
    (tmp_path / "a" / "weights.bin").write_bytes((pair / "weights.bin").read_bytes())
    with pytest.raises(UsageError, match=r"decode.onnx is not of the same architecture as .*prefill.onnx"):
        read_files(tmp_path / "a", "a")
    relu(tmp_path / "a" / "prefill.onnx", ("x", FLOAT, [1]))
    with pytest.raises(UsageError, match=r"prefill.onnx says no architecture; name the file itself"):
        read_files(tmp_path / "a", "a")
    (tmp_path / "b").mkdir()
    relu(tmp_path / "b" / "model.onnx", ("x", FLOAT, [1]))
    with pytest.raises(UsageError, match=r"model.onnx says no architecture; name the file itself"):
        read_files(tmp_path / "b", "b")
    # Of both, the model is the newer one.
    export(SMALL, tmp_path / "c", ["onnx"])
    (tmp_path / "c" / "prefill.onnx").write_bytes((pair / "prefill.onnx").read_bytes())
    assert opened(tmp_path / "c", Clock({"model.onnx": 4.0})).describe()["precision"] == "float32"


MANIFEST: dict[str, Any] = {
    "phase": "prefill",
    "triple": "x86_64-linux-gnu",
    "threads": 1,
    "library": "model.so",
    "inputs": [{"name": "input_ids", "shape": [1, 64], "dtype": "int64", "file": "inputs.bin", "offset": 0}],
    "weights": [{"name": "w", "shape": [4], "dtype": "float32", "file": "../weights.bin", "offset": 0}],
}


def compiled(folder: Path, **changed: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model.json").write_text(json.dumps({**MANIFEST, **changed}))
    (folder / "model.so").write_bytes(b"1" * 100)
    (folder / "inputs.bin").write_bytes(b"2" * 512)
    (folder.parent / "weights.bin").write_bytes(b"3" * 16)
    return folder


def test_a_compiled_model_by_its_folder_its_code_or_both_phases(tmp_path: Path) -> None:
    prefill = compiled(tmp_path / "m" / "prefill")
    compiled(tmp_path / "m" / "decode", phase="decode")
    for path, phases in (
        (prefill, ["prefill"]),
        (prefill / "model.so", ["prefill"]),
        (tmp_path / "m", ["prefill", "decode"]),
    ):
        source = read_files(path, "m")
        assert source is not None
        assert (source.kind, source.backend) == ("compiled", "tvm")
        assert [each.phase for each in source.content] == phases
        # The code and the weights; the inputs are none of it.
        assert [each.size_bytes for each in source.content] == [116] * len(phases)
        assert source.content[0].inputs == {"input_ids": [1, 64]}
    (tmp_path / "alone.so").write_bytes(b"1")
    with pytest.raises(UsageError, match=r"alone.so is code without a model; expected model.json beside it"):
        read_files(tmp_path / "alone.so", "alone.so")


def test_weights_that_both_phases_share_count_once(tmp_path: Path) -> None:
    compiled(tmp_path / "m" / "prefill", triple=load_target("host").triple)
    compiled(tmp_path / "m" / "decode", phase="decode", triple=load_target("host").triple)
    clock = Clock({"prefill": 4.0, "decode": 2.0}, noise=[1.0])
    on_host = MeasuredEvaluator(load_target("host"), clock, backend="tvm")
    model = CompiledModel("m", read_compiled(tmp_path / "m"), on_host)
    assert model.costs == ("latency_ms", "decode_ms_per_token", "peak_memory_mib", "size_bytes")
    found = model.measure(model.costs)
    assert found.values == {
        "latency_ms": 4.0,
        "decode_ms_per_token": 2.0,
        "peak_memory_mib": 12.0,
        "size_bytes": 100 + 100 + 16,
    }
    assert [job.model.name for job in clock.jobs if isinstance(job, RunnerJob)] == ["prefill", "decode"]
    assert model.describe()["inputs"] == {"input_ids": [1, 64]}
    with pytest.raises(UsageError, match=r"m is compiled for aarch64-linux-gnu; target 'host' is"):
        CompiledModel("m", read_compiled(compiled(tmp_path / "n" / "a", triple="aarch64-linux-gnu")), on_host)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"phase": "train"}, "is not the manifest of a compiled model"),
        ({"triple": "../../bin"}, "is not the manifest of a compiled model"),
        ({"threads": "4"}, "is not the manifest of a compiled model"),
        ({"threads": True}, "is not the manifest of a compiled model"),
        ({"library": "/bin/sh"}, "is not the manifest of a compiled model"),
        ({"library": "../../../../bin/sh"}, "is not the manifest of a compiled model"),
        ({"library": ["model.so"]}, "is not the manifest of a compiled model"),
        ({"weights": None}, "is not the manifest of a compiled model"),
        ({"inputs": [{"name": "x", "shape": [float("inf")], "file": "inputs.bin"}]}, "is not the manifest"),
        ({"library": "other.so"}, "other.so, which is not there; export the member again"),
        ({"library": "a\0b"}, "which is not there"),
        ({"library": "\r"}, "m/prefill/\ufffd, which is not there"),
    ],
)
def test_a_manifest_that_is_wrong_is_one_sentence(tmp_path: Path, changed: dict[str, Any], told: str) -> None:
    folder = compiled(tmp_path / "m" / "prefill", **changed)
    with pytest.raises(UsageError) as caught:
        read_compiled(folder)
    assert told in str(caught.value)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_other_value_in_a_manifest_is_read_or_one_sentence(tmp_path: Path, data: st.DataObject) -> None:
    json_value = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
        max_leaves=4,
    )
    changed = {data.draw(st.sampled_from(sorted(MANIFEST))): data.draw(json_value)}
    folder = compiled(tmp_path / "m" / "prefill", **changed)
    try:
        read_compiled(folder)
    except UsageError as error:
        said = str(error)
    else:
        said = "x"
    assert len(said.splitlines()) == 1


def test_models_for_different_targets_are_not_one(tmp_path: Path) -> None:
    compiled(tmp_path / "m" / "prefill")
    compiled(tmp_path / "m" / "decode", phase="decode", threads=2)
    with pytest.raises(UsageError, match="m has models for different targets; name one of them"):
        read_files(tmp_path / "m", "m")


# Models beside one another.


def test_an_architecture_is_measured_by_its_evaluator() -> None:
    model = ArchitectureModel("small", SMALL, Board())
    assert model.costs == ("latency_ms", "request_ms", "peak_memory_mib", "size_bytes")
    assert model.default_costs == ("request_ms", "peak_memory_mib")
    # 2 layers of 4 d^2 + 2 d f + biases and norms, a final norm, 512 tokens and 256 positions; 4 bytes each.
    d, f = 64, 128
    weights = 2 * (4 * d * d + 2 * d * f + 4 * d + f + d + 4 * d) + 2 * d + 512 * d + 256 * d
    assert model.measure(["size_bytes"]).values == {"size_bytes": 4 * weights}
    model.check(["latency_ms", "size_bytes"])
    with pytest.raises(UsageError, match="unknown metric 'joules' of small, architecture; expected one of latency_ms"):
        model.check(["joules"])


def test_files_are_run_on_devices() -> None:
    with OpenDevice("cortex-a76", "none") as place, pytest.raises(UsageError, match="it is a file, and files are run"):
        place.open(Source("it", "onnx", content=OnnxFile(Path("a.onnx"), {})))
    with pytest.raises(UsageError, match="this machine does not run models for target 'cortex-a76'"):
        OpenDevice("cortex-a76")


def result(**changed: Any) -> Result:
    model = ArchitectureModel("earlier", SMALL, Board())
    found = result_of(model, model.default_costs, [model.measure(model.default_costs) for _ in range(5)])
    return Result.from_record({**found.record(), **changed})


def test_results_are_compared_with_the_same_conditions_only() -> None:
    now = ArchitectureModel("now", LARGE, Board())
    assert metrics_of(result(), now) == ["request_ms", "peak_memory_mib"]
    check_comparable(result(), now, ["request_ms"])
    wrong: dict[str, dict[str, Any]] = {
        r"earlier and now are not of the same conditions: n_prompt 64 and 128; compare them anyway with --across": {
            "workload": {**Workload(n_prompt=64).describe()}
        },
        r"conditions: device other and board;": {"device": "other"},
        r"conditions: request_ms estimated and measured;": {
            "provenance": {"request_ms": "estimated", "peak_memory_mib": "measured"}
        },
        r"conditions: environment 12345678 and ": {"environment": "12345678"},
    }
    for told, changed in wrong.items():
        with pytest.raises(UsageError, match=told):
            check_comparable(result(**changed), now, ["request_ms"])
        check_comparable(result(**changed), now, ["request_ms"], across=True)
    with pytest.raises(UsageError, match="latency_ms was not measured of the baseline, earlier, but request_ms, peak"):
        check_comparable(result(), now, ["latency_ms"])
    failed = result(error="it crashed", state="failed")
    with pytest.raises(UsageError, match="the contender, earlier, was not measured: it crashed"):
        check_comparable(now, failed, ["request_ms"], across=True)


def test_of_a_result_and_a_model_the_model_is_measured() -> None:
    board = Board()
    found = compare_models(result(), ArchitectureModel("now", LARGE, board), ["request_ms"])
    assert found.answers(Answer.regression) == ["request_ms"]
    assert {side for side, _, _ in found.processes} == {"contender"}
    assert found.verdicts["request_ms"].baseline.n == 5
    assert compare_models(result(), result(), ["request_ms"]).processes == []


@pytest.mark.parametrize("values", [[0.0], [-3.0]])
def test_values_of_nothing_are_one_sentence(values: list[float]) -> None:
    wrong = result(rounds={"request_ms": values, "peak_memory_mib": [1.0]})
    with pytest.raises(UsageError, match=r"a value of request_ms of the baseline is .*; it must be finite and above 0"):
        compare_models(wrong, result(), ["request_ms"])


def test_values_that_no_float_relates_are_one_sentence() -> None:
    wrong = result(rounds={"request_ms": [1e-200], "peak_memory_mib": [1.0]})
    huge = result(rounds={"request_ms": [1e200], "peak_memory_mib": [1.0]})
    with pytest.raises(UsageError, match=r"request_ms of the two sides differs by a factor of more than 10\^300"):
        compare_models(wrong, huge, ["request_ms"])
