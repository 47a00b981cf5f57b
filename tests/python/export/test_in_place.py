"""Decode steps that keep keys and values in place: against PyTorch, and against those that copy, same weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import pytest
import reference_models
from export_runner import arrays, relative_error, run, session, tokens

import lts
from lts.backends.onnxruntime import OnnxRuntime, bound
from lts.errors import UsageError
from lts.export import StructureOnly, onnx_model

onnxruntime = pytest.importorskip("onnxruntime")
pytestmark = pytest.mark.skipif(
    OnnxRuntime().cache({"onnxruntime": onnxruntime.__version__}) != "in_place",
    reason="ONNX Runtime before 1.22 has no such operation",
)

TOLERANCE = 1e-4
MOVED = 0.1  # of the largest logit
FUSED = "GroupQueryAttention"


def draw(family: str, n_positions: int = 40, **options: Any) -> lts.Architecture:
    options = {"n_head": [4, 2, 1], "d_ff": [48, 20, 64], **options}
    return lts.Architecture(family, vocab_size=131, n_positions=n_positions, d_model=32, **options)


ARCHITECTURES = {
    "gpt2": draw("gpt2"),
    "gpt2-narrow heads": draw("gpt2", n_head=[8, 2, 16]),  # 4, 16 and 2 wide
    "gpt2-head_dim": draw("gpt2", head_dim=12),
    "gpt2-adaptive": draw("gpt2", cutoffs=[20, 70, 131], div_val=2, d_embed=24),
    "llama": draw("llama", n_head=[4, 4, 4], n_kv_head=[4, 2, 1]),
    "llama-large groups": draw("llama", n_head=[8, 8, 6], n_kv_head=[1, 2, 1], head_dim=8),
    "llama-head_dim": draw("llama", n_head=[4, 2, 8], n_kv_head=[2, 2, 1], head_dim=10),
    "llama-without parts": draw("llama", n_head=[0, 4, 4], n_kv_head=[0, 2, 4], d_ff=[48, 0, 64], head_dim=8),
    "gpt_neox": draw("gpt_neox", n_head=[4, 2, 0], head_dim=16, rotary_dim=4),
    "hw_gpt": draw("hw_gpt", head_dim=16),
    "hw_gpt_gated": draw("hw_gpt_gated", head_dim=16),
    "hw_gpt_gated_bias": draw("hw_gpt_gated_bias", head_dim=16),
}


def test_all_families_with_keys_and_values_are_tried() -> None:
    expected = {family.name for family in lts.families() if not family.encoder and family.position != "relative"}
    assert {architecture.family for architecture in ARCHITECTURES.values()} == expected


def check(errors: list[float], precision: str) -> None:
    """Both forms compute the same but for the last bits, which seldom move an activation to the next integer.

    In int8 and int4, then, the median is within the tolerance, and all is within what such a move changes.
    """
    if precision == "float32":
        assert max(errors) < TOLERANCE
    else:
        assert np.median(errors) < TOLERANCE
        assert max(errors) < MOVED


class Steps:
    """Decode steps of both forms, each over its own cache."""

    def __init__(self, architecture: lts.Architecture, precision: str = "float32", **sizes: int) -> None:
        self.weights = arrays(architecture)
        given: dict[str, Any] = {"precision": precision, "weights": self.weights}
        self.prefill = session(onnx_model(architecture, "prefill", **given))
        self.copied = session(onnx_model(architecture, "decode", **given, **sizes))
        self.in_place = session(onnx_model(architecture, "decode", cache="in_place", **given, **sizes))

    def prompt(self, ids: np.ndarray, mask: np.ndarray) -> dict[str, np.ndarray]:
        """Keys and values of a prompt, by the names of the inputs of a decode step."""
        outputs = run(self.prefill, {"input_ids": ids, "attention_mask": mask})
        return {
            name.replace("present", "past_key_values"): value for name, value in outputs.items() if name != "logits"
        }


def roomy(past: Mapping[str, np.ndarray], capacity: int) -> dict[str, np.ndarray]:
    """The same keys and values at the beginning of memory for more tokens, which is filled with other numbers."""
    result = {}
    for name, value in past.items():
        batch, heads, length, width = value.shape
        result[name] = np.full((batch, heads, capacity, width), 7, np.float32)
        result[name][:, :, :length] = value
    return result


def both(steps: Steps, ids: np.ndarray, n_prompt: int, capacity: int, mask: np.ndarray | None = None) -> list[Any]:
    """For every token after the prompt: logits of the copying form and of the other, and their caches."""
    mask = np.ones_like(ids) if mask is None else mask
    past = steps.prompt(ids[:, :n_prompt], mask[:, :n_prompt])
    room = roomy(past, capacity)
    found = []
    for n in range(n_prompt, ids.shape[1]):
        step = {"input_ids": ids[:, n : n + 1], "attention_mask": mask[:, : n + 1]}
        outputs = run(steps.copied, {**step, **past})
        logits = outputs.pop("logits")
        past = {name.replace("present", "past_key_values"): value for name, value in outputs.items()}
        other = bound(steps.in_place, {**step, **room})()[0]
        found.append((logits, other, past, {name: value.copy() for name, value in room.items()}))
    return found


@pytest.mark.parametrize("capacity", [12, 23])
@pytest.mark.parametrize("n_prompt", [1, 7])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_both_forms_compute_the_same(name: str, n_prompt: int, capacity: int) -> None:
    architecture = ARCHITECTURES[name]
    for logits, other, past, room in both(Steps(architecture), tokens(architecture, 3, 12), n_prompt, capacity):
        assert relative_error(other, logits) < TOLERANCE
        for key, value in past.items():
            length = value.shape[2]
            assert relative_error(room[key][:, :, :length], value) < TOLERANCE
            assert (room[key][:, :, length:] == 7).all(), "nothing behind the tokens is written"


@pytest.mark.skipif(reference_models.torch is None, reason=reference_models.REASON)
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_it_equals_the_pytorch_reference(name: str) -> None:
    architecture = ARCHITECTURES[name]
    steps, ids = Steps(architecture), tokens(architecture, 2, 11)
    expected = reference_models.logits(architecture, steps.weights, ids)
    for n, (_, other, _, _) in enumerate(both(steps, ids, 7, 16), 7):
        assert relative_error(other[:, 0], expected[:, n]) < TOLERANCE


@pytest.mark.parametrize("name", ["gpt2", "gpt2-head_dim", "llama", "llama-large groups"])
def test_padding_changes_nothing(name: str) -> None:
    architecture = ARCHITECTURES[name]
    ids = tokens(architecture, 2, 11)
    mask = np.ones_like(ids)
    mask[0, :3] = 0  # on the left
    mask[1, 6:8] = 0  # between the prompt and what follows
    for logits, other, _, _ in both(Steps(architecture), ids, 8, 16, mask):
        assert relative_error(other, logits) < TOLERANCE


@pytest.mark.parametrize("name", ["gpt2", "gpt2-head_dim", "llama", "llama-large groups"])
def test_past_and_present_are_one_memory(name: str) -> None:
    """A step writes the new key and value at their place, and nothing else; what is given out is what was given in."""
    architecture = ARCHITECTURES[name]
    steps = Steps(architecture)
    random = np.random.default_rng(1)
    for past, capacity in ((4, 5), (4, 9)):
        step = {"input_ids": tokens(architecture, 2, 1), "attention_mask": np.ones((2, past + 1), np.int64)}
        cache = {
            value.name: random.standard_normal((2, value.shape[1], capacity, value.shape[3]), dtype=np.float32)
            for value in steps.in_place.get_inputs()
            if value.name.startswith("past")
        }
        before = {key: value.copy() for key, value in cache.items()}
        outputs = run(steps.copied, {**step, **{key: value[:, :, :past] for key, value in before.items()}})
        names = [value.name for value in steps.in_place.get_outputs()]
        given = dict(zip(names, bound(steps.in_place, {**step, **cache})(), strict=True))
        for key, value in cache.items():
            present = key.replace("past_key_values", "present")
            assert given[present] is value
            assert relative_error(value[:, :, past], outputs[present][:, :, past]) < TOLERANCE
            assert (np.delete(value, past, axis=2) == np.delete(before[key], past, axis=2)).all()
        # A runtime that is not told so copies, with the same result.
        unbound = run(steps.in_place, {**step, **before})
        for each in set(names) - {"logits"}:
            assert (unbound[each][:, :, : past + 1] == given[each][:, :, : past + 1]).all()
        assert relative_error(unbound["logits"], given["logits"]) < TOLERANCE


@pytest.mark.parametrize("precision", ["int8", "int4"])
@pytest.mark.parametrize("name", ["gpt2", "gpt2-narrow heads", "llama", "llama-large groups", "hw_gpt_gated"])
def test_rounded_matrices(name: str, precision: str) -> None:
    architecture = ARCHITECTURES[name]
    steps = Steps(architecture, precision)
    errors = [
        relative_error(other, logits)
        for seed in range(3)
        for logits, other, _, _ in both(steps, tokens(architecture, 2, 12, seed), 6, 16)
    ]
    check(errors, precision)


@pytest.mark.parametrize("precision", ["float32", "int8", "int4"])
@pytest.mark.parametrize("past", [128, 512, 2048])
@pytest.mark.parametrize(
    "architecture",
    [
        draw("gpt2", 2100),
        draw("gpt2", 2100, head_dim=12),
        draw("llama", 2100, n_head=[4, 4, 4], n_kv_head=[2, 4, 1]),
        draw("llama", 2100, n_head=[8, 6, 8], n_kv_head=[1, 1, 1], head_dim=8),
    ],
    ids=["gpt2", "gpt2-head_dim", "llama", "llama-large groups"],
)
def test_long_contexts(architecture: lts.Architecture, past: int, precision: str) -> None:
    steps = Steps(architecture, precision)
    errors = []
    for batch in (1, 2, 3):
        random = np.random.default_rng(batch)
        cache = {
            value.name: random.standard_normal((batch, value.shape[1], past, value.shape[3]), dtype=np.float32)
            for value in steps.copied.get_inputs()
            if value.name.startswith("past")
        }
        step = {
            "input_ids": tokens(architecture, batch, 1, batch),
            "attention_mask": np.ones((batch, past + 1), np.int64),
        }
        expected = run(steps.copied, {**step, **cache})["logits"]
        errors.append(relative_error(bound(steps.in_place, {**step, **roomy(cache, past + batch)})()[0], expected))
    check(errors, precision)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_given_sizes_change_the_interface_only(name: str) -> None:
    architecture = ARCHITECTURES[name]
    ids = tokens(architecture, 2, 8)
    (free,) = both(Steps(architecture), ids, 7, 8)
    for sizes in ({"n_prompt": 7, "batch": 2}, {"n_prompt": 7}, {"batch": 2}):
        (fixed,) = both(Steps(architecture, **sizes), ids, 7, 8)
        assert relative_error(fixed[1], free[0]) < TOLERANCE


def operations(model: Any, layer: int) -> set[str]:
    return {node.op_type for node in model.graph.node if node.name.startswith(f"layers.{layer}.attention/")}


@pytest.mark.parametrize("precision", ["float32", "float16", "int8", "int4"])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_models_are_valid_and_have_the_same_weights(name: str, precision: str) -> None:
    architecture = ARCHITECTURES[name]
    copied, other = (
        onnx_model(architecture, "decode", precision=precision, cache=cache) for cache in ("copied", "in_place")
    )
    onnx.checker.check_model(other)
    weights = [[i for i in m.graph.initializer if not i.name.startswith("const.")] for m in (copied, other)]
    assert weights[0] == weights[1]
    used = {name for node in other.graph.node for name in node.input} | {o.name for o in other.graph.output}
    assert all(set(node.output) & used for node in other.graph.node), "every node is of use"
    for layer, (n_head, n_kv, width) in enumerate(
        zip(architecture.n_head, architecture.n_kv_head, architecture.head_dims, strict=True)
    ):
        fused = width % 8 == 0 and 0 < n_head <= 4 * n_kv
        assert (FUSED in operations(other, layer)) == fused
        assert ("ScatterND" in operations(other, layer)) == (n_head > 0 and not fused)
        assert FUSED not in operations(copied, layer)


def test_interface() -> None:
    architecture = ARCHITECTURES["llama"]
    decode = session(onnx_model(architecture, "decode", cache="in_place"))
    cache = {
        f"{layer}.{part}": ["batch", n_kv, "capacity", 8]
        for layer, n_kv in enumerate(architecture.n_kv_head)
        for part in ("key", "value")
    }
    assert {value.name: value.shape for value in decode.get_inputs()} == {
        "input_ids": ["batch", 1],
        "attention_mask": ["batch", "total"],
        **{f"past_key_values.{name}": shape for name, shape in cache.items()},
    }
    assert {value.name: value.shape for value in decode.get_outputs()} == {
        "logits": ["batch", 1, 131],
        **{f"present.{name}": shape for name, shape in cache.items()},
    }
    assert decode.get_outputs()[0].name == "logits"


def test_what_has_no_keys_and_values_in_its_cache_is_the_same() -> None:
    relative = draw("transformer_xl", cutoffs=[20, 70, 131])
    for architecture, phase in ((relative, "decode"), (relative, "prefill"), (ARCHITECTURES["gpt2"], "prefill")):
        one, other = (onnx_model(architecture, phase, cache=c, weights=StructureOnly()) for c in ("copied", "in_place"))
        assert one == other


def test_an_unknown_cache() -> None:
    with pytest.raises(UsageError, match=r"^unknown cache 'moved'; expected one of copied, in_place$"):
        onnx_model(ARCHITECTURES["gpt2"], "decode", cache="moved")
