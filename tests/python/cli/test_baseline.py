"""Baselines, --pick and front --again on the command line."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lts import Architecture
from lts.spaces.space import load_space
from lts.study.stored import read_study

COMMAND = Path(sys.executable).with_name("lts-engine")
GPT2 = {"model_type": "gpt2", "vocab_size": 512, "n_positions": 256, "n_embd": 64, "n_layer": 3, "n_head": 4}


def run(*args: object, cwd: Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    result = subprocess.run(
        [COMMAND, *map(str, args)], cwd=cwd, capture_output=True, text=True, timeout=300, check=False
    )
    assert result.returncode == code, result.stderr
    return result


def values_of(a: Architecture) -> dict[str, float]:
    return {"request_ms": 1 + sum(a.d_ff) * a.d_model / 1e4, "peak_memory_mib": 2 + a.d_model / 16}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of sixty architectures, the first of which is the baseline, and a search on it."""
    folder = tmp_path_factory.mktemp("baseline")
    own = Architecture("gpt2", 512, 256, 64, n_head=4, d_ff=256, n_layer=3)
    pool = list(dict.fromkeys([own, *load_space("gpt2-tiny").sample(60, seed=1)]))
    lines = []
    for a in pool:
        values = values_of(a)
        if a == own:
            values["request_ms"] *= 1.5
        lines.append(json.dumps({"architecture": a.to_dict(), "values": values}))
    (folder / "table.jsonl").write_text("\n".join(lines))
    (folder / "mine").mkdir()
    (folder / "mine" / "config.json").write_text(json.dumps(GPT2))
    return folder


def search(folder: Path, *more: object, code: int = 0) -> subprocess.CompletedProcess[str]:
    return run(
        "search",
        "gpt2-tiny",
        "--device",
        "table:table.jsonl",
        "--export",
        "none",
        "--trials",
        30,
        *more,
        cwd=folder,
        code=code,
    )


def test_a_front_is_compared_with_a_baseline(folder: Path) -> None:
    result = search(folder, "--baseline", "mine", "-O", "one")
    assert "baseline mine: decoder_params 150\u202f080  request_ms " in result.stderr
    front, _, compared = result.stdout.partition("Baselines and the front beside them")
    assert front.startswith("Pareto front, ")
    assert re.search(r"baseline mine +150", compared)
    assert re.search(
        r"at the same size or better, trial \d+: \d+ % faster at .* than baseline mine \(request_ms", compared
    )
    again = search(folder, "--baseline", "mine", "-O", "one")
    assert "baseline mine: " not in again.stderr, "it was measured again"
    assert again.stdout == result.stdout
    shown = run("front", "one", cwd=folder).stdout
    assert compared.splitlines()[3:] == shown.partition("Baselines and the front beside them")[2].splitlines()[3:]
    (baseline,) = read_study(folder / "one" / "study.db").baselines
    assert baseline.name == "mine"


def test_output_for_programs_is_the_front(folder: Path) -> None:
    result = search(folder, "--baseline", "mine", "-O", "two", "-o", "jsonl")
    records = [json.loads(line) for line in result.stdout.splitlines()]
    assert {record["trial"] for record in records} == {t.id for t in read_study(folder / "two" / "study.db").front}
    assert "than baseline mine (request_ms" in result.stderr
    markdown = run("front", "two", "-o", "md", cwd=folder).stdout
    assert "| baseline mine |" in markdown
    assert "\n* at the same size or better" in markdown


