"""`modeling_lts.py` in transformers: everything that its own models can do, with the release that is on the path."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from export_runner import arrays, tokens

import lts
from lts.export.huggingface import CODE
from lts.measure.pretrained import read_pretrained

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
transformers = pytest.importorskip("transformers", reason="transformers is not installed")
from transformers_models import load, loaded, own_modules  # noqa: E402, F401

from lts.networks import Network  # noqa: E402

GPT2 = lts.Architecture("gpt2", 97, 32, 24, n_head=[4, 2], d_ff=[30, 20])
LLAMA = lts.Architecture("llama", 97, 32, 24, n_head=[4, 2], n_kv_head=[2, 1], d_ff=[30, 20])
CLUSTERS: dict[str, Any] = {"cutoffs": [10, 40, 97], "div_val": 2, "d_embed": 16}
ADAPTIVE = lts.Architecture("gpt2", 97, 32, 24, n_head=[4, 2], d_ff=[30, 20], tie_projs=[True, False, True], **CLUSTERS)
XL = lts.Architecture("transformer_xl", 97, 32, 25, n_head=[4, 3], d_ff=[30, 20], **CLUSTERS)
MIXERS = ["weighted_attention", "fourier", "cosine", "convolution_5", "attention"]
BERT = lts.Architecture("flexibert", 97, 32, 24, n_head=[4, 2, 2, 4, 2], d_ff=30, mixer=MIXERS, n_ff=[1, 3, 1, 2, 1])
SCALING = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_positions": 16}
# Layers that lack attention or a feed-forward network, with the second whole.
LACKING = lts.Architecture(
    *("gpt_neox", 97, 32, 24), n_head=[0, 3, 2], d_ff=[30, 20, 0], head_dim=8, rotary_dim=4, rotary_scaling=SCALING
)
DECODERS = {"gpt2": GPT2, "llama": LLAMA, "adaptive": ADAPTIVE, "transformer_xl": XL, "lacking": LACKING}


class Model:
    """An architecture with its weights, in a folder and in transformers."""

    def __init__(self, architecture: lts.Architecture, folder: Path) -> None:
        self.architecture = architecture
        self.weights = arrays(architecture)
        self.folder = folder
        self.model = loaded(architecture, folder, self.weights)
        self.ids = torch.tensor(tokens(architecture, 2, 9))

    def again(self, **options: Any) -> Any:
        """The same model, to be changed."""
        return load(self.folder, self.architecture.traits.encoder, **options)

    def logits(self, *arguments: Any, **options: Any) -> Any:
        with torch.no_grad():
            return self.model(*arguments, **options).logits


@pytest.fixture(scope="module", params=DECODERS)
def decoder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Model:
    return Model(DECODERS[request.param], tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return Model(BERT, tmp_path_factory.mktemp("encoder"))


def close(got: Any, expected: Any, tolerance: float = 1e-5) -> None:
    torch.testing.assert_close(got, expected, atol=tolerance, rtol=tolerance)


GREEDY: dict[str, Any] = {"do_sample": False, "pad_token_id": 0, "eos_token_id": None}


def test_tokens_in_pieces_are_as_tokens_at_once(decoder: Model) -> None:
    """Keys and values, or Transformer-XL's memory, go from pass to pass."""
    cache, parts = None, []
    for begin, end in ((0, 1), (1, 4), (4, 8), (8, 9)):
        with torch.no_grad():
            out = decoder.model(decoder.ids[:, begin:end], past_key_values=cache, use_cache=True)
        cache = out.past_key_values
        parts.append(out.logits)
    close(torch.cat(parts, 1), decoder.logits(decoder.ids))
    assert cache.get_seq_length() == 9
    assert "past_key_values" not in decoder.model(decoder.ids, use_cache=False)


@pytest.mark.parametrize(
    "options",
    [{}, {"num_beams": 3}, {"prompt_lookup_num_tokens": 3, "eos_token_id": 96}],
    ids=["greedy", "beam", "ahead"],
)
def test_generating_with_a_cache_changes_nothing(decoder: Model, options: dict[str, Any]) -> None:
    options = {**GREEDY, "max_new_tokens": 10, **options}
    ids = decoder.ids[:1] if options.get("eos_token_id") else decoder.ids
    cached = decoder.model.generate(ids, **options)[:, :19]  # looking ahead, some releases give out one too many
    options.pop("prompt_lookup_num_tokens", None)
    plain = decoder.model.generate(ids, **options, use_cache=False)
    assert cached.tolist() == plain.tolist()


