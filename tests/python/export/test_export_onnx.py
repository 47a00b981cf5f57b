"""Exported models against independent ones with the same weights: PyTorch references, and those of Hugging Face."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import reference_models
from export_runner import arrays, draw, exported, nothing, relative_error, run, session, tokens

import lts
from lts.errors import UsageError
from lts.export import StructureOnly, export, onnx_model

TOLERANCE = 1e-4
needs_torch = pytest.mark.skipif(reference_models.torch is None, reason=reference_models.REASON)


def gpt2(**options: Any) -> lts.Architecture:
    options = {"n_head": [4, 2, 1], "d_ff": [48, 20, 64], **options}
    return lts.Architecture("gpt2", vocab_size=131, n_positions=40, d_model=32, **options)


def llama(**options: Any) -> lts.Architecture:
    options = {"n_head": [4, 2, 8], "n_kv_head": [2, 2, 1], "d_ff": [48, 20, 64], **options}
    return lts.Architecture("llama", vocab_size=131, n_positions=40, d_model=32, **options)


def gpt_neox(**options: Any) -> lts.Architecture:
    options = {"n_head": [4, 2, 8], "d_ff": [48, 20, 64], "rotary_dim": 4, **options}
    return lts.Architecture("gpt_neox", vocab_size=131, n_positions=40, d_model=32, **options)


def transformer_xl(**options: Any) -> lts.Architecture:
    options = {"n_head": [4, 3, 1], "d_ff": [48, 20, 64], "d_model": 32, "cutoffs": [20, 70, 131], **options}
    return lts.Architecture("transformer_xl", vocab_size=131, n_positions=40, **options)


ARCHITECTURES = {
    "gpt2": gpt2(),
    "gpt2-untied": gpt2(tie_embedding=False),
    "gpt2-head_dim": gpt2(head_dim=12),
    "gpt2-adaptive-div1": gpt2(cutoffs=[20, 70, 131]),
    "gpt2-adaptive-div2": gpt2(cutoffs=[20, 70, 131], div_val=2, d_embed=24),
    "gpt2-adaptive-narrow": gpt2(d_embed=16),
    "llama": llama(),
    "llama-tied": llama(tie_embedding=True),
    "llama-mha": llama(n_kv_head=None),
    "llama-head_dim": llama(head_dim=10),
    "llama-details": llama(
        norm_epsilon=1e-3,
        rotary_theta=5e5,
        rotary_dim=4,
        rotary_scaling={"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_positions": 16},
        qkv_bias=True,
        head_dim=10,
    ),
    "llama-without parts": llama(n_head=[0, 2, 0], n_kv_head=[0, 1, 0], d_ff=[48, 0, 0], head_dim=8),
    "gpt2-without parts": gpt2(n_head=[2, 0, 1], d_ff=[0, 20, 64], head_dim=8, attention_output_bias=False),
    "gpt_neox": gpt_neox(),
    "gpt_neox-without parts": gpt_neox(n_head=[4, 0, 2], d_ff=[48, 20, 0], rotary_dim=2, head_dim=12),
    **{
        family: lts.Architecture(family, 131, 40, 32, n_head=[4, 2, 1], d_ff=[48, 20, 64], head_dim=12)
        for family in ("hw_gpt", "hw_gpt_gated", "hw_gpt_gated_bias")
    },
    "xl-div1": transformer_xl(),
    "xl-div1-narrow": transformer_xl(d_embed=16),
    "xl-div1-narrow-tied": transformer_xl(d_embed=16, tie_projs=[True, True, True]),
    "xl-div1-narrow-untied": transformer_xl(d_embed=16, tie_projs=[False, False, False]),
    "xl-div2": transformer_xl(div_val=2),
    "xl-div2-tied": transformer_xl(div_val=2, tie_projs=[True, True, True]),
    "xl-div4-mixed": transformer_xl(div_val=4, d_embed=48, tie_projs=[True, False, True]),
    "xl-one-cluster": transformer_xl(cutoffs=[], d_embed=16),
    "xl-odd": transformer_xl(d_model=31, div_val=2),
}
SOME = ["gpt2", "gpt2-adaptive-div2", "llama", "xl-div2"]


@needs_torch
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_prefill_and_decode_equal_the_pytorch_reference(name: str) -> None:
    architecture = ARCHITECTURES[name]
    weights = arrays(architecture)
    ids = tokens(architecture, 2, 11)
    expected = reference_models.logits(architecture, weights, ids)
    prompt, *steps = exported(architecture, weights)(ids, 7)
    assert relative_error(prompt, expected[:, :7]) < TOLERANCE
    assert relative_error(np.stack(steps, 1), expected[:, 7:]) < TOLERANCE


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_decode_equals_prefill(name: str) -> None:
    architecture = ARCHITECTURES[name]
    runner = exported(architecture, arrays(architecture))
    ids = tokens(architecture, 3, 12)
    whole = runner(ids, 12)[0]
    prompt, *steps = runner(ids, 5)
    assert relative_error(prompt, whole[:, :5]) < TOLERANCE
    assert relative_error(np.stack(steps, 1), whole[:, 5:]) < TOLERANCE


@pytest.mark.parametrize("sizes", [{}, {"n_prompt": 7, "batch": 2}], ids=["open", "fixed"])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_logits_of_the_last_position(name: str, sizes: dict[str, int]) -> None:
    import onnx

    architecture = ARCHITECTURES[name]
    weights = arrays(architecture)
    ids = tokens(architecture, 2, 7)
    feeds = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
    phase = "prefill" if sizes else "any"
    last = onnx_model(architecture, phase, logits="last", weights=weights, **sizes)
    onnx.checker.check_model(last, full_check=True)
    feeds |= nothing(session(last), 2)
    got = run(session(last), feeds)
    expected = run(session(onnx_model(architecture, phase, weights=weights, **sizes)), feeds)
    assert got["logits"].shape == (2, 1, architecture.vocab_size)
    assert relative_error(got["logits"], expected["logits"][:, -1:]) < 1e-5
    assert all((got[key] == value).all() for key, value in expected.items() if key != "logits")


@pytest.mark.parametrize("phase", ["prefill", "decode"])
def test_one_position_is_the_last_one(phase: str) -> None:
    one, other = (
        onnx_model(ARCHITECTURES["gpt2"], phase, logits=logits, weights=StructureOnly(), n_prompt=1)
        for logits in ("all", "last")
    )
    assert one.graph == other.graph


@pytest.mark.parametrize("name", [name for name, a in ARCHITECTURES.items() if a.adaptive])
def test_adaptive_logits_are_log_probabilities(name: str) -> None:
    architecture = ARCHITECTURES[name]
    logits = exported(architecture, arrays(architecture))(tokens(architecture, 1, 4), 4)[0]
    np.testing.assert_allclose(np.exp(logits.astype(np.float64)).sum(-1), 1, rtol=1e-5)


@pytest.mark.parametrize("name", SOME)
def test_left_padding_changes_nothing(name: str) -> None:
    architecture = ARCHITECTURES[name]
    runner = exported(architecture, arrays(architecture))
    ids = tokens(architecture, 1, 9)
    alone = runner(ids, 6)
    batch = np.concatenate([np.pad(ids, ((0, 0), (2, 0)), constant_values=5), tokens(architecture, 1, 11, seed=1)])
    mask = np.ones_like(batch)
    mask[0, :2] = 0
    padded = runner(batch, 8, mask)
    assert relative_error(padded[0][:1, 2:], alone[0]) < TOLERANCE
    for one, other in zip(padded[1:], alone[1:], strict=True):
        assert relative_error(one[:1], other) < TOLERANCE
    assert all(np.isfinite(logits).all() for logits in padded)


@pytest.mark.parametrize("name", ["gpt2", "gpt2-adaptive-div2", "llama"])
def test_right_padding_of_the_prompt_changes_nothing(name: str) -> None:
    architecture = ARCHITECTURES[name]
    runner = exported(architecture, arrays(architecture))
    ids = tokens(architecture, 1, 9)
    alone = runner(ids, 6)
    batch = np.insert(ids, [6, 6], 3, axis=1)
    mask = np.ones_like(batch)
    mask[0, 6:8] = 0
    padded = runner(batch, 8, mask)
    assert relative_error(padded[0][:, :6], alone[0]) < TOLERANCE
    assert relative_error(np.stack(padded[1:]), np.stack(alone[1:])) < TOLERANCE


@pytest.mark.parametrize("name", SOME)
def test_given_sizes_change_the_interface_only(name: str) -> None:
    architecture = ARCHITECTURES[name]
    weights = arrays(architecture)
    ids = tokens(architecture, 2, 8)
    free = exported(architecture, weights)(ids, 7)
    for sizes in ({"n_prompt": 7, "batch": 2}, {"n_prompt": 7}, {"batch": 2}):
        fixed = exported(architecture, weights, **sizes)
        for got, expected in zip(fixed(ids, 7), free, strict=True):
            assert relative_error(got, expected) < TOLERANCE
        for model in (fixed.prefill, fixed.decode):
            dims = {dim for value in model.get_inputs() for dim in value.shape if isinstance(dim, str)}
            assert ("batch" in dims) == ("batch" not in sizes)
            assert bool(dims - {"batch"}) == ("n_prompt" not in sizes)


@needs_torch
@pytest.mark.parametrize(
    "architecture",
    [
        lts.Architecture("gpt2", 131, 40, 32, n_head=4, d_ff=80, n_layer=3),
        lts.Architecture("gpt2", 131, 40, 32, n_head=2, d_ff=80, n_layer=2, tie_embedding=False),
        lts.Architecture("llama", 131, 40, 32, n_head=4, d_ff=80, n_layer=3),
        lts.Architecture("llama", 131, 40, 32, n_head=4, n_kv_head=2, d_ff=80, n_layer=2, tie_embedding=True),
        lts.Architecture("llama", 131, 40, 32, n_head=4, n_kv_head=1, d_ff=80, n_layer=2, head_dim=12),
    ],
    ids=["gpt2", "gpt2-untied", "llama", "llama-gqa-tied", "llama-mqa-head_dim"],
)
def test_equals_transformers_through_its_own_files(architecture: lts.Architecture, tmp_path: Any) -> None:
    """`config.json` and `model.safetensors` load in transformers, count the same, and compute the same, also padded."""
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    torch = reference_models.torch
    weights = arrays(architecture)
    export(architecture, tmp_path, ["hf"], weights=weights)
    model, report = transformers.AutoModelForCausalLM.from_pretrained(tmp_path, output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    assert sum(parameter.numel() for parameter in model.parameters()) == lts.total_params(architecture)
    assert model.config.model_type == architecture.family

    ids = tokens(architecture, 2, 12)
    mask = np.ones_like(ids)
    mask[0, :3] = 0  # left padding, as generation does
    positions = torch.tensor(np.maximum(mask.cumsum(1) - 1, 0))
    prompt, *steps = exported(architecture, weights)(ids, 8, mask)
    with torch.no_grad():
        cache = None
        for begin, end in [(0, 8), *((i, i + 1) for i in range(8, 12))]:
            outputs = model(
                input_ids=torch.tensor(ids[:, begin:end]),
                attention_mask=torch.tensor(mask[:, :end]),
                position_ids=positions[:, begin:end],
                past_key_values=cache,
                use_cache=True,
            )
            cache = outputs.past_key_values
            expected = outputs.logits.numpy()
            if begin == 0:
                assert relative_error(prompt[0, 3:], expected[0, 3:]) < TOLERANCE
                assert relative_error(prompt[1], expected[1]) < TOLERANCE
            else:
                assert relative_error(steps[begin - 8], expected[:, 0]) < TOLERANCE


@needs_torch
def test_greedy_continuation_equals_generate_of_transformers(tmp_path: Any) -> None:
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    torch = reference_models.torch
    architecture = lts.Architecture("gpt2", 131, 40, 32, n_head=4, d_ff=80, n_layer=2)
    weights = arrays(architecture)
    export(architecture, tmp_path, ["hf"], weights=weights)
    model = transformers.AutoModelForCausalLM.from_pretrained(tmp_path)
    ids = tokens(architecture, 2, 6)
    mask = np.ones_like(ids)
    mask[1, :2] = 0
    inputs = {"input_ids": torch.tensor(ids), "attention_mask": torch.tensor(mask)}
    expected = model.generate(**inputs, max_new_tokens=5, do_sample=False, pad_token_id=0).numpy()
    runner = exported(architecture, weights)
    for length in range(6, 11):
        logits = runner(expected[:, :length], 6, np.pad(mask, ((0, 0), (0, length - 6)), constant_values=1))
        last = logits[-1] if length > 6 else logits[0][:, -1]
        assert (last.argmax(-1) == expected[:, length]).all()


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_models_are_valid_and_of_the_standard_domain(name: str) -> None:
    import onnx

    architecture = ARCHITECTURES[name]
    for phase in ("any", "prefill", "decode"):
        for sizes in ({}, {"batch": 2} if phase == "any" else {"n_prompt": 7, "batch": 2}):
            model = onnx_model(architecture, phase, **sizes)
            onnx.checker.check_model(model, full_check=True)
            assert [(o.domain, o.version) for o in model.opset_import] == [("", 17)]
            assert {node.domain for node in model.graph.node} == {""}
            assert len({node.name for node in model.graph.node}) == len(model.graph.node)
            used = {name for node in model.graph.node for name in node.input} | {o.name for o in model.graph.output}
            assert all(set(node.output) & used for node in model.graph.node), "every node is of use"
            assert {i.name for i in model.graph.initializer} <= used
            said = {entry.key: entry.value for entry in model.metadata_props}
            assert lts.Architecture.from_json(said.pop("architecture")) == architecture
            cache = {} if phase == "prefill" else {"cache": "copied"}
            assert said == {"phase": phase, "precision": "float32", "logits": "all", **cache}


def test_interface() -> None:
    def described(values: Any) -> dict[str, list[int | str]]:
        return {value.name: value.shape for value in values}

    attended = {"gpt2": ARCHITECTURES["gpt2"], "llama": ARCHITECTURES["llama"]}
    for architecture in attended.values():
        model, prefill, decode = (session(onnx_model(architecture, phase)) for phase in ("any", "prefill", "decode"))
        kv = {
            f"{layer}.{part}": (n_kv, width)
            for layer, (n_kv, width) in enumerate(zip(architecture.n_kv_head, architecture.head_dims, strict=True))
            for part in ("key", "value")
        }
        past = {f"past_key_values.{name}": ["batch", n, "past", width] for name, (n, width) in kv.items()}
        inputs = {"input_ids": ["batch", "sequence"], "attention_mask": ["batch", "total"], **past}
        assert described(model.get_inputs()) == inputs
        assert described(model.get_outputs()) == {
            "logits": ["batch", "sequence", 131],
            **{f"present.{name}": ["batch", n, "total", width] for name, (n, width) in kv.items()},
        }
        model = session(onnx_model(architecture, position_ids=True))
        assert described(model.get_inputs()) == {**inputs, "position_ids": ["batch", "sequence"]}
        assert described(prefill.get_inputs()) == {
            "input_ids": ["batch", "sequence"],
            "attention_mask": ["batch", "sequence"],
        }
        assert described(prefill.get_outputs()) == {
            "logits": ["batch", "sequence", 131],
            **{f"present.{name}": ["batch", n, "sequence", width] for name, (n, width) in kv.items()},
        }
        assert described(decode.get_inputs()) == {
            "input_ids": ["batch", 1],
            "attention_mask": ["batch", "total"],
            **past,
        }
        assert described(decode.get_outputs()) == {
            "logits": ["batch", 1, 131],
            **{f"present.{name}": ["batch", n, "total", width] for name, (n, width) in kv.items()},
        }
        assert next(iter(described(decode.get_outputs()))) == "logits"
    a = ARCHITECTURES["xl-div2"]
    model, prefill, decode = (
        session(onnx_model(a, phase, position_ids=True)) for phase in ("any", "prefill", "decode")
    )
    assert described(model.get_inputs()) == {
        "input_ids": ["batch", "sequence"],
        "attention_mask": ["batch", "total"],
        **{f"mems.{layer}": ["batch", "memory", 32] for layer in range(3)},
    }
    assert described(decode.get_inputs()) == {
        "input_ids": ["batch", 1],
        "attention_mask": ["batch", "total"],
        **{f"mems.{layer}": ["batch", "memory", 32] for layer in range(3)},
    }
    assert described(decode.get_outputs()) == {
        "logits": ["batch", 1, 131],
        **{f"new_mems.{layer}": ["batch", "total", 32] for layer in range(3)},
    }
    assert set(described(prefill.get_outputs())) == {"logits", "new_mems.0", "new_mems.1", "new_mems.2"}


def test_memory_may_be_cut_as_transformer_xl_does() -> None:
    """What lies farther back than the memory has no influence: decoding needs a memory of the last 4 inputs only."""
    architecture = ARCHITECTURES["xl-div2"]
    weights = arrays(architecture)
    prefill, decode = (session(onnx_model(architecture, phase, weights=weights)) for phase in ("prefill", "decode"))
    ids = tokens(architecture, 1, 8)
    outputs = run(prefill, {"input_ids": ids[:, :7], "attention_mask": np.ones((1, 7), np.int64)})
    feeds = {f"mems.{layer}": outputs[f"new_mems.{layer}"] for layer in range(3)}
    step = {"input_ids": ids[:, 7:], "attention_mask": np.ones((1, 5), np.int64)}
    cut = run(decode, {**step, **{name: memory[:, -4:] for name, memory in feeds.items()}})
    mask = np.array([[0, 0, 0, 1, 1, 1, 1, 1]])
    masked = run(decode, {"input_ids": ids[:, 7:], "attention_mask": mask, **feeds})
    assert relative_error(cut["logits"], masked["logits"]) < TOLERANCE
    assert cut["new_mems.0"].shape == (1, 5, 32)


@pytest.mark.parametrize("family", [family.name for family in lts.families() if not family.encoder])
@pytest.mark.slow
def test_counts_of_1000_random_architectures(family: str) -> None:
    source = random.Random(7)
    structure = StructureOnly()
    for number in range(1000):
        architecture = draw(family, source)
        graph = onnx_model(architecture, ("any", "prefill", "decode")[number % 3], weights=structure).graph
        elements = 0
        for initializer in graph.initializer:
            if not initializer.name.startswith("const."):
                elements += int(np.prod(initializer.dims))
        assert elements == lts.total_params(architecture), architecture
        assert all(node.op_type != "Constant" for node in graph.node)
        constants = sum(int(np.prod(i.dims)) for i in graph.initializer if i.name.startswith("const."))
        assert constants < 4096


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"phase": "train"}, "unknown phase 'train'; expected one of any, prefill, decode"),
        ({"logits": "first"}, "unknown logits 'first'; expected one of all, last"),
        ({"n_prompt": 0}, "n_prompt is 0; it must be at least 1"),
        ({"batch": -1}, "batch is -1; it must be at least 1"),
        ({"n_prompt": 7}, "n_prompt fixes the size of one phase; name it: prefill or decode"),
        ({"phase": "prefill", "n_prompt": 41}, "prefill with n_prompt 41 needs 41 positions; the architecture has 40"),
        ({"phase": "decode", "n_prompt": 40}, "decode with n_prompt 40 needs 41 positions; the architecture has 40"),
        ({"weights": 3}, "weights is a int; expected a source of weights or a mapping of arrays"),
    ],
)
def test_wrong_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as error:
        onnx_model(ARCHITECTURES["gpt2"], **arguments)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("family", "options"),
    [
        ("transformer_xl", {}),
        ("transformer_xl", {"cutoffs": [20, 97]}),
        ("transformer_xl", {"cutoffs": [20, 50, 97], "div_val": 2, "d_embed": 16}),
        ("gpt2", {"cutoffs": [20, 97], "div_val": 4, "d_embed": 16}),
        ("gpt2", {"cutoffs": [20, 50, 97]}),
        ("gpt2", {}),
        ("llama", {}),
    ],
)
def test_what_is_no_token_is_refused(family: str, options: dict[str, Any], tmp_path: Path) -> None:
    import onnxruntime as ort

    architecture = lts.Architecture(
        family=family, vocab_size=97, n_positions=32, d_model=48, n_head=[4], d_ff=[64], **options
    )
    export(architecture, tmp_path, ("onnx",))
    quiet = ort.SessionOptions()
    quiet.log_severity_level = 4
    session = ort.InferenceSession(tmp_path / "model.onnx", quiet)

    def logits(*ids: int) -> Any:
        given = {"input_ids": np.array([ids]), "attention_mask": np.ones((1, len(ids)), np.int64)}
        return session.run(None, given | nothing(session, 1))[0]

    assert np.isfinite(logits(0, 19, 20, 49, 50, 96)).all()
    for wrong in (97, 98, 117, 100_000, -100_000, 2**40):
        with pytest.raises(Exception, match="out of data bounds"):
            logits(5, wrong)
    if architecture.adaptive:
        for wrong in (-1, -5, -97):
            with pytest.raises(Exception, match="out of data bounds"):
                logits(5, wrong)
