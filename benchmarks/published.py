"""Published measurements as architectures with values; shared by the benchmarks that replay them."""

from __future__ import annotations

import os
from pathlib import Path

from estimate_fit import read_table

import lts
from lts.measure.tables import reader as tables

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
    table = tables.read_table(path or folder() / "hwgpt" / HWGPT)
    columns = {name: table.column(name) for name in ("ppl", *HWGPT_COLUMNS.values())}
    return [(a, {name: column[i] for name, column in columns.items()}) for i, a in enumerate(table.architectures)]
