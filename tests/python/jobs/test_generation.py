"""Compiled models that generate: on this machine and emulated, the tokens of PyTorch and of transformers."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from embedding import AARCH64, HOST, build, command
from emulation import emulation_is_missing

import lts
from lts.backends.backend import load_backend
from lts.export import RandomWeights, export, onnx_model
from lts.jobs.bundle import make_bundle
from lts.measure.deployment import deploy
from lts.system import machine
from lts.targets.target import load_target
from lts.targets.workload import Workload

pytest.importorskip("tvm", reason="TVM is not installed")
torch = pytest.importorskip("torch", reason="PyTorch is not installed")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

VOCAB, POSITIONS, CHUNK = 300, 272, 128
ARCHITECTURES = {
    "llama": lts.Architecture(
        family="llama",
        d_model=64,
        n_layer=2,
        n_head=[4, 8],
        n_kv_head=[2, 1],
        d_ff=[96, 200],
        vocab_size=VOCAB,
        n_positions=POSITIONS,
    ),
    "gpt_neox": lts.Architecture(
        family="gpt_neox",
        d_model=48,
        n_layer=4,
        n_head=[3, 0, 4, 0],
        d_ff=[96, 100, 0, 0],
        head_dim=16,
        rotary_dim=4,
        vocab_size=VOCAB,
        n_positions=POSITIONS,
    ),
    "gpt2": lts.Architecture(
        family="gpt2",
        d_model=60,
        n_layer=2,
        n_head=[3, 5],
        d_ff=[100, 33],
        vocab_size=VOCAB,
        n_positions=POSITIONS,
    ),
}
# Beginnings and ends of chunks, prompts shorter than what fills one up, and all positions.
LENGTHS = (1, 2, 10, 11, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, POSITIONS - 31, POSITIONS)
WEIGHTS = RandomWeights(5, 0.2)  # large enough that the likeliest token is clear
N_GEN = 32


@dataclass(frozen=True)
class Place:
    """Where compiled models run."""

    target: str
    runtime: Path
    emulator: tuple[str, ...] = ()

    def runner(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.emulator, str(self.runtime / "lts-runner"), *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )

    def tokens(self, model: Path, prompt: list[int], n_gen: int, *options: str) -> list[int]:
        """What lts-runner generates, whose lines are checked."""
        text = " ".join(map(str, prompt))
        done = self.runner(str(model), "--generate", text, "--n-gen", str(n_gen), *options)
        assert (done.returncode, done.stderr) == (0, "")
        *lines, last = [json.loads(line) for line in done.stdout.splitlines()]
        assert (last["tokens"], last["prompt_tokens"]) == (n_gen, len(prompt))
        times = {"load_ms", "prompt_ms"} | ({"decode_ms_per_token"} if n_gen > 1 else set())
        assert set(last) == {"tokens", "prompt_tokens"} | times
        assert all(last[name] > 0 for name in times)
        assert all(set(line) == {"token"} for line in lines)
        return [line["token"] for line in lines]


@pytest.fixture(scope="module", params=["host", "arm64"])
def place(request: pytest.FixtureRequest) -> Place:
    if request.param == "host":
        return Place("host", make_bundle(machine.triple()))
    if reason := emulation_is_missing():
        pytest.skip(reason)
    return Place("arm64", make_bundle("aarch64-linux-gnu"), ("qemu-aarch64", "-L", "/usr/aarch64-linux-gnu"))


@pytest.fixture(scope="module")
def host() -> Place:
    return Place("host", make_bundle(machine.triple()))


Compile = Callable[..., Path]


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The folder of an architecture compiled for a target, in a precision; each once."""
    backend = load_backend("tvm")
    known: dict[tuple[str, str, str], Path] = {}

    def make(architecture: str | lts.Architecture, target: str, precision: str = "float32") -> Path:
        key = (str(architecture), target, precision)
        if key not in known:
            goal = replace(load_target(target), precision=precision, threads=1)
            folder = tmp_path_factory.mktemp("compiled")
            given = ARCHITECTURES[architecture] if isinstance(architecture, str) else architecture
            done = deploy(given, folder, goal, backend, weights=WEIGHTS, workload=Workload(n_prompt=16))
            assert done.error is None
            (known[key],) = done.files
        return known[key]

    yield make
    backend.close()


