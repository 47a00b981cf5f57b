"""One model is the prompt pass, the decode step and all between: tokens in pieces against all at once, same weights."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnxruntime
import pytest
import reference_models
from export_runner import arrays, kept, nothing, relative_error, run, session, tokens

import lts
from lts.backends.onnxruntime import OnnxRuntime
from lts.errors import UsageError
from lts.export import RandomWeights, onnx_model

FAMILIES = [family.name for family in lts.families() if not family.encoder]
LENGTH = 1 + 7 + 64
N_PER_FAMILY = -(-200 // len(FAMILIES))
ABSOLUTE, RELATIVE = 1e-5, 1e-4
# Rows that are multiplied together share a scale in int8, and blocks of 32 numbers have one in int4, where sums in
# another order move an activation to the next integer now and then: parts of the largest logit.
MOVED = {"int8": 0.1, "int4": 0.02}
needs_in_place = pytest.mark.skipif(
    OnnxRuntime().cache({"onnxruntime": onnxruntime.__version__}) != "in_place",
    reason="ONNX Runtime before 1.22 has no such operation",
)


def small(family: str, source: random.Random) -> lts.Architecture:
    """A small architecture with layers that differ, and every option of its family."""
    n_layer = source.randint(1, 4)
    traits = lts.family(family)
    n_head = [source.choice([1, 2, 4, 8]) for _ in range(n_layer)]
    options: dict[str, Any] = {"n_head": n_head, "d_ff": [source.randint(8, 96) for _ in range(n_layer)]}
    d_model = source.choice([32, 64])
    if traits.attention == "grouped_query":
        options["n_kv_head"] = [source.choice([k for k in (1, 2, 4, 8) if h % k == 0]) for h in n_head]
    if traits.head_width == "floor":
        d_model += source.randint(0, 7)
    if source.random() < 0.3 or traits.head_width == "given":
        options["head_dim"] = source.choice([8, 12, 16])
    if traits.embedding == "adaptive" or (traits.adaptive_allowed and source.random() < 0.3):
        options |= {"cutoffs": [40, 90, 131], "div_val": source.choice([1, 2]), "d_embed": source.choice([-1, 24])}
    elif traits.embedding != "adaptive" and source.random() < 0.5:
        options["tie_embedding"] = source.random() < 0.5
    return lts.Architecture(family, 131, 96, d_model, **options)


def in_pieces(
    model: onnxruntime.InferenceSession,
    ids: np.ndarray,
    sizes: Sequence[int],
    mask: np.ndarray | None = None,
    past: dict[str, np.ndarray] | None = None,
) -> np.ndarray:
    """Logits of all tokens, [batch, length, vocab_size], or of the last ones, of pieces of these sizes."""
    mask = np.ones_like(ids) if mask is None else mask
    past = nothing(model, len(ids)) if past is None else past
    logits, begin = [], 0
    for size in sizes:
        end = begin + size
        outputs = run(model, {"input_ids": ids[:, begin:end], "attention_mask": mask[:, :end], **past})
        past, begin = kept(outputs), end
        logits.append(outputs["logits"])
    return np.concatenate(logits, axis=1)


def close(got: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_allclose(got, expected, atol=ABSOLUTE * np.abs(expected).max(), rtol=RELATIVE)


@pytest.mark.parametrize("part", range(2))
@pytest.mark.parametrize("family", FAMILIES)
def test_pieces_equal_one_pass(family: str, part: int) -> None:
    """200 architectures over all families, in pieces of 1, 7 and 64 tokens in any order, and one by one."""
    source = random.Random(f"{family} {part}")
    for _ in range(-(-N_PER_FAMILY // 2)):
        architecture = small(family, source)
        model = session(onnx_model(architecture, weights=arrays(architecture)))
        ids = tokens(architecture, 2, LENGTH)
        whole = in_pieces(model, ids, [LENGTH])
        sizes = source.sample([1, 7, 64], 3)
        close(in_pieces(model, ids, sizes), whole)
        close(in_pieces(model, ids, [5] + [1] * 8), whole[:, :13])


@pytest.mark.parametrize("family", FAMILIES)
def test_padding_on_the_left_changes_nothing(family: str) -> None:
    source = random.Random(family)
    for _ in range(6):
        architecture = small(family, source)
        model = session(onnx_model(architecture, weights=arrays(architecture)))
        ids = tokens(architecture, 2, 20)
        ids[0, :6] = 0
        mask = np.ones_like(ids)
        mask[0, :6] = 0
        both = in_pieces(model, ids, [9, 1, 7, 3], mask)
        close(both[:1, 6:], in_pieces(model, ids[:1, 6:], [14]))
        close(both[1:], in_pieces(model, ids[1:], [20]))


@pytest.mark.parametrize("family", FAMILIES)
def test_logits_of_the_last_token_are_the_last_of_all(family: str) -> None:
    source = random.Random(family)
    for _ in range(4):
        architecture = small(family, source)
        weights = arrays(architecture)
        last, every = (session(onnx_model(architecture, logits=which, weights=weights)) for which in ("last", "all"))
        ids = tokens(architecture, 2, 12)
        for sizes in ([12], [7, 5], [7, 1, 4]):
            got = in_pieces(last, ids, sizes)
            assert got.shape == (2, len(sizes), 131)
            close(got, in_pieces(every, ids, sizes)[:, np.cumsum(sizes) - 1])


@pytest.mark.parametrize("precision", MOVED)
@pytest.mark.parametrize("family", FAMILIES)
def test_pieces_in_integers_are_within_what_rounding_moves(family: str, precision: str) -> None:
    from lts.backends.precisions import check_runtime

    try:
        check_runtime(precision)
    except UsageError as error:
        pytest.skip(str(error))
    source = random.Random(family)
    for _ in range(3):
        architecture = small(family, source)
        model = session(onnx_model(architecture, precision=precision, weights=RandomWeights(3, std=0.1)))
        ids = tokens(architecture, 1, LENGTH)
        whole = in_pieces(model, ids, [LENGTH])
        for sizes in ([1, 7, 64], [64, 7, 1]):
            got = in_pieces(model, ids, sizes)
            assert relative_error(got, whole) < MOVED[precision], architecture
            agreed = (got.argmax(-1) == whole.argmax(-1)).mean()
            assert agreed > 0.8, architecture


@needs_in_place
@pytest.mark.parametrize("family", [name for name in FAMILIES if lts.family(name).position != "relative"])
def test_pieces_in_place(family: str) -> None:
    """In memory with room for more, several new tokens behind others are those of one sequence."""
    source = random.Random(family)
    for _ in range(4):
        architecture = small(family, source)
        weights = arrays(architecture)
        model = session(onnx_model(architecture, cache="in_place", weights=weights))
        ids = tokens(architecture, 2, 20)
        expected = in_pieces(session(onnx_model(architecture, weights=weights)), ids, [20])

        def room(batch: int, model: Any = model) -> dict[str, np.ndarray]:
            empty = nothing(model, batch)
            return {name: np.full((*a.shape[:2], 25, a.shape[3]), 7, np.float32) for name, a in empty.items()}

        close(in_pieces(model, ids, [20], past=room(2)), expected)
        close(in_pieces(model, ids, [9] + [1] * 11, past=room(2)), expected)
        close(in_pieces(model, ids[:1], [5, 7, 1, 7], past=room(1)), expected[:1])
        mask = np.ones_like(ids[:1])
        mask[0, :3] = 0
        padded = in_pieces(model, ids[:1], [5, 7, 8], mask, past=room(1))
        close(padded[:, 3:], in_pieces(session(onnx_model(architecture, weights=weights)), ids[:1, 3:], [17]))


@pytest.mark.skipif(reference_models.torch is None, reason=reference_models.REASON)
@pytest.mark.parametrize("family", FAMILIES)
def test_pieces_equal_the_pytorch_reference(family: str) -> None:
    source = random.Random(family)
    for _ in range(2):
        architecture = small(family, source)
        weights = arrays(architecture)
        ids = tokens(architecture, 2, 20)
        expected = reference_models.logits(architecture, weights, ids)
        model = session(onnx_model(architecture, weights=weights))
        assert relative_error(in_pieces(model, ids, [7, 1, 12]), expected) < 1e-4


@pytest.mark.parametrize("family", [name for name in FAMILIES if lts.family(name).position != "relative"])
def test_positions_may_be_an_input(family: str) -> None:
    architecture = small(family, random.Random(family))
    weights = arrays(architecture)
    counted = session(onnx_model(architecture, weights=weights))
    given = session(onnx_model(architecture, weights=weights, position_ids=True))
    ids = tokens(architecture, 2, 11)

    def logits(positions: np.ndarray) -> np.ndarray:
        feeds = {"input_ids": ids, "attention_mask": np.ones_like(ids), **nothing(given, 2)}
        return run(given, {**feeds, "position_ids": positions})["logits"]

    usual = np.broadcast_to(np.arange(11), (2, 11))
    expected = in_pieces(counted, ids, [11])
    close(logits(usual), expected)
    assert relative_error(logits(2 * usual), expected) > 0.01, "they are used"
    # Rotary positions are of differences alone.
    assert (relative_error(logits(usual + 3), expected) < 1e-3) == (lts.family(family).position == "rotary")
