"""The example examples/on_device: a search on a device, in one process, without Python."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from embedding import AARCH64, HOST, configure
from emulation import emulation_is_missing

import lts
from lts.jobs.toolchain import cxx
from lts.system import machine

ROOT = Path(__file__).resolve().parents[3]
EXAMPLE = ROOT / "examples" / "on_device"
TIMEOUT = 600.0
SPACE = """
schema = 1
family = "gpt2"
[fixed]
vocab_size = 64
n_positions = 16
[choices]
n_layer = [1, 2, 3]
d_model = [16, 32]
n_head = [1, 2]
d_ff = [32, 64]
"""
SMALL_SPACE = SPACE.replace("[1, 2, 3]", "[1, 2]").replace("[16, 32]", "[16]").replace("n_head = [1, 2]", "n_head = 2")

pytestmark = pytest.mark.slow


def missing() -> str:
    """What is not here to prepare a folder for this machine; empty when everything is."""
    if find_spec("tvm") is None:
        return "tvm is not installed"
    needed = (os.environ.get("CXX", "g++"), "cmake", "make")
    return next((f"{name} is not installed" for name in needed if shutil.which(name) is None), "")


if reason := missing():
    pytest.skip(reason, allow_module_level=True)


def prepare(folder: Path, space: str, target: str, *options: str) -> subprocess.CompletedProcess[str]:
    folder.parent.mkdir(parents=True, exist_ok=True)
    path = folder.parent / "space.toml"
    path.write_text(space)
    command = [sys.executable, EXAMPLE / "prepare.py", path, target, folder, "--n-prompt", "8", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=False)


def prepared_folder(folder: Path, space: str, target: str) -> Path:
    triple, platform = (machine.triple(), HOST) if target == "host" else ("aarch64-linux-gnu", AARCH64)
    configure(EXAMPLE, ROOT / "build" / f"on_device-{triple}", platform)
    done = prepare(folder, space, target)
    assert done.returncode == 0, done.stderr
    assert not list(folder.glob("*.onnx"))
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepared_folder(tmp_path_factory.mktemp("on-device") / "prepared", SPACE, "host")


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A prepared folder whose files may be changed."""
    return Path(shutil.copytree(made, tmp_path / "folder"))


def run(folder: Path, *options: str, command: tuple[str, ...] = (), **more: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*command, folder / "on_device", folder, "--min-time", "0", "-o", "jsonl", *options],
        **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "timeout": TIMEOUT, **more},
        check=False,
    )


def front(folder: Path, *options: str, **more: Any) -> list[dict[str, Any]]:
    done = run(folder, *options, **more)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def state(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "state.json").read_text())
    return content


def latency(folder: Path) -> Callable[[lts.Architecture], float]:
    """Sums over what is measured, as README.md explains them."""
    measured = {model: value["ms"] for model, value in state(folder)["measured"].items()}
    layers: dict[tuple[int, ...], tuple[int, float]] = {}
    rest: dict[int, float] = {}
    models = json.loads((folder / "shapes.json").read_text())["models"]
    for model in sorted(models, key=lambda m: str(m["use"])):  # layers before the rest
        if model["use"] == "check":
            continue
        a = lts.Architecture.from_json(json.dumps(model["architecture"]))
        shape = (a.d_model, a.n_head[0], a.n_kv_head[0], a.d_ff[0])
        ms = measured[model["model"]]
        if model["use"] == "layer":
            layers[shape] = (a.n_layer, ms)
        else:
            n, all_ms = layers[shape]
            rest[a.d_model] = all_ms - n * (all_ms - ms) / (n - a.n_layer)

    def sum_of(a: lts.Architecture) -> float:
        total = rest[a.d_model]
        for shape in zip([a.d_model] * a.n_layer, a.n_head, a.n_kv_head, a.d_ff, strict=True):
            n, ms = layers[shape]
            total += (ms - rest[a.d_model]) / n
        return total

    return sum_of