def test_picking_prints_only_that(folder: Path) -> None:
    whole = [json.loads(line) for line in search(folder, "-O", "three", "-o", "jsonl").stdout.splitlines()]
    for pick, member in (("best", whole[0]), (str(whole[-1]["trial"]), whole[-1])):
        for command in (("front", "three"), ("search",)):
            if command == ("search",):
                found = search(folder, "-O", "three", "-o", "jsonl", "--pick", pick).stdout
            else:
                found = run(*command, "--pick", pick, "-o", "jsonl", cwd=folder).stdout
            assert [json.loads(line)["trial"] for line in found.splitlines()] == [member["trial"]]
    bound = sorted(record["values"]["request_ms"] for record in whole)[len(whole) // 2]
    best = next(record for record in whole if record["values"]["request_ms"] <= bound)
    found = search(folder, "-O", "four", "-o", "jsonl", "--constraint", f"request_ms<={bound}", "--pick", "best").stdout
    (record,) = map(json.loads, found.splitlines())
    assert record["values"]["request_ms"] <= bound
    assert record["values"]["decoder_params"] == best["values"]["decoder_params"]
    assert "Pareto front, 1 of " in search(folder, "-O", "three", "--pick", "best").stdout
    exported = run("export", "three", "--pick", "best", "--format", "json", "-o", "jsonl", cwd=folder)
    assert json.loads(exported.stdout)["trial"] == whole[0]["trial"]


def test_a_pick_that_is_not_there_comes_after_the_front(folder: Path) -> None:
    result = search(folder, "-O", "three", "--pick", "request_ms<=0.001", code=1)
    assert result.stdout.startswith("Pareto front, ")
    assert "error: no member of the front satisfies 'request_ms<=0.001'" in result.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--baseline", "nope.json"), "baseline nope.json: cannot read nope.json: No such file or directory"),
        (("--baseline", "one/models/x.json"), "No such file"),
        (("--baseline", "bert.json"), "unknown model_type 'bert'; expected gpt2, gpt_neox, llama, mistral, qwen2, lts"),
        (("--baseline", "short.json"), "baseline short.json: "),
        (("--baseline", "none#3"), "baseline none#3: no study at none"),
        (("--pick", "bset"), "unknown member 'bset'; expected knee, best, all, an ID, .*; did you mean 'best'"),
        (("--pick", "request_ms<5"), "bounds are inclusive"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_measured(folder: Path, options: tuple[str, str], said: str) -> None:
    (folder / "bert.json").write_text('{"model_type": "bert"}')
    (folder / "short.json").write_text(json.dumps({**GPT2, "n_positions": 8}))
    result = search(folder, *options, "-O", "wrong", code=2)
    assert re.search(said, result.stderr)
    assert "Traceback" not in result.stderr
    assert len([line for line in result.stderr.splitlines() if line.startswith("error")]) == 1
    assert not (folder / "wrong").exists()


def test_measuring_again(folder: Path) -> None:
    search(folder, "-O", "five", "--baseline", "mine")
    store = folder / "five" / "study.db"
    before = read_study(store)
    shown = run("front", "five", "--again", "--pick", "knee", cwd=folder)
    assert re.search(r"\d +request_ms .* 1 +yes\n", shown.stdout)
    found = json.loads(run("front", "five", "--again", "-o", "json", cwd=folder).stdout)
    assert [record["trial"] for record in found] == [trial.id for trial in before.front]
    for record in found:
        cost = record["columns"]["request_ms"]
        assert cost["ratio"] == 1
        assert cost["holds"] is True
    assert [trial.record() for trial in read_study(store).trials] == [trial.record() for trial in before.trials]
    result = run("front", "five", "--device", "local", cwd=folder, code=2)
    assert "--device is for --again" in result.stderr


def test_measuring_estimates_again_needs_a_device(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(GPT2))
    options = ("--target", "arm64", "--device", "none", "--export", "none", "--trials", 500, "-O", "out")
    result = run("search", "gpt2-tiny", *options, "--baseline", "config.json", cwd=tmp_path)
    assert "baseline config.json (request_ms" in result.stdout
    result = run("front", "out", "--again", cwd=tmp_path, code=2)
    assert "error: the costs of this study are estimates; name a device" in result.stderr


@pytest.mark.slow
def test_all_of_it_with_real_measurements(tmp_path: Path) -> None:
    (tmp_path / "gpt2.json").write_text(json.dumps(GPT2))
    options = ("--n-prompt", 16, "--n-gen", 4, "--baseline", "gpt2.json", "-O", "out")
    result = run("search", "gpt2-tiny", *options, "--trials", 8, "--pick", "best", cwd=tmp_path)
    assert re.search(r"baseline gpt2\.json: .*request_ms .* ±.*\(3 processes\)", result.stderr)
    best = read_study(tmp_path / "out" / "study.db").front[0]
    assert f"best of the front: trial {best.id} exported to out/models/{best.id}" in result.stderr
    assert (tmp_path / "out" / "models" / str(best.id) / "model.onnx").is_file()
    assert "baseline gpt2.json" in result.stdout
    again = run("search", "gpt2-tiny", *options, "--trials", 9, cwd=tmp_path)
    assert "baseline gpt2.json: decoder_params" not in again.stderr
    assert "gpt2.json" in (tmp_path / "out" / "report.html").read_text()
    exported = run(
        "search",
        "gpt2-tiny",
        "--n-prompt",
        16,
        "--n-gen",
        4,
        "--baseline",
        f"out/models/{best.id}",
        "--trials",
        2,
        "-O",
        "other",
        cwd=tmp_path,
    )
    assert f"baseline {best.id}: " in exported.stderr
    found = json.loads(
        run("front", "out", "--again", "--processes", 2, "--pick", "best", "-o", "json", cwd=tmp_path).stdout
    )
    (record,) = found
    assert record["processes"] == 2
    assert record["columns"]["request_ms"]["ratio"] > 0
    assert record["columns"]["request_ms"]["holds"] in (True, False)
