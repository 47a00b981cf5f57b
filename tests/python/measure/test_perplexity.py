"""Perplexity of exported models against transformers, the windows of a text, and texts as tokens."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import run
from hypothesis import given
from hypothesis import strategies as st

import lts
from lts.errors import MeasurementError, UsageError
from lts.export import RandomWeights, export
from lts.export.decoder import decoder_graph
from lts.export.weights import GivenWeights
from lts.measure.perplexity import (
    LONGEST_WINDOW,
    MOST_WINDOWS,
    Perplexity,
    perplexities,
    sentences,
    windows_of,
)
from lts.measure.pretrained import is_pretrained, read_pretrained
from lts.measure.tokens import read_tokens

KINDS = ("gpt2", "llama")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Any]]:
    """Folders of small models of transformers, whose logits are far from uniform, and the models."""
    torch = pytest.importorskip("torch", reason="torch is not installed")
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    torch.manual_seed(0)
    common = {"vocab_size": 256, "initializer_range": 0.2}
    gpt2 = transformers.GPT2Config(n_positions=24, n_embd=64, n_layer=2, n_head=4, **common)
    llama = transformers.LlamaConfig(
        max_position_embeddings=24,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        rms_norm_eps=1e-5,
        **common,
    )
    made = {"gpt2": transformers.GPT2LMHeadModel(gpt2), "llama": transformers.LlamaForCausalLM(llama)}
    found = {}
    for name, model in made.items():
        folder = tmp_path_factory.mktemp(name)
        model.eval().save_pretrained(folder)
        found[name] = folder, model
    return found


def losses_of(model: Any, windows: Any) -> Any:
    """The loss of every window as transformers computes it."""
    import torch

    with torch.no_grad():
        return np.array([float(model(torch.tensor(w)[None], labels=torch.tensor(w)[None]).loss) for w in windows])


@pytest.mark.parametrize("kind", KINDS)
def test_perplexity_is_that_of_transformers(models: dict[str, tuple[Path, Any]], kind: str) -> None:
    folder, theirs = models[kind]
    ours = read_pretrained(folder)
    ids = np.random.default_rng(1).integers(0, 256, 200)
    windows = windows_of(ids, ours.architecture.n_positions)
    assert windows.shape == (8, 24)
    expected = losses_of(theirs, windows)
    found = perplexities(ours.architecture, ours.weights, windows, ("float32", "float32"))
    assert list(found) == ["float32"]
    assert found["float32"].losses == pytest.approx(expected, rel=1e-4)
    assert found["float32"].value == pytest.approx(math.exp(expected.mean()), rel=1e-3)
    # Standard error of the exponential of a mean, by resampling windows.
    random = np.random.default_rng(2)
    resampled = np.exp(random.choice(expected, (20_000, len(expected))).mean(axis=1)).std()
    assert found["float32"].error == pytest.approx(resampled * math.sqrt(8 / 7), rel=0.05)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("precision", "least"), [("int8", 0.0), ("int4", 0.002)])
def test_rounding_changes_perplexity_as_rounded_weights_do(
    models: dict[str, tuple[Path, Any]], kind: str, precision: str, least: float
) -> None:
    """Against transformers' loss with the stored numbers as weights; activations in 8 bits add a little."""
    import torch

    folder, _ = models[kind]
    ours = read_pretrained(folder)
    windows = windows_of(np.random.default_rng(1).integers(0, 256, 400), ours.architecture.n_positions)
    found = perplexities(ours.architecture, ours.weights, windows, ("float32", precision))
    change, error = found[precision].change(found["float32"])
    assert error is not None
    assert error > 0

    # Weights as they are after rounding: each matrix of the float32 model put in place of the one it was rounded from.
    source = GivenWeights(dict(ours.weights))
    rounded = {name: np.array(array) for name, array in ours.weights.items()}
    for tensor in decoder_graph(ours.architecture, "prefill", precision=precision)[1]:
        if tensor.encoding.rounded is None or len(tensor.shape_of_weights) == 1:
            continue
        values, begin = source.rounded(tensor), 0
        for piece in tensor.pieces:
            end = begin + piece.shape[tensor.axis]
            part = values[(slice(None),) * tensor.axis + (slice(begin, end),)]
            rounded[piece.weight.name] = np.ascontiguousarray(part.T if piece.transposed else part)
            begin = end
    export(ours.architecture, folder / precision, ["hf"], weights=rounded)
    import transformers

    theirs = transformers.AutoModelForCausalLM.from_pretrained(folder / precision).eval()
    with torch.no_grad():
        expected = losses_of(theirs, windows)
    assert found[precision].losses == pytest.approx(expected, abs=0.05)
    plain = found["float32"].losses
    assert abs(change - math.expm1(float((expected - plain).mean()))) < 0.02
    assert abs(change) >= least