def check_front(records: list[dict[str, Any]], folder: Path, space: str) -> None:
    """Against all architectures of the space."""
    (folder / "space.toml").write_text(space)
    cost = latency(folder)
    points = {(lts.decoder_params(a), round(cost(a), 9)) for a in lts.SearchSpace.load(folder / "space.toml")}
    best = {p for p in points if not any(q != p and q[0] >= p[0] and q[1] <= p[1] for q in points)}
    found = set()
    for record in records:
        architecture = lts.Architecture.from_json(json.dumps(record["architecture"]))
        values = record["values"]
        assert values["decoder_params"] == lts.decoder_params(architecture)
        assert values["latency_ms"] == pytest.approx(cost(architecture), abs=1e-9)
        assert record["provenance"] == {"decoder_params": "exact", "latency_ms": "predicted"}
        assert record["predicted_from"] == "measured layers"
        found.add((int(values["decoder_params"]), round(cost(architecture), 9)))
    assert found == best
    assert len(records) == len(found)


def fails(code: int, said: str, folder: Path, *options: str, **more: Any) -> None:
    done = run(folder, *options, **more)
    assert done.returncode == code, done.stderr
    assert not done.stdout
    lines = [line for line in done.stderr.splitlines() if not line.startswith("measured ")]
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error: ")
    assert said in lines[0]


def test_the_front_is_that_of_all_architectures(folder: Path) -> None:
    done = run(folder, "--trials", "1000")
    assert done.returncode == 0, done.stderr
    records = [json.loads(line) for line in done.stdout.splitlines()]
    check_front(records, folder, SPACE)
    assert "168 of 168 architectures" in done.stderr
    checks = [line for line in done.stderr.splitlines() if line.startswith("check: ")]
    assert len(checks) == 4
    assert all("measured as a whole" in line and "as the sum of layers" in line for line in checks)
    # Nothing is left to be done.
    again = run(folder, "--trials", "1000")
    assert again.stdout == done.stdout
    assert "measured models" not in again.stderr


def test_it_is_a_table_for_people(folder: Path) -> None:
    lines = run(folder, "-o", "table").stdout.splitlines()
    assert lines[0].split()[:2] == ["decoder_params", "latency_ms"]
    assert "(predicted from measured layers)" in lines[1]
    assert len(lines) == 2 + len(front(folder))


