"""Published measurements as architectures with values; shared by the benchmarks that replay them."""

from __future__ import annotations

import csv
import gzip
import json
import os
from pathlib import Path
from typing import Any

import lts
from lts.estimate.fit import read_table

LTS_TABLES = {
    "arm": ("pareto_gpt2_lm1b_arm.csv", "gpt2"),
    "corei7": ("pareto_transxl_lm1b_corei7.csv", "transformer_xl"),
}
HWGPT = "measured_s_first5000.csv.gz"
HWGPT_COLUMNS = {
    "A100": "lat_ms_a100",
    "RTX 2080": "lat_ms_rtx2080",
    "Xeon Silver": "lat_ms_cpu_xeon_silver",
    "AMD 7452": "lat_ms_cpu_amd_7452",
    "energy A100": "energy_Wh_a100",
    "memory A100": "mem_bf16_MB_a100",
}


def folder() -> Path:
    """Where the published tables are: ``$LTS_DATA`` or ``../shared/data``."""
    return Path(os.environ.get("LTS_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))


def lts_table(name: str) -> list[tuple[lts.Architecture, dict[str, float]]]:
    """Architectures of a table of LiteTransformerSearch with ``latency`` (ms) and ``memory`` (MB)."""
    file, family = LTS_TABLES[name]
    return read_table(folder() / "lts" / file, family)


def hwgpt_table(path: Path | None = None) -> list[tuple[lts.Architecture, dict[str, float]]]:
    """Architectures of HW-GPT-S with their columns. With biases they are gpt2, without hw_gpt; heads are 64 wide."""
    rows = []
    with gzip.open(path or folder() / "hwgpt" / HWGPT, "rt") as file:
        for row in csv.DictReader(file):
            d_model = int(row["embed_dim"])
            architecture = lts.Architecture(
                "gpt2" if row["bias"] == "1" else "hw_gpt",
                vocab_size=50254,
                n_positions=1024,
                d_model=d_model,
                head_dim=64,
                n_head=json.loads(row["n_head"]),
                d_ff=[ratio * d_model for ratio in json.loads(row["mlp_ratio"])],
            )
            values: dict[str, Any] = {name: float(row[name]) for name in ("ppl", *HWGPT_COLUMNS.values())}
            rows.append((architecture, values))
    return rows