def test_the_change_is_taken_window_by_window() -> None:
    random = np.random.default_rng(0)
    before = random.uniform(2, 4, 16)  # windows are of very different difficulty
    after = before + 0.05 + 0.001 * random.standard_normal(16)
    first, second = Perplexity(before), Perplexity(after)
    change, error = second.change(first)
    assert change == pytest.approx(second.value / first.value - 1, rel=1e-9)
    assert error is not None
    assert first.error is not None
    assert error < 0.01 * first.error
    assert Perplexity(before[:1]).error is None
    assert Perplexity(after[:1]).change(Perplexity(before[:1]))[1] is None
    lines = sentences({"float32": first, "int8": second}, np.zeros((16, 8), np.int64), "text")
    assert lines[0].startswith("perplexity on text, measured with ONNX Runtime: 16 windows of 8 tokens")
    assert lines[1] == f"  float32: {first.value:.4g} ± {first.error:.2g}"
    assert lines[2].endswith(f"{100 * change:+.2f} ± {100 * error:.2g} % against float32")
    (_, alone) = sentences({"float32": Perplexity(before[:1])}, np.zeros((1, 8), np.int64), "text")
    assert "±" not in alone


def test_the_perplexity_of_a_uniform_guess_is_the_vocabulary() -> None:
    architecture = lts.Architecture("gpt2", vocab_size=50, n_positions=8, d_model=16, n_head=2, d_ff=32, n_layer=1)
    weights = {w.name: np.zeros(w.shape, np.float32) for w in lts.weights(architecture)}
    windows = windows_of(np.arange(40), 8)
    assert perplexities(architecture, weights, windows, ["float32"])["float32"].value == pytest.approx(50, rel=1e-5)
    weights["final_norm.bias"][:] = np.inf
    with pytest.raises(MeasurementError, match="float32: logits are not finite"):
        perplexities(architecture, weights, windows, ["float32"])


@given(st.integers(2, 5 * LONGEST_WINDOW), st.integers(2, 2 * LONGEST_WINDOW))
def test_windows_are_the_text_in_order(n: int, n_positions: int) -> None:
    windows = windows_of(np.arange(n), n_positions)
    count, length = windows.shape
    assert windows.ravel().tolist() == list(range(windows.size))
    assert length == min(n, n_positions, LONGEST_WINDOW)
    assert 1 <= count <= MOST_WINDOWS
    assert n - windows.size < length or count == MOST_WINDOWS


@pytest.mark.parametrize(("n", "positions"), [(1, 8), (0, 8), (8, 1)])
def test_too_little_for_perplexity(n: int, positions: int) -> None:
    with pytest.raises(UsageError, match="perplexity needs at least 2 tokens and positions"):
        windows_of(np.arange(n), positions)


# --- Tokens ---