def prompt(length: int) -> list[int]:
    return list(np.random.default_rng(length).integers(0, VOCAB, length).tolist())


def greedy(network: Any, tokens: list[int], n_gen: int) -> list[int]:
    tokens = list(tokens)
    for _ in range(n_gen):
        tokens.append(int(network(torch.tensor([tokens]))[0, -1].argmax()))
    return tokens[-n_gen:]


@pytest.mark.parametrize("family", ARCHITECTURES)
def test_the_tokens_are_those_of_pytorch(place: Place, compiled: Compile, family: str) -> None:
    from lts.networks.network import Network

    torch.set_num_threads(1)
    network = Network(ARCHITECTURES[family], WEIGHTS).eval()
    model = compiled(family, place.target)
    for length in LENGTHS:
        n_gen = min(N_GEN, POSITIONS - length + 1)
        given = prompt(length)
        with torch.no_grad():
            assert place.tokens(model, given, n_gen) == greedy(network, given, n_gen), length


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_the_tokens_are_those_of_transformers(host: Place, compiled: Compile, family: str, tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    heads = {"n_kv_head": [2, 2]} if family == "llama" else {}
    architecture = lts.Architecture(
        family=family, d_model=64, n_layer=2, n_head=[4, 4], d_ff=[96, 96], vocab_size=VOCAB, n_positions=96, **heads
    )
    export(architecture, tmp_path, ("hf",), weights=WEIGHTS)
    network = transformers.AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    given = prompt(40)
    said = network.generate(torch.tensor([given]), max_new_tokens=N_GEN, do_sample=False, eos_token_id=None)
    assert host.tokens(compiled(architecture, "host"), given, N_GEN) == said[0, 40:].tolist()


@pytest.mark.parametrize("precision", ["float16", "int8", "int4"])
@pytest.mark.parametrize("family", ARCHITECTURES)
def test_other_precisions_mostly_agree_with_onnx(
    place: Place, compiled: Compile, family: str, precision: str, tmp_path: Path
) -> None:
    runtime = pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
    if precision == "float16" and place.target == "host" and not machine.triple().startswith("aarch64"):
        pytest.skip("the backend compiles float16 for aarch64")
    path = tmp_path / "prefill.onnx"
    model = onnx_model(ARCHITECTURES[family], "prefill", logits="last", precision=precision, weights=WEIGHTS)
    path.write_bytes(model.SerializeToString())
    session = runtime.InferenceSession(str(path))
    folder = compiled(family, place.target, precision)
    same = []
    for length in range(20, 60):
        ids = np.array([prompt(length)])
        (logits,) = session.run(["logits"], {"input_ids": ids, "attention_mask": np.ones_like(ids)})
        same.append(place.tokens(folder, ids[0].tolist(), 1) == [int(logits[0, -1].argmax())])
    assert np.mean(same) >= 0.95


def test_a_seed_is_a_sequence(host: Place, compiled: Compile) -> None:
    model = compiled("gpt2", "host")
    first = host.tokens(model, [1, 2, 3], 20, "--seed", "1")
    assert host.tokens(model, [1, 2, 3], 20, "--seed", "1") == first
    assert host.tokens(model, [1, 2, 3], 20, "--seed", "2") != first
    assert host.tokens(model, [1, 2, 3], 20) == host.tokens(model, [1, 2, 3], 20, "--greedy") != first


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--generate", f"1 {VOCAB}"], f"the token {VOCAB} is not in the vocabulary, which has 0 to {VOCAB - 1}"),
        (["--generate", "1 one"], "a token of --generate is 'one'; expected a number from 0 to 2147483647"),
        (
            ["--generate", "1", "--n-gen", f"{POSITIONS + 1}"],
            f"1 tokens and {POSITIONS + 1} to generate are too many: the model has {POSITIONS} positions",
        ),
        (["--generate", "1", "--threads", "0"], "--threads is '0'; expected a number from 1 to 1024"),
    ],
)
def test_what_is_wrong_is_said(host: Place, compiled: Compile, arguments: list[str], sentence: str) -> None:
    done = host.runner(str(compiled("gpt2", "host")), *arguments)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"lts-runner: {sentence}\n")


