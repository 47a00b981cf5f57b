"""Tables of FlexiBERT (Tuli et al. 2022), as Serianni and Kalita 2023 published them."""

from __future__ import annotations

from lts._core import Architecture, family
from lts.measure.tables.form import Form, Row
from lts.system.outside import parse_json

_LAYER = {
    *("operation_type", "operation_parameter", "num_operation_heads"),
    *("feed_forward_dimension", "num_feed_forward"),
}
_MIXERS = {
    ("SA", "SDP"): "attention",
    ("SA", "WMA"): "weighted_attention",
    ("LT", "DFT"): "fourier",
    ("LT", "DCT"): "cosine",
    ("DSC", "5"): "convolution_5",
    ("DSC", "9"): "convolution_9",
}


def _build(row: Row, name: str) -> Architecture:
    """With the vocabulary and positions of ELECTRA, on which the models are built (Serianni and Kalita 2023)."""
    traits = family(name)
    layers = parse_json(row["encoder_layers"])
    if not isinstance(layers, list) or not all(isinstance(layer, dict) and layer.keys() >= _LAYER for layer in layers):
        raise ValueError(f"encoder_layers must be a list of objects with {', '.join(sorted(_LAYER))}")
    mixers = []
    for layer in layers:
        kind = (layer["operation_type"], str(layer["operation_parameter"]))
        if kind not in _MIXERS:
            raise ValueError(f"unknown operation {kind[0]} with {kind[1]}")
        mixers.append(_MIXERS[kind])
    return Architecture(
        traits.name,
        vocab_size=30522,
        n_positions=512,
        d_model=traits.only_d_model or int(row["hidden_size"]),
        n_head=[layer["num_operation_heads"] for layer in layers],
        d_ff=[traits.only_d_ff or layer["feed_forward_dimension"] for layer in layers],
        mixer=mixers,
        n_ff=[layer["num_feed_forward"] for layer in layers],
    )


FORM = Form(
    "FlexiBERT (hidden_size, encoder_layers)",
    frozenset({"hidden_size", "encoder_layers"}),
    _build,
    ("flexibert", "flexibert_official"),
)
