"""Exported models in the programs that load them, by the snippets of docs/formats.md, against transformers' classes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reference_models
from export_runner import arrays
from transformers_models import OLDEST, REASON

import lts
from lts.backends.onnxruntime import OnnxRuntime
from lts.export import export

FORMATS = Path(__file__).resolve().parents[3] / "docs" / "formats.md"
needs_optimum = pytest.mark.skipif(not OLDEST.is_dir(), reason=REASON)
needs_genai = pytest.mark.skipif(find_spec("onnxruntime_genai") is None, reason="onnxruntime-genai is not installed")
needs_torch = pytest.mark.skipif(reference_models.torch is None, reason=reference_models.REASON)

EQUAL = {
    "gpt2": lts.Architecture("gpt2", 257, 64, 32, n_layer=3, n_head=4, d_ff=64),
    "llama": lts.Architecture("llama", 257, 64, 32, n_layer=2, n_head=4, n_kv_head=2, d_ff=64),
}
DIFFERENT = {
    "gpt2 per layer": lts.Architecture("gpt2", 257, 64, 32, n_head=[4, 2, 8], d_ff=[64, 32, 96]),
    "llama per layer": lts.Architecture("llama", 257, 64, 32, n_head=[4, 2, 8], n_kv_head=[4, 2, 2], d_ff=[64, 32, 96]),
    "llama without parts": lts.Architecture(
        "llama", 257, 64, 32, n_head=[0, 4, 2], n_kv_head=[0, 2, 2], d_ff=[64, 0, 96], head_dim=8, rotary_theta=1e5
    ),
    "gpt_neox": lts.Architecture("gpt_neox", 257, 64, 32, n_head=[4, 2], d_ff=[64, 32], rotary_dim=4),
    "hw_gpt": lts.Architecture("hw_gpt", 257, 64, 32, n_head=[4, 2], d_ff=[64, 32], head_dim=12),
    "gpt2 adaptive": lts.Architecture("gpt2", 257, 64, 32, n_head=[2, 4], d_ff=48, cutoffs=[100, 257], div_val=2),
}
ALL = {**EQUAL, **DIFFERENT}
PROMPT = [1, 2, 3]


def snippets(*words: str) -> list[str]:
    """Those of the page that have all these words."""
    found = re.findall(r"^```python\n(.*?)^```$", FORMATS.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return [snippet for snippet in found if all(word in snippet for word in words)]


def said(folder: Path, code: str, path: Path | None = None) -> Any:
    """The tokens that a snippet ends with, run in a folder that has the exported models in "ship"."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(path or "")}
    environment["HF_MODULES_CACHE"] = str(folder / "modules")
    printed = "import json as _json\nprint(_json.dumps([int(x) for x in np.asarray(tokens).ravel()]))\n"
    command = [sys.executable, "-W", "ignore", "-c", f"import numpy as np\n{code}\n{printed}"]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


def greedy(architecture: lts.Architecture, weights: Any, ids: Sequence[int], n: int) -> list[int]:
    """What the independent model of PyTorch says, token by token, without a cache."""
    ids = list(ids)
    for _ in range(n):
        logits = reference_models.logits(architecture, weights, np.array([ids]))
        ids.append(int(logits[0, -1].argmax()))
    return ids


def shipped(architecture: lts.Architecture, folder: Path, **options: Any) -> dict[str, np.ndarray]:
    """The weights of an architecture that is exported to "ship"."""
    weights = arrays(architecture)
    export(architecture, folder / "ship", ["onnx"], logits="last", weights=weights, **options)
    return weights


@needs_torch
@pytest.mark.parametrize("name", ["gpt2", "llama per layer"])
def test_the_loop_in_plain_python(name: str, tmp_path: Path) -> None:
    weights = shipped(ALL[name], tmp_path)
    (loop,) = snippets('InferenceSession("ship/model.onnx"')
    assert len([line for line in loop.splitlines() if line.strip()]) <= 25
    first = greedy(ALL[name], weights, PROMPT, 8)
    second = greedy(ALL[name], weights, [*first, 4, 5], 8)
    assert said(tmp_path, loop) == first[3:] + second[-8:]