def test_all_positions_are_used_and_no_more(host: Place, compiled: Compile) -> None:
    model = compiled("gpt2", "host")
    assert len(host.tokens(model, [1], POSITIONS)) == POSITIONS
    done = host.runner(str(model), "--generate", " ".join(["1"] * (POSITIONS + 1)), "--n-gen", "1")
    assert done.returncode == 2
    assert "too many" in done.stderr


def test_a_model_without_a_cache_does_not_generate(host: Place, tmp_path: Path) -> None:
    architecture = lts.SearchSpace.load("gpt2-tiny").sample(1, 1)[0]
    backend = load_backend("tvm")
    try:
        goal = load_target("host")
        done = deploy(architecture, tmp_path, goal, backend, workload=Workload(n_prompt=8, logits="all"))
    finally:
        backend.close()
    folders = [file.name for file in done.files]
    assert folders[0] == "prefill"
    said = host.runner(str(tmp_path / "host" / "prefill"), "--generate", "1")
    assert said.returncode == 2
    assert said.stderr == (
        f"lts-runner: {tmp_path}/host/prefill/model.json has no cache that it could generate with: it is a model of "
        "fixed sizes, for prefill alone\n"
    )


def test_the_interface_in_c(host: Place, compiled: Compile) -> None:
    """tests/cpp/runner/c_api, whose tests with a model need one."""
    built = build(HOST, "lts_runner_c_tests") / "tests" / "cpp" / "lts_runner_c_tests"
    if not built.is_file():
        pytest.skip("lts::runner was not built: the headers of apache-tvm-ffi were not found")
    places = {"LTS_TEST_MODEL": str(compiled("llama", "host")), "LTS_TEST_BUNDLE": str(host.runtime)}
    said = command(built, env=places)
    assert "SKIPPED" not in said
    assert "[  PASSED  ]" in said


def test_the_example_talks(place: Place, compiled: Compile, tmp_path: Path) -> None:
    platform = AARCH64 if place.emulator else HOST
    talk = build(platform, "talk") / "examples" / "talk" / "talk"
    model = compiled("llama", place.target)

    def talked(lines: str) -> subprocess.CompletedProcess[str]:
        words = [*place.emulator, str(talk), str(model), str(place.runtime), "4"]
        return subprocess.run(words, input=lines, capture_output=True, text=True, check=False, timeout=600)

    first = place.tokens(model, [1, 2, 3], 4)
    second = place.tokens(model, [1, 2, 3, *first, 4], 4)
    answers = "".join(" ".join(map(str, tokens)) + "\n" for tokens in (first, second, first))
    done = talked("1 2 3\n4\nreset\n1 2 3\n")
    assert (done.returncode, done.stderr, done.stdout) == (0, "", answers)
    done = talked("1 two\n")
    assert (done.returncode, done.stderr) == (2, "talk: a line is numbers of tokens, or reset\n")
    done = talked(f"{VOCAB}\n")
    assert done.returncode == 2
    assert done.stderr.startswith(f"talk: step: the token {VOCAB} is not in the vocabulary")


def test_the_example_is_built_with_an_installation(compiled: Compile, host: Place, tmp_path: Path) -> None:
    built = build(HOST, "lts", "lts_c", "lts_runner")
    command("cmake", "--install", built, "--prefix", tmp_path / "prefix")
    if not list(built.glob("cpp/runner/liblts_runner.a")):
        pytest.skip("lts::runner was not built: the headers of apache-tvm-ffi were not found")
    command("cmake", "--install", built, "--prefix", tmp_path / "prefix", "--component", "runner")
    source = shutil.copytree(Path(__file__).parents[3] / "examples" / "talk", tmp_path / "talk")
    command("cmake", "-S", source, "-B", tmp_path / "build", f"-DCMAKE_PREFIX_PATH={tmp_path / 'prefix'}")
    command("cmake", "--build", tmp_path / "build")
    words = [str(tmp_path / "build" / "talk"), str(compiled("llama", "host")), str(host.runtime), "3"]
    said = subprocess.run(words, input="1 2 3\n", capture_output=True, text=True, check=True)
    assert [int(word) for word in said.stdout.split()] == host.tokens(compiled("llama", "host"), [1, 2, 3], 3)