def test_a_cache_of_fixed_size(decoder: Model) -> None:
    options = {**GREEDY, "max_new_tokens": 10, "disable_compile": True}
    if decoder.architecture.traits.position == "relative":
        with pytest.raises(ValueError, match="a memory of layer inputs needs a cache that grows with it"):
            decoder.model.generate(decoder.ids, cache_implementation="static", **options)
        return
    fixed = decoder.model.generate(decoder.ids, cache_implementation="static", **options)
    assert fixed.tolist() == decoder.model.generate(decoder.ids, **options).tolist()
    cache = transformers.StaticCache(config=decoder.model.config, max_cache_len=20)
    with pytest.raises(ValueError, match=r"a cache of fixed size needs an attention_mask \[B, 1, T, S\]"):
        decoder.model(decoder.ids, past_key_values=cache)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_padding_on_the_left(decoder: Model, dtype: str) -> None:
    """A sequence in a batch with a longer one gives what it gives alone; in half precision nothing becomes infinite."""
    model = decoder.model if dtype == "float32" else decoder.again(dtype=getattr(torch, dtype))
    short = decoder.ids[:1, 4:]
    batch = torch.cat([torch.cat([torch.zeros_like(decoder.ids[:1, :4]), short], 1), decoder.ids[1:]])
    mask = torch.ones_like(batch)
    mask[0, :4] = 0
    with torch.no_grad():
        both, alone = model(batch, attention_mask=mask).logits, model(short).logits
    assert both.isfinite().all()
    close(both[:1, 4:], alone, {"float32": 1e-5, "float16": 0.05, "bfloat16": 0.3}[dtype])
    if dtype == "float32":
        close(both[1:], decoder.logits(decoder.ids[1:]))
        together = model.generate(batch, attention_mask=mask, max_new_tokens=8, **GREEDY)
        assert together[0, 4:].tolist() == model.generate(short, max_new_tokens=8, **GREEDY)[0].tolist()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision(decoder: Model, dtype: str) -> None:
    model = decoder.again(dtype=getattr(torch, dtype))
    assert {parameter.dtype for parameter in model.parameters()} == {getattr(torch, dtype)}
    with torch.no_grad():
        got = model(decoder.ids).logits
    assert got.dtype == getattr(torch, dtype)
    close(got.float(), decoder.logits(decoder.ids), 0.1 if dtype == "float16" else 0.6)


def test_attention_one_weight_at_a_time(decoder: Model) -> None:
    """Eager attention gives the same logits, and its weights."""
    model = decoder.again(attn_implementation="eager")
    with torch.no_grad():
        out = model(decoder.ids, output_attentions=True, output_hidden_states=True)
    close(out.logits, decoder.logits(decoder.ids))
    assert [weights if weights is None else tuple(weights.shape) for weights in out.attentions] == [
        (2, n_head, 9, 9) if n_head else None for n_head in decoder.architecture.n_head
    ]
    for weights in filter(lambda each: each is not None, out.attentions):
        close(weights.sum(-1), torch.ones(weights.shape[:-1]))
        assert not weights.triu(1).any(), "no token sees a later one"
    assert len(out.hidden_states) == decoder.architecture.n_layer + 1
    close(model.logits(out.hidden_states[-1]), out.logits)


def test_arguments(decoder: Model) -> None:
    everything = decoder.logits(decoder.ids)
    close(decoder.logits(decoder.ids, logits_to_keep=2), everything[:, -2:])
    close(decoder.model(decoder.ids, return_dict=False)[0], everything)
    close(decoder.logits(decoder.ids, token_type_ids=torch.ones_like(decoder.ids)), everything)
    vectors = decoder.model.model.embed(decoder.ids)
    close(decoder.logits(inputs_embeds=vectors), everything)
    for arguments in ({}, {"input_ids": decoder.ids, "inputs_embeds": vectors}):
        with pytest.raises(ValueError, match="needs either input_ids or inputs_embeds"):
            decoder.model(**arguments)
    with pytest.raises(ValueError, match="attention_mask has 5 columns; there are 9 tokens so far"):
        decoder.model(decoder.ids, attention_mask=torch.ones(2, 5))
    if decoder.architecture.traits.position == "learned":
        with pytest.raises(ValueError, match="position 32 is beyond the 32 positions of this model"):
            decoder.model(torch.zeros(1, 33, dtype=torch.long))


def gradients(model: Any, ids: Any) -> dict[str, Any]:
    model.train()
    model.zero_grad()
    model(ids, labels=ids).loss.backward()
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


