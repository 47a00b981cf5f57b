"""The columns: what a search can optimize or bound, and what can be compared of models, in one line each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lts.measure.outcome import Provenance

Use = Literal["search", "compress", "metric", "shown"]


@dataclass(frozen=True)
class Column:
    """A quantity of an architecture or model.

    Parameters
    ----------
    name
        As in ``--objective`` and in records; ends with its unit where it has one.
    direction
        What is better: "max" or "min".
    unit
        For people; empty where it has none.
    what
        What it is, in one line.
    provenance
        Where its values may come from, see `lts.measure.outcome`.
    uses
        ``search``: objective or constraint of a search, and of ``compress``, which alone has those for ``compress``.
        ``metric``: of ``bench``, ``compare`` and ``gate``. ``shown``: beside the others.
    short
        Its shorter name as a metric; empty where it has none.
    """

    name: str
    direction: Literal["max", "min"]
    unit: str
    what: str
    provenance: tuple[Provenance, ...]
    uses: tuple[Use, ...]
    short: str = ""


_SEARCH: tuple[Use, ...] = ("search",)
_COMPRESS: tuple[Use, ...] = ("compress",)
_METRIC: tuple[Use, ...] = ("metric",)
_BOTH: tuple[Use, ...] = ("search", "metric")
_EXACT: tuple[Provenance, ...] = ("exact",)
_ESTIMATED: tuple[Provenance, ...] = ("estimated",)
_MEASURED: tuple[Provenance, ...] = ("measured",)
_EMULATED: tuple[Provenance, ...] = ("emulated",)
_ANY: tuple[Provenance, ...] = ("measured", "predicted", "estimated")
_NO = ""  # unit

COLUMNS = (
    Column("perplexity", "min", _NO, "of a sub-network, on held-out windows of the text", _MEASURED, _COMPRESS),
    Column("eval_perplexity", "min", _NO, "of a sub-network, on a second text", _MEASURED, _COMPRESS),
    Column("recovered_perplexity", "min", _NO, "perplexity of a sub-network after recovery", _MEASURED, ("shown",)),
    Column("decoder_params", "max", "parameters", "parameters of all layers and the final norm", _EXACT, _SEARCH),
    Column("total_params", "max", "parameters", "all parameters, the embedding among them", _EXACT, _SEARCH),
    Column("attention_params", "max", "parameters", "parameters of the attention's projections", _EXACT, _SEARCH),
    Column("ffn_params", "max", "parameters", "parameters of the feed-forward networks", _EXACT, _SEARCH),
    Column("embedding_params", "min", "parameters", "parameters of the embedding", _EXACT, _SEARCH),
    Column("geometric", "max", _NO, "geometric mean of attention and ffn parameters, as a logarithm", _EXACT, _SEARCH),
    Column("zerolm", "max", _NO, "capacity of the matrices at initialization, in closed form", _EXACT, _SEARCH),
    Column("depth_weighted", "max", _NO, "experimental: parameters, deeper layers counted more", _EXACT, _SEARCH),
    Column("latency_ms", "min", "ms", "time of one prompt pass: to the first token", _ANY, _BOTH, "latency"),
    Column("decode_ms_per_token", "min", "ms per token", "time of one decode step", _ANY, _BOTH, "decode"),
    Column("request_ms", "min", "ms", "time of a whole request: prompt pass, decode steps", _ANY, _BOTH, "request"),
    Column(
        "tokens_per_second", "max", "tokens per second", "tokens generated while decoding", _MEASURED, _BOTH, "speed"
    ),
    Column("latency_published_ms", "min", "ms", "time of a prompt pass as published, in PyTorch", _ESTIMATED, _SEARCH),
    Column("peak_memory_mib", "min", "MiB", "memory that loading and running take at most", _ANY, _BOTH, "memory"),
    Column("peak_memory_estimate_mib", "min", "MiB", "weights, cache, logits and activations", _ESTIMATED, _SEARCH),
    Column("weight_mib", "min", "MiB", "the weights in the precision that is asked for", _EXACT, _SEARCH),
    Column("kv_cache_mib", "min", "MiB", "keys and values of the prompt's tokens", _ESTIMATED, _SEARCH),
    Column(
        "energy_mj",
        "min",
        "mJ",
        "energy of a whole request, where there is a meter",
        _MEASURED,
        _BOTH,
        "energy",
    ),
    Column("prefill_energy_mj", "min", "mJ", "energy of one prompt pass", _MEASURED, _BOTH),
    Column("decode_energy_mj_per_token", "min", "mJ per token", "energy of one decode step", _MEASURED, _BOTH),
    Column(
        "size_bytes",
        "min",
        "bytes",
        "files of a model, or weights of an architecture",
        _EXACT,
        _METRIC,
        "size",
    ),
    Column("instructions", "min", "instructions", "of one prompt pass, on the device emulated", _EMULATED, _BOTH),
    Column("decode_instructions", "min", "instructions", "of one decode step, likewise", _EMULATED, _BOTH),
    Column("flops_prefill", "min", "operations", "operations of one prompt pass", _ESTIMATED, _SEARCH),
    Column("flops_decode", "min", "operations", "operations of one decode step", _ESTIMATED, _SEARCH),
    Column(
        "output_error",
        "min",
        _NO,
        "largest difference of a compiled model's logits, relative to the largest logit",
        ("measured", "emulated"),
        ("shown",),
    ),
)
"""All of them; tables and functions of your own may have others."""

QUALITY = ("perplexity", "eval_perplexity")
"""Those that are measured on text: they do not differ from process to process."""
RECOVERED = "recovered_perplexity"
"""Perplexity after recovery, of members that were recovered."""
