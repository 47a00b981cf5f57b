"""Tables of architectures: what one command writes, the others read."""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path

import pytest

import lts
from lts.cli.arguments import Format
from lts.cli.output import emit, trial_results
from lts.errors import UsageError
from lts.measure.table import TableEvaluator
from lts.measure.tables.reader import read_table
from lts.measure.trial import Trial
from lts.targets.target import load_target

COLUMNS = ["decoder_params", "latency_ms"]


def trials_of(name: str) -> list[Trial]:
    space = lts.SearchSpace.load(name)
    return [
        Trial(
            id=i,
            state="complete",
            architecture=architecture,
            values={"decoder_params": lts.decoder_params(architecture), "latency_ms": 1.5 + i},
            provenance={"decoder_params": "exact", "latency_ms": "measured"},
            interval={"latency_ms": (1.0, 2.0 + i)},
            error="=1+1" if i else None,
            feasible=True,
        )
        for i, architecture in enumerate(space.sample(6, seed=1))
    ]


def written(trials: list[Trial], form: Format, capsys: pytest.CaptureFixture[str]) -> str:
    emit(trial_results(trials, COLUMNS), form)
    return capsys.readouterr().out


@pytest.mark.parametrize("name", ["gpt2-tiny", "llama-tiny", "transformer-xl-tiny", "hw-gpt-tiny"])
@pytest.mark.parametrize("form", [Format.csv, Format.jsonl])
@pytest.mark.parametrize("packed", [False, True])
def test_trials_are_read_back(
    name: str, form: Format, packed: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trials = trials_of(name)
    content = written(trials, form, capsys).encode()
    file = tmp_path / "table"
    file.write_bytes(gzip.compress(content) if packed else content)
    table = read_table(file)
    assert table.architectures == [trial.architecture for trial in trials]
    assert table.columns == {column: [float(trial.values[column]) for trial in trials] for column in COLUMNS}
    assert table.column("values.latency_ms") == table.column("latency_ms")
    with pytest.raises(UsageError, match="no column"):
        table.column("values.other")


def test_a_damaged_cell_is_told_with_its_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = list(csv.reader(io.StringIO(written(trials_of("gpt2-tiny"), Format.csv, capsys))))
    rows[2][rows[0].index("architecture.d_model")] = "wide"
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    (tmp_path / "t.csv").write_text(out.getvalue())
    with pytest.raises(UsageError, match=r"t\.csv, line 3: "):
        read_table(tmp_path / "t.csv")


def test_a_compressed_table_is_the_same_device(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trials = trials_of("gpt2-tiny")
    content = written(trials, Format.jsonl, capsys).encode()
    (tmp_path / "t.jsonl").write_bytes(content)
    (tmp_path / "t.jsonl.gz").write_bytes(gzip.compress(content))
    host = load_target("host")
    plain, packed = (TableEvaluator(host, tmp_path / name) for name in ("t.jsonl", "t.jsonl.gz"))
    assert packed.architectures == plain.architectures == [trial.architecture for trial in trials]
    assert packed.digest == plain.digest
    assert packed.evaluate(trials[3].architecture, ["latency_ms"]).values["latency_ms"] == 4.5
    for damaged in (gzip.compress(content)[:-20], gzip.compress(content)[:30] + b"x" * 50, b"\x1f\x8b"):
        (tmp_path / "bad.gz").write_bytes(damaged)
        with pytest.raises(UsageError, match=r"bad\.gz is no gzip file"):
            TableEvaluator(host, tmp_path / "bad.gz")


def test_tables_of_hw_gpt_bench_are_of_its_spaces(tmp_path: Path) -> None:
    rows = ["embed_dim,n_layer,mlp_ratio,n_head,bias,ppl"]
    rows += [f'384,10,"{[2, 3, 4, 4, 2] * 2}","{[4, 8, 12, 4, 8] * 2}",{bias},30' for bias in (0, 1)]
    (tmp_path / "t.csv").write_text("\n".join(rows))
    space = lts.SearchSpace.load("hw-gpt-s")
    plain, biased = read_table(tmp_path / "t.csv").architectures
    assert plain in space
    assert biased in space
    # What a network with biases has more: of queries, keys and values, of two outputs, and of the inner layer.
    more = sum(3 * 64 * h + 384 + f + 384 for h, f in zip(plain.n_head, plain.d_ff, strict=True))
    assert lts.decoder_params(biased) - lts.decoder_params(plain) == more
    gated = read_table(tmp_path / "t.csv", "hw_gpt_gated").architectures
    assert [a.family for a in gated] == ["hw_gpt_gated"] * 2
    named = lts.Architecture.from_dict({**plain.to_dict(), "family": "hw_gpt_gated_bias"})
    assert lts.decoder_params(gated[1]) == lts.decoder_params(named)


def test_the_published_rows_are_in_the_space(published: Path) -> None:
    path = published.parent / "hwgpt" / "measured_s_first5000.csv.gz"
    if not path.is_file():
        pytest.skip(f"{path} is absent")
    space = lts.SearchSpace.load("hw-gpt-s")
    architectures = read_table(path).architectures
    assert len(architectures) == 5000
    assert [space.why_not(a) for a in architectures if a not in space] == []
    assert {a.qkv_bias for a in architectures} == {False, True}