def test_gradients_are_those_of_our_own_network(decoder: Model) -> None:
    model = decoder.again()
    found = gradients(model, decoder.ids)
    network = Network(decoder.architecture, decoder.weights)
    network.loss(decoder.ids).backward()
    assert sum(gradient.numel() for gradient in found.values()) == lts.total_params(decoder.architecture)
    for name in ("down.weight", "attention_output.weight", "query.weight"):
        ours = network.by_name[f"layers.1.{name}"].grad
        theirs = name.replace("attention_output", "attention.output").replace("query", "attention.query")
        close(found[f"model.layers.1.{theirs.replace('down', 'feed_forward.down')}"].T, ours)
    close(found["model.token_embedding.0.weight"], network.by_name["token_embedding.0.weight"].grad)


@pytest.mark.parametrize("reentrant", [False, True])
def test_gradient_checkpointing(decoder: Model, reentrant: bool) -> None:
    """Layers run again in the backward pass, and the gradients are the same."""
    plain, model = gradients(decoder.again(), decoder.ids), decoder.again()
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": reentrant})
    if reentrant:
        model.enable_input_require_grads()
    calls = []
    model.model.layers[1].attention.register_forward_hook(lambda *_: calls.append(1))
    for name, gradient in gradients(model, decoder.ids).items():
        close(gradient, plain[name])
    assert len(calls) == 2


def test_gradients_do_not_go_into_the_memory(tmp_path: Path) -> None:
    """A segment of Transformer-XL is trained with the memory of the one before as a constant (Dai et al. 2019, 3.2)."""
    whole = Model(XL, tmp_path)
    model = whole.again().train()
    first = model(whole.ids[:, :4], use_cache=True)
    first.logits.sum().backward()
    model(whole.ids[:, 4:], past_key_values=first.past_key_values, labels=whole.ids[:, 4:]).loss.backward()
    close(model(whole.ids, use_cache=False).logits[:, :4], first.logits)


def test_it_trains(decoder: Model, tmp_path: Path) -> None:
    """transformers' Trainer: its loss falls, and its checkpoint is read by us with what was learned."""
    rows = [torch.arange(i, i + 12) % 97 for i in range(16)]
    data = [{"input_ids": row, "labels": row, "attention_mask": torch.ones_like(row)} for row in rows]
    model = decoder.again()
    arguments = transformers.TrainingArguments(
        output_dir=str(tmp_path),
        per_device_train_batch_size=4,
        gradient_accumulation_steps=2,
        gradient_checkpointing=True,
        max_steps=12,
        learning_rate=5e-3,
        save_steps=12,
        bf16=True,
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
    )
    trainer = transformers.Trainer(model=model, args=arguments, train_dataset=data, eval_dataset=data)
    before = trainer.evaluate()["eval_loss"]
    trainer.train()
    assert trainer.evaluate()["eval_loss"] < 0.8 * before
    read = read_pretrained(tmp_path / "checkpoint-12")
    assert read.architecture == decoder.architecture
    with torch.no_grad():
        ours, theirs = Network(read.architecture, read.weights)(decoder.ids), load(tmp_path / "checkpoint-12")
        close(ours, theirs(decoder.ids).logits)
    for name, parameter in theirs.named_parameters():
        assert torch.equal(parameter, model.get_parameter(name)), name


def test_low_rank_adapters(decoder: Model, tmp_path: Path) -> None:
    """PEFT finds the matrices by name, merges what was learned into them, and we read the result."""
    peft = pytest.importorskip("peft", reason="peft is not installed")
    config = peft.LoraConfig(r=4, target_modules=["query", "value", "down"], task_type="CAUSAL_LM")
    model = peft.get_peft_model(decoder.again(), config)
    model(input_ids=decoder.ids, labels=decoder.ids).loss.backward()
    trained = [name for name, parameter in model.named_parameters() if parameter.grad is not None]
    roles = [weight.role for weight in lts.weights(decoder.architecture) if weight.kind == "matrix"]
    assert len(trained) == 2 * sum(role in ("query", "value", "down") for role in roles)
    assert all("lora_" in name for name in trained)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1)
    with torch.no_grad():
        adapted = model(input_ids=decoder.ids).logits
    merged = model.merge_and_unload()
    merged.save_pretrained(tmp_path)
    read = read_pretrained(tmp_path)
    with torch.no_grad():
        close(Network(read.architecture, read.weights)(decoder.ids), adapted)
    assert (adapted - decoder.logits(decoder.ids)).abs().max() > 1e-2


def test_more_tokens(decoder: Model, tmp_path: Path) -> None:
    """Plain embeddings take new tokens and come back to us with them; clusters refuse."""
    model = decoder.again()
    if decoder.architecture.adaptive:
        with pytest.raises(
            ValueError, match=r"an adaptive embedding cannot be resized to 101 tokens: its clusters end"
        ):
            model.resize_token_embeddings(101)
        assert model.resize_token_embeddings(97) is not None
        return
    model.resize_token_embeddings(101)
    with torch.no_grad():
        close(model(decoder.ids).logits[..., :97], decoder.logits(decoder.ids))
    model.save_pretrained(tmp_path)
    with torch.no_grad():
        close(load(tmp_path)(decoder.ids + 4).logits, model(decoder.ids + 4).logits)
    assert read_pretrained(tmp_path).architecture.vocab_size == 101