def killed_after(folder: Path, n: int, how: int) -> subprocess.Popen[str]:
    """A run that gets a signal when so many models were measured in it."""
    process = subprocess.Popen(
        [folder / "on_device", folder, "--min-time", "0.1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    for _ in range(n):
        assert process.stderr.readline().startswith("measured ")
    process.send_signal(how)
    return process


def test_it_survives_being_killed(folder: Path) -> None:
    for n in (0, 3, 1):
        before = len(state(folder)["measured"]) if (folder / "state.json").exists() else 0
        process = killed_after(folder, n, signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        if n:
            assert len(state(folder)["measured"]) >= before + n - 1  # the last may not have been saved
    resumed = front(folder)
    check_front(resumed, folder, SPACE)
    # An uninterrupted search with the same measurements.
    begun = state(folder)
    del begun["search"]
    (folder / "state.json").write_text(json.dumps(begun))
    assert front(folder) == resumed


def test_ctrl_c(folder: Path) -> None:
    process = killed_after(folder, 2, signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.endswith("interrupted: the same command resumes\n")
    assert not output
    assert len(state(folder)["measured"]) >= 2
    check_front(front(folder), folder, SPACE)


def test_more_trials_go_on(folder: Path) -> None:
    few = front(folder, "--trials", "5", "--seed", "3")
    assert state(folder)["search"]["n_told"] == 5
    assert 1 <= len(few) <= 5
    assert [r["trial"] for r in few] == [r["trial"] for r in front(folder, "--trials", "5")]
    check_front(front(folder), folder, SPACE)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--trials", "many"), "--trials is 'many'"),
        (("--trials", "-1"), "--trials is '-1'"),
        (("--min-time", "nan"), "--min-time is 'nan'"),
        (("--cpus", "0,x"), "--cpus is 'x'"),
        (("--cpus", "99999"), "--cpus is '99999'"),
        (("-o", "xml"), "-o is 'xml'; expected table or jsonl"),
        (("--seed",), "--seed"),
        (("--bogus", "1"), "unknown option '--bogus'"),
        (("another",), "unexpected argument 'another'"),
        (("--state", "{folder}/absent/state.json"), "cannot write {folder}/absent/state.json.new: No such file"),
    ],
)
def test_wrong_arguments(folder: Path, options: tuple[str, ...], said: str) -> None:
    fails(2, said.format(folder=folder), folder, *(option.format(folder=folder) for option in options))


def test_a_folder_that_is_not_there(made: Path, tmp_path: Path) -> None:
    command = [made / "on_device", tmp_path / "nowhere"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == f"error: cannot open {tmp_path}/nowhere/shapes.json: No such file or directory\n"
    done = subprocess.run([made / "on_device"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "FOLDER is missing" in done.stderr
    done = subprocess.run([made / "on_device", "--help"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("Usage: on_device FOLDER")


def test_a_damaged_index(folder: Path) -> None:
    path = folder / "shapes.json"
    whole = path.read_text()
    index = json.loads(whole)
    for text in ("", whole[: len(whole) // 2], "[]", "\0\0"):
        path.write_text(text)
        fails(2, "shapes.json", folder)
    for change, said in (
        ({"schema": 2}, "'schema' must be 1"),
        ({"threads": 0}, "'threads' must be an integer from 1"),
        ({"weights": "../weights.bin"}, "'weights' must be a path below the folder"),
        ({"space": {**index["space"], "family": "gpt9"}}, "shapes.json: 'space': unknown family 'gpt9'"),
        ({"models": [{"use": "layer"}]}, "models[0] has no 'model'"),
        ({"models": [{**index["models"][0], "use": "other"}]}, "'use' must be layer, rest or check"),
        ({"models": [m for m in index["models"] if m["use"] == "rest"]}, "needs a 'layer' of the same shape"),
        ({"bogus": 1}, "has the key 'bogus'"),
    ):
        path.write_text(json.dumps({**index, **change}))
        fails(2, said, folder)
    for models, said in (
        ([m for m in index["models"] if m["use"] == "check"], "has no 'rest' with d_model"),
        (index["models"][1:], "has no layer with d_model 16, n_head 1, n_kv_head 1, d_ff 32: prepare the folder again"),
    ):
        path.write_text(json.dumps({**index, "models": models}))
        (folder / "state.json").unlink(missing_ok=True)
        fails(2, said, folder)


def test_damaged_models(folder: Path) -> None:
    front(folder, "--trials", "1")
    (model, *_) = sorted(folder.glob("models/*/model.so"))
    intact = {path: path.read_bytes() for path in folder.glob("models/*/*")}

    def damaged(name: str, content: bytes | None, said: str) -> None:
        for path in folder.glob(f"models/*/{name}"):
            path.unlink() if content is None else path.write_bytes(content)
        (folder / "state.json").unlink(missing_ok=True)
        fails(3, said, folder)
        for path, whole in intact.items():
            path.write_bytes(whole)

    damaged("model.so", intact[model][:5000], "model.so is truncated")
    damaged("model.so", b"", "model.so is not a shared library")
    damaged("model.so", None, "model.so: No such file or directory")
    damaged("model.json", b"{", "model.json is not JSON")
    (folder / "weights.bin").write_bytes(b"few")
    damaged("none", b"", "weights.bin has 3 bytes")
    (folder / "libtvm_runtime.so").unlink()
    damaged("none", b"", "libtvm_runtime.so: No such file or directory")


def test_a_state_that_does_not_fit(folder: Path) -> None:
    front(folder, "--seed", "1")
    fails(2, "was begun with --seed 1, not 2", folder, "--seed", "2")
    path = folder / "state.json"
    whole = path.read_text()
    for text in ("", whole[: len(whole) // 2], "[]"):
        path.write_text(text)
        fails(2, "state.json", folder)
    content = json.loads(whole)
    for change, said in (
        ({"index": "00000000"}, "belongs to another shapes.json"),
        ({"device": "a toaster"}, "was measured on a toaster; this is "),
        ({"measured": {"a": {"ms": -1, "runs": 1}}}, "'ms' must be a number"),
        ({"search": {**content["search"], "n_told": -1}}, "'search': "),
    ):
        path.write_text(json.dumps({**content, **change}))
        fails(2, said, folder)


def test_a_full_disk(folder: Path) -> None:
    front(folder)
    with Path("/dev/full").open("w") as full:
        done = run(folder, stdout=full)
    assert done.returncode == 2
    assert "error: cannot write the front to stdout" in done.stderr


def test_what_cannot_be_prepared(made: Path, tmp_path: Path) -> None:
    for space, target, options, said in (
        (SPACE, "host", ("--n-prompt", "17"), "--n-prompt is 17; the architectures of the space have 16 positions"),
        (SPACE + "d_embed = [16, 32]\n", "host", (), "several choices of d_embed"),
        (SPACE, "nowhere", (), "unknown target 'nowhere'"),
        (SPACE, "sm_80", (), "target 'sm_80' is a gpu"),
    ):
        done = prepare(tmp_path / "folder", space, target, *options)
        assert done.returncode == 2
        assert said in done.stderr.splitlines()[-1]
        assert not (tmp_path / "folder" / "shapes.json").exists()
    done = prepare(made, SPACE, "host")
    assert done.returncode == 2
    assert "is prepared already" in done.stderr


def test_a_process_runs_many_models(made: Path, tmp_path: Path) -> None:
    triple = machine.triple()
    libraries = ROOT / "build" / f"on_device-{triple}" / "lts-engine" / "cpp" / "runner"
    program = tmp_path / "many_models"
    source = Path(__file__).parents[1].joinpath("many_models.cpp")
    files = [source, *(libraries / f"liblts_runner{part}.a" for part in ("", "_parts"))]
    subprocess.run([cxx(triple), "-std=c++20", f"-I{ROOT / 'cpp'}", *files, "-ldl", "-o", program], check=True)
    models = [str(path.relative_to(made)) for path in sorted(made.glob("models/*/model.json"))]
    command = [program, f"{made}/", metadata.version("apache-tvm"), "20", *models]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    lines = [line.split(" ", 1) for line in output.splitlines()]
    runs = [rest.split() for kind, rest in lines if kind == "run"]
    assert len(runs) == 20 * len(models)
    assert {n_warnings for _, _, n_warnings, _ in runs} == {"0"}
    assert len({(model, checksum) for model, checksum, _, _ in runs}) == len(models), "always the same output"
    assert {rest for kind, rest in lines if kind == "error"} == {
        f"cannot open {made}/nowhere/model.json: No such file or directory"
    }
    rounds = [tuple(map(int, rest.split())) for kind, rest in lines if kind == "round"]
    assert {mapped for _, mapped in rounds} == {0}, "no library of a model stays"
    assert rounds[-1][0] - rounds[4][0] < 512, rounds
    said = dict(lines)
    assert said["folder"] == f"TVM is loaded from {made}/, not from /elsewhere/: use another process"
    assert said["threads"] == "this process runs models with 'threads' = 1, not 2: use another process"
    assert said["cpus"].startswith("this process runs models on other processors than")


def test_on_arm64(tmp_path: Path) -> None:
    if reason := emulation_is_missing():
        pytest.skip(reason)
    folder = prepared_folder(tmp_path / "prepared", SMALL_SPACE, "arm64")
    command = ("qemu-aarch64", "-L", "/usr/aarch64-linux-gnu")
    check_front(front(folder, command=command), folder, SMALL_SPACE)
    content = state(folder)
    assert content["device"].endswith("aarch64-linux-gnu")
    (model, *_) = folder.glob("models/*x2/model.so")
    model.write_bytes(model.read_bytes()[:5000])
    (folder / "state.json").unlink()
    fails(3, "model.so is truncated", folder, "--trials", "100", command=command)