def tokenizer(folder: Path) -> Path:
    """A tokenizer of words."""
    tokenizers = pytest.importorskip("tokenizers", reason="tokenizers is not installed")
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel({"[UNK]": 0, "to": 1, "be": 2, "or": 3, "not": 4}, "[UNK]"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    made.enable_truncation(3)  # as a folder of a model may say, and a text is longer
    made.enable_padding(length=20)
    made.save(str(folder / "tokenizer.json"))
    return folder / "tokenizer.json"


def test_a_text_is_tokenized(tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("to be or not to be, é", encoding="utf-8")
    chosen = tokenizer(tmp_path)
    assert read_tokens(text, 5, 100, chosen).tolist() == [1, 2, 3, 4, 1, 2, 0, 0]
    assert read_tokens(text, 5, 3, chosen).tolist() == [1, 2, 3]
    text.write_bytes(b"to be " * 20 + "é".encode()[:1])  # cut within a character only where it is not the end
    with pytest.raises(UsageError, match="no UTF-8 text: byte 120"):
        read_tokens(text, 5, 1000, chosen)
    text.write_text("to b" + "é" * 1000, encoding="utf-8")  # a character is cut where enough is read
    assert read_tokens(text, 5, 2, chosen).tolist() == [1, 0]
    text.write_text("to be or not")
    with pytest.raises(UsageError, match="has the token 4; those of the model are 0 to 3"):
        read_tokens(text, 4, 100, chosen)
    chosen.write_text("{}")
    with pytest.raises(UsageError, match=r"tokenizer.json is no tokenizer that can be read"):
        read_tokens(text, 5, 100, chosen)


def test_without_the_package_that_tokenizes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = tmp_path / "text.txt"
    text.write_text("to be")
    (tmp_path / "tokenizer.json").write_text("{}")
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(UsageError, match=r"pip install 'lts-engine\[text\]'; or give token ids as a .npy file"):
        read_tokens(text, 5, 100, tmp_path / "tokenizer.json")


def test_bytes_are_tokens_of_a_vocabulary_of_256(tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_bytes(bytes(range(256)))
    assert read_tokens(text, 256, 1000).tolist() == list(range(256))
    assert read_tokens(text, 256, 10).tolist() == list(range(10))
    with pytest.raises(UsageError, match=r"has no tokenizer.json, and its 255 tokens are no bytes: give the ids"):
        read_tokens(text, 255, 1000)
    text.write_bytes(b"x")
    with pytest.raises(UsageError, match="has 1 tokens; at least 2 are needed"):
        read_tokens(text, 256, 1000)
    with pytest.raises(UsageError, match=r"cannot read .*: No such file"):
        read_tokens(tmp_path / "none", 256, 1000)
    with pytest.raises(UsageError, match=r"cannot read .*: Is a directory"):
        read_tokens(tmp_path, 256, 1000)


@pytest.mark.parametrize("dtype", ["u1", "i4", "<i8", ">u2"])
def test_ids_are_given_as_an_array(tmp_path: Path, dtype: str) -> None:
    np.save(tmp_path / "ids.npy", np.arange(20, dtype=dtype))
    found = read_tokens(tmp_path / "ids.npy", 20, 15, tmp_path / "not looked at")
    assert found.dtype == np.int64
    assert found.tolist() == list(range(15))


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.arange(6.0), r"holds float64 \[6\]; expected token ids: integers of one dimension"),
        (np.zeros((2, 3), int), r"holds int64 \[2, 3\]; expected token ids"),
        (np.array([True, False]), r"holds bool \[2\]; expected token ids"),
        (np.array([1, -1, 2]), "has the token -1; those of the model are 0 to 9"),
        (np.array([1, 10]), "has the token 10; those of the model are 0 to 9"),
        (np.array([2**64 - 1, 1], np.uint64), "has the token 18446744073709551615; those"),
        (np.array([], int), "has 0 tokens; at least 2"),
        (np.array([{"a": 1}], dtype=object), "is no array of NumPy"),
    ],
)
def test_arrays_that_are_no_ids(tmp_path: Path, array: Any, message: str) -> None:
    np.save(tmp_path / "ids.npy", array)
    with pytest.raises(UsageError, match=message):
        read_tokens(tmp_path / "ids.npy", 10, 100)


def test_files_that_are_no_arrays(tmp_path: Path) -> None:
    for content in (b"", b"text", b"\x93NUMPY\x01\x00", b"PK\x03\x04"):
        (tmp_path / "ids.npy").write_bytes(content)
        with pytest.raises(UsageError, match="is no array of NumPy"):
            read_tokens(tmp_path / "ids.npy", 10, 100)
    np.savez(tmp_path / "ids.npz", np.arange(3))
    (tmp_path / "ids.npz").rename(tmp_path / "ids.npy")
    with pytest.raises(UsageError, match="is no array of NumPy"):
        read_tokens(tmp_path / "ids.npy", 10, 100)


# --- Models ---


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_what_was_exported_is_read_again(tmp_path: Path, family: str) -> None:
    """Also in the per-layer form, with layers that differ."""
    for n_head, d_ff in ((2, 32), ([2, 4], [32, 64])):
        architecture = lts.Architecture(
            family, vocab_size=50, n_positions=16, d_model=16, n_head=n_head, d_ff=d_ff, n_layer=2
        )
        export(architecture, tmp_path, ["hf"], seed=3)
        assert is_pretrained(tmp_path)
        found = read_pretrained(tmp_path)
        assert found.architecture.to_json() == architecture.to_json()
        assert found.tokenizer is None
        random = RandomWeights(3)
        for weight in lts.weights(architecture):
            assert np.array_equal(found.weights[weight.name], random.array(weight))