@needs_torch
@needs_optimum
@pytest.mark.slow
@pytest.mark.parametrize("position_ids", [False, True])
@pytest.mark.parametrize("name", EQUAL)
def test_optimum(name: str, position_ids: bool, tmp_path: Path) -> None:
    """`ORTModelForCausalLM` generates what transformers' own class does with the same weights: padded, and in beams."""
    weights = shipped(EQUAL[name], tmp_path, position_ids=position_ids)
    export(EQUAL[name], tmp_path / "own", ["hf"], weights=weights)
    (one, _) = snippets("ORTModelForCausalLM")
    more = (
        "from transformers import AutoModelForCausalLM\n"
        'own = AutoModelForCausalLM.from_pretrained("own")\n'
        "ids, mask = torch.tensor([[0, 0, 5, 6, 7], [1, 2, 3, 4, 5]]), torch.tensor([[0, 0, 1, 1, 1], [1] * 5])\n"
        "for options in ({}, {'num_beams': 3}):\n"
        "    options |= {'max_new_tokens': 12, 'do_sample': False, 'pad_token_id': 0, 'attention_mask': mask}\n"
        "    assert (model.generate(ids, **options) == own.generate(ids, **options)).all(), options\n"
    )
    assert said(tmp_path, one + more, OLDEST) == greedy(EQUAL[name], weights, PROMPT, 8)


@needs_torch
@needs_optimum
@pytest.mark.slow
@pytest.mark.parametrize("name", ["gpt2 per layer", "llama per layer", "llama without parts"])
def test_optimum_with_layers_that_differ(name: str, tmp_path: Path) -> None:
    weights = shipped(DIFFERENT[name], tmp_path)
    (_, different) = snippets("ORTModelForCausalLM")
    assert said(tmp_path, different, OLDEST) == greedy(DIFFERENT[name], weights, PROMPT, 8)


@needs_torch
@needs_genai
@pytest.mark.parametrize("cache", ["copied", "in_place"])
@pytest.mark.parametrize("name", ALL)
def test_genai(name: str, cache: str, tmp_path: Path) -> None:
    if cache == "in_place" and OnnxRuntime().cache({"onnxruntime": __import__("onnxruntime").__version__}) != cache:
        pytest.skip("ONNX Runtime before 1.22 has no such operation")
    weights = shipped(ALL[name], tmp_path, cache=cache, position_ids=name == "llama")
    (snippet,) = snippets("onnxruntime_genai")
    assert said(tmp_path, snippet) == greedy(ALL[name], weights, PROMPT, 8)
    if cache == "copied":
        return
    again = (
        "parameters.set_search_options(max_length=17)\n"
        "generator = onnxruntime_genai.Generator(model, parameters)\n"
        "generator.append_tokens(np.array([[1, 2, 3]], np.int32))\n"
        "for _ in range(4):\n    generator.generate_next_token()\n"
        "tokens = generator.get_sequence(0)\n"
        "generator.rewind_to(len(tokens) - 1)\n"
        "generator.append_tokens(np.array([[tokens[-1], 4, 5]], np.int32))\n"
        "while not generator.is_done():\n    generator.generate_next_token()\n"
        "tokens = generator.get_sequence(0)\n"
    )
    turn = [*greedy(ALL[name], weights, PROMPT, 4), 4, 5]
    assert said(tmp_path, snippet + again) == greedy(ALL[name], weights, turn, 8)


@needs_torch
@needs_genai
def test_genai_with_a_tokenizer(tmp_path: Path) -> None:
    """A tokenizer that `tokenizers` trains on a text; genai turns the text into tokens, and tokens into text."""
    tokenizers = pytest.importorskip("tokenizers")
    made = tokenizers.Tokenizer(tokenizers.models.BPE())
    made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = tokenizers.decoders.ByteLevel()
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    trainer = tokenizers.trainers.BpeTrainer(vocab_size=300, special_tokens=["<end>"], initial_alphabet=alphabet)
    text = "the board answers what the owner of the board asks"
    made.train_from_iterator([text] * 8, trainer)
    architecture = lts.Architecture("llama", made.get_vocab_size(), 64, 32, n_head=[4, 2], n_kv_head=2, d_ff=64)
    weights = shipped(architecture, tmp_path)
    made.save(str(tmp_path / "ship" / "tokenizer.json"))
    kind = {"tokenizer_class": "GPT2Tokenizer", "eos_token": "<end>", "model_max_length": 64}
    (tmp_path / "ship" / "tokenizer_config.json").write_text(json.dumps(kind))
    (snippet,) = snippets("onnxruntime_genai")
    encoded = "tokenizer = onnxruntime_genai.Tokenizer(model)\nsaid = tokenizer.encode('the owner of the board')\n"
    snippet = snippet.replace("generator.append", f"{encoded}generator.append").replace(
        "np.array([[1, 2, 3]], np.int32)", "np.array([said], np.int32)"
    )
    snippet = snippet.replace("max_length=11", "max_length=20")
    shown = "text = tokenizer.decode(tokens)\nassert text.startswith('the owner of the board'), text\n"
    ids = made.encode("the owner of the board").ids
    assert said(tmp_path, snippet + shown) == greedy(architecture, weights, ids, 20 - len(ids))