def test_tied_weights_are_one(tmp_path: Path) -> None:
    for tied in (True, False):
        architecture = lts.Architecture("llama", 97, 32, 24, n_head=[4, 2], d_ff=30, tie_embedding=tied)
        model = loaded(architecture, tmp_path / str(tied), arrays(architecture))
        shared = model.get_input_embeddings().weight is model.get_output_embeddings().weight
        assert shared == tied
        assert sum(p.numel() for p in model.parameters()) == lts.total_params(architecture)


def test_new_weights(decoder: Model) -> None:
    """Of a configuration alone: matrices from N(0, 0.02^2), biases zero, scales one."""
    config = transformers.AutoConfig.from_pretrained(decoder.folder, trust_remote_code=True)
    model = transformers.AutoModelForCausalLM.from_config(config, trust_remote_code=True)
    for name, parameter in model.named_parameters():
        if "norm" in name and name.endswith("weight"):
            assert (parameter == 1).all(), name
        elif parameter.dim() == 1:
            assert not parameter.any(), name
        else:
            assert 0.01 < parameter.std() < 0.03, name


def test_hidden_states_alone(decoder: Model, encoder: Model) -> None:
    for whole in (decoder, encoder):
        body = transformers.AutoModel.from_pretrained(whole.folder, trust_remote_code=True)
        with torch.no_grad():
            close(whole.model.logits(body(whole.ids).last_hidden_state), whole.logits(whole.ids))


def test_saving_keeps_the_code_and_every_field(decoder: Model, encoder: Model, tmp_path: Path) -> None:
    usual = lts.Architecture("gpt2", 256, 1024, 64, n_head=[4, 2], d_ff=30)  # as where nothing is said
    for whole in (decoder, encoder, Model(usual, tmp_path / "usual")):
        folder = tmp_path / f"saved-{whole.architecture.family}-{whole.architecture.vocab_size}"
        whole.model.save_pretrained(folder)
        for name in CODE:
            assert (folder / name).read_bytes() == (whole.folder / name).read_bytes()
        saved, written = (json.loads((each / "config.json").read_text()) for each in (folder, whole.folder))
        assert {name: saved[name] for name in written if name != "dtype"} == {
            name: value for name, value in written.items() if name != "dtype"
        }
        read = read_pretrained(folder)
        assert read.architecture == whole.architecture
        assert all(np.array_equal(read.weights[name], array) for name, array in whole.weights.items())


def test_an_encoder_is_our_own_network(encoder: Model) -> None:
    network = Network(BERT, encoder.weights)
    with torch.no_grad():
        close(encoder.logits(encoder.ids), network(encoder.ids))
    eager = encoder.again(attn_implementation="eager")
    with torch.no_grad():
        close(eager(encoder.ids).logits, network(encoder.ids))
        second = encoder.logits(encoder.ids, token_type_ids=torch.ones_like(encoder.ids))
    assert (second - encoder.logits(encoder.ids)).abs().max() > 1e-2


@pytest.mark.parametrize("side", ["left", "right"])
def test_an_encoder_does_not_see_padding(encoder: Model, side: str) -> None:
    short = encoder.ids[:1, 3:]
    padding = torch.full((1, 3), 5)
    batch = torch.cat([torch.cat([padding, short] if side == "left" else [short, padding], 1), encoder.ids[1:]])
    mask = torch.ones_like(batch)
    mask[0, slice(0, 3) if side == "left" else slice(6, None)] = 0
    both = encoder.logits(batch, attention_mask=mask)
    close(both[:1, mask[0].bool()], encoder.logits(short))
    close(both[1:], encoder.logits(encoder.ids[1:]))


def test_an_encoder_trains(encoder: Model, tmp_path: Path) -> None:
    model = encoder.again()
    labels = torch.where(torch.arange(9) % 3 == 0, encoder.ids, -100)
    hidden = torch.where(labels >= 0, 96, encoder.ids)
    model.train()
    model.gradient_checkpointing_enable()
    optimizer = torch.optim.AdamW(model.parameters(), 5e-3)
    losses = []
    for _ in range(10):
        optimizer.zero_grad()
        loss = model(hidden, labels=labels, attention_mask=torch.ones_like(hidden)).loss
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    model.save_pretrained(tmp_path)
    read = read_pretrained(tmp_path)
    with torch.no_grad():
        close(Network(BERT, read.weights)(encoder.ids), model.eval()(encoder.ids).logits)
