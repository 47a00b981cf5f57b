"""Published measurements as architectures with values; shared by the benchmarks that replay them."""

from __future__ import annotations

import csv
import os
from pathlib import Path

from estimate_fit import read_table

import lts
from lts.errors import UsageError
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


RECOMMENDED = "archai_gpt2_even.csv"


def recommended(path: Path | None = None) -> dict[str, lts.Architecture]:
    """GPT-2s by name that the authors of LiteTransformerSearch publish as its results, the smallest decoder first.

    All layers of each are equal. Raises `UsageError` for a table that cannot be read, or is not of this form, and for a
    row whose ``decoder_params`` is not what the core counts.
    """
    path = path or folder() / "lts" / RECOMMENDED
    try:
        return _recommended(path)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from None
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{path} is no table of the form of {RECOMMENDED}: {error}") from None


def _recommended(path: Path) -> dict[str, lts.Architecture]:
    found = {}
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            n_layer = int(row["n_layer"])
            architecture = lts.Architecture(
                "gpt2",
                int(row["vocab_size"]),
                int(row["n_positions"]),
                int(row["d_model"]),
                n_head=[int(row["n_head"])] * n_layer,
                d_ff=[int(row["d_inner"])] * n_layer,
            )
            counted = lts.decoder_params(architecture)
            if counted != int(row["decoder_params"]):
                raise ValueError(f"{row['name']} has {row['decoder_params']} decoder parameters, counted are {counted}")
            found[row["name"]] = architecture
    if not found:
        raise ValueError("it has no rows")
    return dict(sorted(found.items(), key=lambda each: lts.decoder_params(each[1])))


def hwgpt_space(**options: float) -> lts.SearchSpace:
    """The space of HW-GPT-S with biases; `options` are further ones of `lts.SearchSpace`."""
    return lts.SearchSpace(
        family="hw_gpt",
        qkv_bias=True,
        attention_output_bias=True,
        feed_forward_bias=True,
        n_layer=[10, 11, 12],
        d_model=[192, 384, 768],
        n_head=[4, 8, 12],
        d_ff=[384, 576, 768, 1152, 1536, 2304, 3072],
        head_dim=64,
        vocab_size=50254,
        **options,
    )


def hwgpt_table(path: Path | None = None) -> list[tuple[lts.Architecture, dict[str, float]]]:
    """Architectures of HW-GPT-S with their columns."""
    table = tables.read_table(path or folder() / "hwgpt" / HWGPT)
    columns = {name: table.column(name) for name in ("ppl", *HWGPT_COLUMNS.values())}
    return [(a, {name: column[i] for name, column in columns.items()}) for i, a in enumerate(table.architectures)]