@pytest.mark.parametrize(
    ("kind", "changes", "message"),
    [
        ("gpt2", {"activation_function": "gelu"}, "its activation_function is gelu; only"),
        ("llama", {"sliding_window": 8}, "its sliding_window is 8, which is not known of a llama"),
        ("llama", {"rope_parameters": {"rope_type": "yarn"}}, "its rope_scaling is yarn; only"),
        ("llama", {"model_type": "qwen3"}, "unknown model_type 'qwen3'"),
    ],
)
def test_models_that_would_compute_something_else(
    models: dict[str, tuple[Path, Any]], tmp_path: Path, kind: str, changes: dict[str, Any], message: str
) -> None:
    config = json.loads((models[kind][0] / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | changes))
    with pytest.raises(UsageError, match=message):
        read_pretrained(tmp_path)


def test_folders_that_are_no_models(models: dict[str, tuple[Path, Any]], tmp_path: Path) -> None:
    assert not is_pretrained(tmp_path)
    with pytest.raises(UsageError, match=r"cannot read .*config.json: No such file"):
        read_pretrained(tmp_path)
    for content, message in (("{", "is no JSON:"), ("[1]", "is no JSON object"), ("\udcff", "is no JSON:")):
        (tmp_path / "config.json").write_text(content, errors="surrogateescape")
        with pytest.raises(UsageError, match=message):
            read_pretrained(tmp_path)
    (tmp_path / "config.json").write_bytes((models["gpt2"][0] / "config.json").read_bytes())
    with pytest.raises(UsageError, match=r"has neither model.safetensors nor model.safetensors.index.json"):
        read_pretrained(tmp_path)
    (tmp_path / "model.safetensors.index.json").write_text("{}")
    with pytest.raises(UsageError, match=r"is no index of tensors; expected"):
        read_pretrained(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(UsageError, match="is no safetensors file"):
        read_pretrained(tmp_path)


# --- The command ---


def test_export_says_what_a_precision_costs(models: dict[str, tuple[Path, Any]], tmp_path: Path) -> None:
    folder, theirs = models["gpt2"]
    text = tmp_path / "text.txt"
    text.write_bytes(b"The quick brown fox jumps over the lazy dog. " * 4)
    done = run(
        "export",
        folder,
        "--precision",
        "int4",
        "--text",
        text,
        "-O",
        "out",
        "--format",
        "onnx",
        "-o",
        "jsonl",
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    files = [Path(json.loads(line)["file"]) for line in done.stdout.splitlines()]
    assert {file.name for file in files} == {"model.onnx", "weights.bin", "config.json", "genai_config.json"}
    assert all((tmp_path / file).is_file() for file in files)
    assert "errors of int4, exact" in done.stderr
    assert "median of 10" in done.stderr
    windows = windows_of(np.frombuffer(text.read_bytes(), np.uint8).astype(np.int64), 24)
    expected = math.exp(losses_of(theirs, windows).mean())
    assert f"{len(windows)} windows of 24 tokens" in done.stderr
    assert "the first 168 tokens count" in done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("  float32: ")]
    value, _, error = line.removeprefix("  float32: ").partition(" ± ")
    assert float(value) == pytest.approx(expected, rel=2e-3)
    assert float(error) > 0
    assert " % against float32" in done.stderr
    plain = run("export", folder, "-O", "plain", "--format", "json", cwd=tmp_path)
    assert plain.returncode == 0
    assert plain.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--pick", "best"), "--pick is about members of a study, and {folder} is a model; leave it out"),
        (("--seed", 1), "--seed is about random weights, and these are trained"),
        (("-O", "{folder}"), "--output-dir is the folder of the model itself"),
        (("--text", "none.txt"), "cannot read none.txt: No such file"),
    ],
)
def test_export_of_a_model_refuses(
    models: dict[str, tuple[Path, Any]], tmp_path: Path, arguments: tuple[Any, ...], message: str
) -> None:
    folder, _ = models["gpt2"]
    done = run("export", folder, *(str(each).replace("{folder}", str(folder)) for each in arguments), cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert message.replace("{folder}", str(folder)) in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


def test_random_weights_have_no_report(tmp_path: Path) -> None:
    search = [sys.executable, "-m", "lts", "search", "gpt2-tiny", "--target", "arm64", "--device", "none"]
    search += ["--trials", "200", "--export", "none", "-O", "found"]
    subprocess.run(search, cwd=tmp_path, check=True, capture_output=True, timeout=120)
    done = run("export", "found", "--precision", "int8", "--format", "json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "the weights are random, and how far int8 moves them says nothing of trained ones" in done.stderr
    assert "median of" not in done.stderr
    (tmp_path / "text").write_text("text")
    refused = run("export", "found", "--precision", "int8", "--text", "text", cwd=tmp_path)
    assert refused.returncode == 2
    assert "--text needs weights that were trained, and those of found are random" in refused.stderr
