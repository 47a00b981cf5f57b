"""Logs of LiteTransformerSearch (Javaheripi et al. 2022, arXiv 2203.02094)."""

from __future__ import annotations

from lts._core import Architecture
from lts.measure.tables.form import Form, Row
from lts.system.outside import parse_json


def _build(row: Row, family: str) -> Architecture:
    return Architecture(
        family,
        vocab_size=int(row["n_token"]),
        n_positions=int(row["tgt_len"]),
        d_model=int(row["d_model"]),
        n_head=parse_json(row["n_head"]),
        d_ff=parse_json(row["d_inner"]),
        d_embed=int(row["d_embed"]),
        div_val=int(row["div_val"]),
        cutoffs=parse_json(row["cutoffs"]),
        tie_projs=parse_json(row["tie_projs"]),
    )


FORM = Form("LiteTransformerSearch (d_inner, n_token, ...)", frozenset({"d_inner", "n_token"}), _build)
