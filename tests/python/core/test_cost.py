"""Counts and analytic costs."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from test_architecture import architectures, small

import lts
from lts import Architecture

TABLES = {
    "pareto_gpt2_lm1b_arm": "gpt2",
    "pareto_transxl_lm1b_corei7": "transformer_xl",
    "random_gpt2_wt103": "gpt2",
    "random_transxl_wt103": "transformer_xl",
}


def architecture_of(row: dict[str, str], family: str) -> Architecture:
    """The architecture of a row of the published tables."""
    return Architecture(
        family,
        vocab_size=int(row["n_token"]),
        n_positions=int(row["tgt_len"]),
        d_model=int(row["d_model"]),
        n_layer=int(row["n_layer"]),
        n_head=json.loads(row["n_head"]),
        d_ff=json.loads(row["d_inner"]),
        d_embed=int(row["d_embed"]),
        div_val=int(row["div_val"]),
        cutoffs=json.loads(row["cutoffs"]),
        tie_projs=json.loads(row["tie_projs"]),
    )


class TestPublished:
    def rows(self, published: Path, table: str) -> list[dict[str, str]]:
        with (published / f"{table}.csv").open(newline="") as file:
            return list(csv.DictReader(file))

    @pytest.mark.parametrize("table", TABLES)
    def test_every_row(self, published: Path, table: str) -> None:
        for row in self.rows(published, table):
            a = architecture_of(row, TABLES[table])
            counts = lts.count_parameters(a)
            got = {
                "params_nonembedding": lts.decoder_params(a),
                "params_total": lts.total_params(a),
                "params_attn": counts.attention,
                "params_ffn": counts.feed_forward,
                "params_embedding": counts.embedding,
            }
            assert got == {name: int(row[name]) for name in got}, row["key"]

    def test_there_are_480(self, published: Path) -> None:
        assert sum(len(self.rows(published, table)) for table in TABLES) == 480


class TestKnownModels:
    def test_gpt2(self) -> None:
        sizes = {(768, 12, 12): 124_439_808, (1024, 16, 24): 354_823_168, (1280, 20, 36): 774_030_080}
        for (d, h, n_layer), expected in sizes.items():
            a = Architecture("gpt2", 50257, 1024, d, n_head=h, d_ff=4 * d, n_layer=n_layer)
            assert lts.total_params(a) == expected

    def test_llama_7b(self) -> None:
        a = Architecture("llama", 32000, 2048, 4096, n_head=32, d_ff=11008, n_layer=32)
        assert lts.total_params(a) == 6_738_415_616

    def test_llama_with_grouped_queries(self) -> None:
        tiny = Architecture("llama", 32000, 2048, 2048, n_head=32, n_kv_head=4, d_ff=5632, n_layer=22)
        assert lts.total_params(tiny) == 1_100_048_384  # TinyLlama 1.1B


class TestFlops:
    def test_prefill_by_hand(self) -> None:
        a = small(n_layer=1)
        n = 5
        matrices = 4 * 8 * 8 + 2 * 8 * 32 + 100 * 8
        assert lts.flops_prefill(a, n_prompt=n) == 2 * (n * matrices + 2 * n * n * 8)
        assert lts.flops_prefill(a, n_prompt=n, batch=3) == 3 * lts.flops_prefill(a, n_prompt=n)

    @given(architectures())
    def test_last_logits_leave_out_those_of_other_positions(self, a: Architecture) -> None:
        one = lts.flops_prefill(a, n_prompt=1)
        assert lts.flops_prefill(a, n_prompt=1, logits="last") == one
        saved = lts.flops_prefill(a, n_prompt=8, batch=3) - lts.flops_prefill(a, n_prompt=8, batch=3, logits="last")
        again = lts.flops_prefill(a, n_prompt=15) - lts.flops_prefill(a, n_prompt=15, logits="last")
        assert 2 * saved == 3 * again > 0  # the same for every other position of every sequence
        assert lts.peak_memory_bytes(a, logits="last") <= lts.peak_memory_bytes(a)

    def test_decode_is_the_difference_of_two_prefills_of_one_layer(self) -> None:
        a = small(n_layer=1)
        matrices = 4 * 8 * 8 + 2 * 8 * 32 + 100 * 8
        assert lts.flops_decode(a, n_prompt=5) == 2 * (matrices + 2 * 6 * 8)

    @given(architectures())
    def test_decode_is_cheaper(self, a: Architecture) -> None:
        assert 0 < lts.flops_decode(a, n_prompt=8) < lts.flops_prefill(a, n_prompt=8) * 2


class TestBytes:
    def test_weights(self) -> None:
        a = small()
        n = lts.total_params(a)
        assert lts.weight_bytes(a) == 4 * n
        assert lts.weight_bytes(a, precision="float16") == 2 * n
        matrices = [w.shape for w in lts.weights(a) if w.kind == "matrix"]
        others = 4 * sum(w.size for w in lts.weights(a) if w.kind != "matrix" and w.role != "token_embedding")
        assert lts.weight_bytes(a, precision="int8") == (
            others + sum(inputs * outputs + 4 * outputs for inputs, outputs in matrices) + 2 * 100 * 8 + 4 * 100
        )
        blocks = [outputs * -(-inputs // 32) for inputs, outputs in matrices] + [100]
        assert lts.weight_bytes(a, precision="int4") == others + 20 * sum(blocks)

    def test_cache(self) -> None:
        assert lts.kv_cache_bytes(small(), n_prompt=10, batch=2) == 2 * 10 * 2 * (8 + 8) * 4
        grouped = small(family="llama", n_head=4, n_kv_head=[1, 2])
        assert lts.kv_cache_bytes(grouped, n_prompt=10, precision="float16") == 10 * 2 * (2 + 4) * 2
        assert lts.kv_cache_bytes(small(family="transformer_xl"), n_prompt=10) == 10 * 2 * 8 * 4

    @given(architectures())
    def test_peak_holds_the_rest(self, a: Architecture) -> None:
        assert lts.peak_memory_bytes(a) > lts.weight_bytes(a) + lts.kv_cache_bytes(a)


class TestAnalytic:
    def test_names(self) -> None:
        assert lts.analytic_names() == [
            *("decoder_params", "total_params", "attention_params", "ffn_params", "embedding_params"),
            *("flops_prefill", "flops_decode", "weight_mib", "kv_cache_mib", "peak_memory_estimate_mib"),
            *("geometric", "zerolm", "depth_weighted"),
        ]

    @given(architectures())
    def test_same_as_the_functions(self, a: Architecture) -> None:
        counts = lts.count_parameters(a)
        load: dict[str, Any] = {"n_prompt": 7, "batch": 2}
        expected = {
            "decoder_params": counts.decoder,
            "total_params": counts.total,
            "attention_params": counts.attention,
            "ffn_params": counts.feed_forward,
            "embedding_params": counts.embedding,
            "flops_prefill": lts.flops_prefill(a, **load),
            "flops_decode": lts.flops_decode(a, **load),
            "weight_mib": lts.weight_bytes(a, precision="float16") / 2**20,
            "kv_cache_mib": lts.kv_cache_bytes(a, **load, precision="float16") / 2**20,
            "peak_memory_estimate_mib": lts.peak_memory_bytes(a, **load, precision="float16") / 2**20,
            "geometric": lts.geometric(a),
            "zerolm": lts.zerolm(a),
            "depth_weighted": lts.depth_weighted(a),
        }
        for name in lts.analytic_names():
            assert lts.analytic(name, a, **load, precision="float16") == expected[name]

    def test_errors(self) -> None:
        with pytest.raises(ValueError, match="unknown analytic quantity 'latency_ms'; expected one of decoder_params"):
            lts.analytic("latency_ms", small())
        with pytest.raises(ValueError, match="unknown precision 'bf16'; expected float32, float16, int8 or int4"):
            lts.weight_bytes(small(), precision="bf16")
        with pytest.raises(ValueError, match="unknown logits 'first'; expected all or last"):
            lts.flops_prefill(small(), logits="first")
        with pytest.raises(ValueError, match="n_prompt is 0; it must be from 1 to 1048576"):
            lts.flops_prefill(small(), n_prompt=0)
        with pytest.raises(ValueError, match="batch is -1"):
            lts.analytic("flops_decode", small(), batch=-1)
        with pytest.raises(TypeError, match="n_prompt must be an integer, not float"):
            lts.kv_cache_bytes(small(), n_prompt=1.5)  # type: ignore[arg-type]

    def test_repr_of_counts(self) -> None:
        assert repr(lts.count_parameters(small())).startswith("<ParameterCounts total=")
