"""Tables of HW-GPT-Bench (Sukthanker et al. 2024, arXiv 2405.10299)."""

from __future__ import annotations

from lts._core import Architecture
from lts.measure.tables.form import Form, Row
from lts.system.outside import parse_json

_TRUE, _FALSE = ("1", "1.0", "true", "yes"), ("0", "0.0", "false", "no")


def _build(row: Row, family: str) -> Architecture:
    """As in the presets ``hw-gpt-s``, ``-m`` and ``-l``: heads are 64 wide whatever the model's width, and all biases
    are there or none."""
    d_model, spelled = int(row["embed_dim"]), row["bias"].strip().lower()
    if spelled not in _TRUE and spelled not in _FALSE:
        raise ValueError(f"bias is '{row['bias']}'; expected 1 or 0")
    bias = spelled in _TRUE
    return Architecture(
        family,
        vocab_size=50254,
        n_positions=1024,
        d_model=d_model,
        head_dim=64,
        n_head=parse_json(row["n_head"]),
        d_ff=[_ratio(ratio) * d_model for ratio in parse_json(row["mlp_ratio"])],
        qkv_bias=bias,
        attention_output_bias=bias,
        feed_forward_bias=bias,
    )


def _ratio(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):  # a text or a list would be repeated
        raise ValueError(f"mlp_ratio must be a list of integers, got {value!r}")
    return value


FORM = Form(
    "HW-GPT-Bench (embed_dim, mlp_ratio, ...)",
    frozenset({"embed_dim", "mlp_ratio"}),
    _build,
    ("hw_gpt", "hw_gpt_gated"),
)
