"""The command line as a user meets it: real processes, real measurements, exit codes and one clear sentence."""

from __future__ import annotations

import csv
import io
import json
import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from export_runner import nothing

from lts.measure.trial import Trial
from lts.study.stored import read_study

COMMAND = Path(sys.executable).with_name("lts-engine")
SEARCH = ("search", "gpt2-tiny", "--n-prompt", "8", "--export", "none")


def run(*args: object, cwd: Path, **kwargs: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [COMMAND, *map(str, args)], cwd=cwd, capture_output=True, text=True, timeout=300, check=False, **kwargs
    )


def trials_of(store: Path) -> list[dict]:
    with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as connection:
        return [json.loads(record) for (record,) in connection.execute("SELECT record FROM trial ORDER BY id")]


def is_kept(before: dict, now: dict | None) -> bool:
    """Whether a record is there unchanged, but for what further processes have added."""
    if now is None:
        return False
    added = ("rounds", "samples_ns", "warnings")
    for name, rounds in before["rounds"].items():
        if now["rounds"][name][: len(rounds)] != rounds:
            return False
    return (
        {key: value for key, value in now.items() if key not in added}
        == {key: value for key, value in before.items() if key not in added}
        and before["samples_ns"].items() <= now["samples_ns"].items()
        and now["warnings"][: len(before["warnings"])] == before["warnings"]
    )


def low_of(trial: Trial, name: str) -> float:
    return trial.interval[name][0]


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished search of twelve real measurements."""
    folder = tmp_path_factory.mktemp("search")
    result = run("search", "gpt2-tiny", "--n-prompt", 16, "--trials", 12, "-o", "jsonl", cwd=folder)
    assert result.returncode == 0, result.stderr
    (folder / "stdout").write_text(result.stdout)
    (folder / "stderr").write_text(result.stderr)
    return folder / "gpt2-tiny-host"


def test_help_and_version(tmp_path: Path) -> None:
    assert "search" in run("--help", cwd=tmp_path).stdout
    assert run("--version", cwd=tmp_path).stdout.startswith("lts-engine 0.")
    for command in ("search", "front", "export", "report", "count", "estimate", "space", "target"):
        assert run(command, "--help", cwd=tmp_path).returncode == 0


def test_search_gives_a_measured_front(study: Path) -> None:
    records = [json.loads(line) for line in (study.parent / "stdout").read_text().splitlines()]
    assert records
    for record in records:
        assert record["state"] == "complete"
        assert record["feasible"] is True
        assert record["provenance"]["decoder_params"] == "exact"
        assert record["provenance"]["latency_ms"] == record["provenance"]["peak_memory_mib"] == "measured"
        low, high = record["interval"]["latency_ms"]
        assert 0 < low <= record["values"]["latency_ms"] <= high
        assert len(record["samples_ns"]["latency"]) >= 10
        assert record["target"] == "host"
        assert record["environment"]
        assert record["values"]["request_ms"] > record["values"]["latency_ms"]
        assert record["values"]["tokens_per_second"] * record["values"]["decode_ms_per_token"] == pytest.approx(1000)
    # The front is the brute-force one of the stored trials, less what their intervals do not tell apart.
    trials = read_study(study / "study.db").trials
    points = {t.id: (-t.values["decoder_params"], t.values["request_ms"], t.values["peak_memory_mib"]) for t in trials}
    dominated = {
        a
        for a, p in points.items()
        for b, q in points.items()
        if a != b and all(y <= x for x, y in zip(p, q, strict=True)) and p != q
    }
    whole, shown = set(points) - dominated, {r["trial"] for r in records}
    assert shown <= whole
    assert max(whole, key=lambda key: -points[key][0]) in shown
    for left in whole - shown:  # for a member that is at least as large, and no slower and larger beyond the intervals
        assert any(
            points[key][0] <= points[left][0] and low_of(trials[key], name) <= trials[left].interval[name][1]
            for key in shown
            for name in ("request_ms", "peak_memory_mib")
        )
    # stdout holds results only, stderr the rest.
    assert "searching gpt2-tiny" in (study.parent / "stderr").read_text()


def test_search_exports_the_knee_that_runs(study: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    (folder,) = (study / "models").iterdir()
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    ids = np.arange(5, dtype=np.int64)[None]
    logits = session.run(["logits"], {"input_ids": ids, "attention_mask": np.ones_like(ids), **nothing(session, 1)})[0]
    assert logits.shape == (1, 1, 512)  # of the last position, as it was measured
    assert np.isfinite(logits).all()


def test_same_command_resumes_and_a_different_one_says_what_differs(study: Path) -> None:
    args = ("search", "gpt2-tiny", "--n-prompt", 16, "--export", "none", "-o", "jsonl")

    def first_processes() -> list[tuple[object, object]]:
        """Further ones may be measured by each run, as long as there is doubt."""
        return [(record["architecture"], record["values"]) for record in trials_of(study / "study.db")]

    before = first_processes()
    again = run(*args, "--trials", 12, cwd=study.parent)
    assert again.returncode == 0, again.stderr
    assert "resuming" in again.stderr
    assert first_processes() == before
    more = run(*args, "--trials", 14, cwd=study.parent)
    assert more.returncode == 0, more.stderr
    assert first_processes()[:12] == before
    assert len(trials_of(study / "study.db")) == 14
    other = run(
        *args, "--trials", 14, "--seed", 9, "--threads", 1, "--objective", "decoder_params:max", cwd=study.parent
    )
    assert other.returncode == 2
    assert "seed is 0 there and 9 here" in other.stderr
    assert "objectives is" in other.stderr
    assert len(trials_of(study / "study.db")) == 14


@pytest.mark.parametrize("form", ["table", "md", "json", "jsonl", "csv"])
def test_front_in_every_format(study: Path, form: str) -> None:
    result = run("front", study, "--sort", "-decoder_params", "-o", form, cwd=study)
    assert result.returncode == 0, result.stderr
    jsonl = run("front", study, "--sort", "-decoder_params", "-o", "jsonl", cwd=study).stdout.splitlines()
    ids = [json.loads(line)["trial"] for line in jsonl]
    if form == "json":
        assert [r["trial"] for r in json.loads(result.stdout)] == ids
    elif form == "csv":
        rows = list(csv.DictReader(io.StringIO(result.stdout)))
        assert [int(row["trial"]) for row in rows] == ids
        assert float(rows[0]["values.latency_ms"]) > 0
    elif form in ("table", "md"):
        assert "latency_ms" in result.stdout
        assert "(measured)" in result.stdout
        assert "(exact)" in result.stdout
    assert "\x1b" not in result.stdout


def test_front_where_pick_and_exit_codes(study: Path) -> None:
    records = [json.loads(x) for x in run("front", study, "-o", "jsonl", cwd=study).stdout.splitlines()]
    median = sorted(r["values"]["latency_ms"] for r in records)[len(records) // 2]
    kept = run("front", study, "--where", f"latency_ms<={median}", "-o", "jsonl", cwd=study).stdout.splitlines()
    assert {json.loads(x)["trial"] for x in kept} == {
        r["trial"] for r in records if r["values"]["latency_ms"] <= median
    }
    best = run("front", study, "--pick", f"latency_ms<={median}", "-o", "jsonl", cwd=study)
    assert json.loads(best.stdout)["values"]["decoder_params"] == max(
        r["values"]["decoder_params"] for r in records if r["values"]["latency_ms"] <= median
    )
    assert run("front", study, "--where", "latency_ms<=0", cwd=study).returncode == 1
    assert run("front", study, "--pick", "latency_ms<=0", cwd=study).returncode == 1


def test_every_front_model_exports_and_runs(study: Path, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    result = run("export", study, "--pick", "all", "--format", "onnx,json", "-O", tmp_path, "-o", "jsonl", cwd=study)
    assert result.returncode == 0, result.stderr
    files = [Path(json.loads(line)["file"]) for line in result.stdout.splitlines()]
    assert all(file.is_file() for file in files)
    front = [json.loads(x) for x in run("front", study, "-o", "jsonl", cwd=study).stdout.splitlines()]
    assert {int(folder.name) for folder in tmp_path.iterdir()} == {r["trial"] for r in front}
    for folder in tmp_path.iterdir():
        onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])


def test_keys_and_values_stay_in_place(study: Path, tmp_path: Path) -> None:
    import onnx

    written = (study.parent / "stderr").read_text()
    assert "1 thread, keys and values in place" in written
    assert "note: model.onnx copies keys and values" in written
    for given, domains in (("copied", {""}), ("in_place", {"", "com.microsoft"})):
        result = run("export", study, "--format", "onnx", "--cache", given, "-O", tmp_path / given, cwd=study)
        assert result.returncode == 0, result.stderr
        (folder,) = (tmp_path / given).iterdir()
        model = onnx.load(folder / "model.onnx", load_external_data=False)
        assert {node.domain for node in model.graph.node} == domains
    result = run("export", study, "--format", "onnx,tvm", "--cache", "in_place", cwd=study)
    assert result.returncode == 2
    assert "the format tvm copies keys and values; export it without --cache in_place" in result.stderr
    other = run("search", "gpt2-tiny", "--n-prompt", 16, "--cache", "copied", "--export", "none", cwd=study.parent)
    assert other.returncode == 2
    assert "cache is in_place there and copied here; repeat its arguments to resume it" in other.stderr
    assert "--cache in_place" in other.stderr


def test_count_of_a_file_and_of_a_trial(study: Path, tmp_path: Path) -> None:
    record = trials_of(study / "study.db")[0]
    file = tmp_path / "architecture.json"
    file.write_text(json.dumps(record["architecture"]))
    for what in (file, f"{study}#{record['trial']}"):
        result = run("count", what, "-o", "json", cwd=tmp_path)
        assert result.returncode == 0, result.stderr
        (counted,) = json.loads(result.stdout)
        assert counted["values"]["decoder_params"] == record["values"]["decoder_params"]
        assert counted["provenance"]["flops_prefill"] == "estimated"


def test_report(study: Path, tmp_path: Path) -> None:
    pytest.importorskip("plotly")
    result = run("report", study, "-f", tmp_path / "report.html", cwd=study)
    assert result.returncode == 0, result.stderr
    assert "Pareto" in (tmp_path / "report.html").read_text()


def test_what_was_renamed_still_works_with_a_sentence(study: Path, tmp_path: Path) -> None:
    pytest.importorskip("plotly")
    result = run("report", study, "-o", tmp_path / "report.html", cwd=study)
    assert result.returncode == 0, result.stderr
    assert "note: --output is called --file now; the older name works until the next version" in result.stderr
    assert (tmp_path / "report.html").is_file()
    both = run("report", study, "-o", "a.html", "-f", "b.html", cwd=tmp_path)
    assert both.returncode == 2
    assert both.stderr == "error: --output is the older name of --file: give one of them\n"


def test_estimate_of_one_architecture(study: Path, tmp_path: Path) -> None:
    record = json.loads(run("front", study, "-o", "jsonl", cwd=tmp_path).stdout.splitlines()[0])
    what = f"{study}#{record['trial']}"
    result = run("estimate", what, "--target", "arm64", "-o", "json", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    (found,) = json.loads(result.stdout)
    parts = found["parts"]
    assert len(parts) == 2 * record["architecture"]["n_layer"] + 1
    for name in ("latency_ms", "decode_ms_per_token"):
        assert found["provenance"][name] == "estimated"
        assert sum(part[name] for part in parts) == pytest.approx(found["values"][name])
    shown = run("estimate", what, "--target", "arm64", cwd=tmp_path)
    assert "layers.0.attention" in shown.stdout
    assert "(estimated)" in shown.stdout
    assert "roofline of arm64" in shown.stderr
    for arguments, sentence in (
        ((what, "--target", "nonsense"), "unknown target 'nonsense'"),
        (("missing.json",), "cannot read missing.json"),
        ((f"{study}#99999",), "has no trial 99999"),
        ((what, "--target", "arm64", "--threads", "99"), "threads is 99; arm64 has 4 cores"),
    ):
        wrong = run("estimate", *arguments, cwd=tmp_path)
        assert wrong.returncode == 2
        assert sentence in wrong.stderr


def test_space_commands(tmp_path: Path) -> None:
    assert "gpt2-lts" in run("space", "list", cwd=tmp_path).stdout
    shown = json.loads(run("space", "show", "gpt2-lts", "-o", "json", cwd=tmp_path).stdout)[0]
    assert shown["size"] == "23860986580673728820010483354466658055"
    sampled = run("space", "sample", "gpt2-tiny", "-n", 3, "--seed", 5, cwd=tmp_path).stdout.splitlines()
    assert len(sampled) == 3
    (tmp_path / "a.json").write_text(sampled[0])
    checked = json.loads(run("space", "check", "gpt2-tiny", "a.json", "-o", "jsonl", cwd=tmp_path).stdout)
    assert 0 <= int(checked["index"]) < 516
    outside = run("space", "check", "gpt2-lts", "a.json", cwd=tmp_path)
    assert outside.returncode == 1
    assert "vocab_size is 512" in outside.stderr


def test_target_commands(tmp_path: Path) -> None:
    assert "host" in run("target", "list", cwd=tmp_path).stdout
    assert run("target", "detect", "-f", "mine.toml", cwd=tmp_path).returncode == 0
    assert run("target", "show", "mine.toml", cwd=tmp_path).returncode == 0


def test_constraints_exclude_and_nothing_feasible_is_exit_1(tmp_path: Path) -> None:
    args = ("search", "gpt2-tiny", "--objective", "decoder_params:max", "--objective", "flops_prefill:min")
    result = run(*args, "--constraint", "decoder_params<=60000", "--export", "none", "-o", "jsonl", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert all(json.loads(x)["values"]["decoder_params"] <= 60000 for x in result.stdout.splitlines())
    nothing = run(*args, "--constraint", "decoder_params<=1", "--output-dir", "other", cwd=tmp_path)
    assert nothing.returncode == 1
    assert "no trial satisfies" in nothing.stderr
    assert "decoder_params<=1 excludes it" in nothing.stderr


def test_a_target_without_memory_is_told_once_and_exit_1(tmp_path: Path) -> None:
    assert run("target", "detect", "-f", "mine.toml", cwd=tmp_path).returncode == 0
    profile = (tmp_path / "mine.toml").read_text().splitlines()
    profile = [line for line in profile if not line.startswith("memory_mib")]
    (tmp_path / "mine.toml").write_text("\n".join(["memory_mib = 1", *profile]))
    result = run("search", "gpt2-small", "--n-prompt", 8, "--target", "mine.toml", "--export", "none", cwd=tmp_path)
    assert result.returncode == 1, result.stderr
    assert result.stderr.count("by peak_memory_estimate_mib was not run") == 1
    assert "the 1 MiB of the target exclude it" in result.stderr


def test_the_reason_of_the_failed_trials_is_said(tmp_path: Path) -> None:
    result = run(*SEARCH, "--trials", 1, "--candidate-timeout", "0.05s", cwd=tmp_path)
    assert result.returncode == 3, result.stderr
    assert "no trial was completed: the only trial failed: " in result.stderr
    assert "--timeout" not in result.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (("search", "nonsense"), "unknown search space 'nonsense'"),
        (("search", "gpt2-tiny", "--target", "nonsense"), "nonsense"),
        (("search", "gpt2-tiny", "--device", "nonsense"), "nonsense"),
        (("search", "gpt2-tiny", "--backend", "nonsense"), "nonsense"),
        (("search", "gpt2-tiny", "--algorithm", "nonsense"), "nonsense"),
        (("search", "gpt2-tiny", "--objective", "speed:max"), "speed"),
        (("search", "gpt2-tiny", "--objective", "latency_ms"), "latency_ms"),
        (("search", "gpt2-tiny", "--constraint", "latency_ms<20"), "latency_ms<20"),
        (("search", "gpt2-tiny", "--trials", "0"), "--trials is 0"),
        (
            ("search", "gpt2-tiny", "--surrogate", "forest"),
            "unknown surrogate 'forest'; expected additive, layers, none",
        ),
        (("target", "calibrate", "nonsense"), "unknown target 'nonsense'"),
        (("search", "gpt2-tiny", "--timeout", "soon"), "'soon' is not a duration"),
        (("search", "gpt2-tiny", "--timeout", "0"), "must be above 0"),
        (("search", "gpt2-tiny", "--n-prompt", "0"), "n_prompt is 0"),
        (("search", "gpt2-tiny", "--n-gen", "-1"), "n_gen is -1"),
        (("search", "gpt2-tiny", "--n-gen", "5000"), "n_prompt is 128 and n_gen 5000, which needs n_positions 5127"),
        (("search", "gpt2-tiny", "--precision", "int8", "--target", "sm_90"), "compiles float32 models for a gpu"),
        (
            ("search", "gpt2-tiny", "--precision", "float16", "--target", "x86-64-v3", "--device", "none"),
            "--export none",
        ),
        (("search", "gpt2-tiny", "--n-prompt", "100000"), "n_positions"),
        (("search", "gpt2-tiny", "--threads", "100000"), "threads is 100000"),
        (("search", "malformed.toml"), "line 2"),
        (("search", "unknown-key.toml"), "unknown key 'n_layers'; allowed: n_layer"),
        (("search", "empty.toml"), "no choices"),
        (("search", "contradictory.toml"), "n_head"),
        (("search", "impossible.toml"), "parameter bounds leave no architecture"),
        (("front", "missing"), "no study at missing"),
        (("front", "text.db"), "not a study"),
        (("front", "foreign.db"), "not a study"),
        (("export", "missing"), "no study at missing"),
        (("report", "missing"), "no study at missing"),
        (("count", "missing.json"), "cannot read missing.json"),
        (("count", "malformed.toml"), "malformed.toml"),
        (("space", "show", "nonsense"), "unknown search space"),
        (("target", "show", "nonsense"), "nonsense"),
        (("search", "gpt2-tiny", "--timeout", "9" * 30 + "s"), "at most a year"),
        (("search", "deep.toml"), "nested too deeply"),
    ],
)
def test_bad_input_is_one_sentence_and_exit_2(tmp_path: Path, args: tuple[str, ...], sentence: str) -> None:
    good = 'family = "gpt2"\n[choices]\nn_layer = [1]\nd_model = [32]\nn_head = {}\nd_ff = {}\n'
    (tmp_path / "malformed.toml").write_text('family = "gpt2"\nthis is = not TOML\n')
    (tmp_path / "unknown-key.toml").write_text(good.format(2, 64) + "n_layers = 3\n")
    (tmp_path / "empty.toml").write_text(good.format("[]", 64))
    (tmp_path / "contradictory.toml").write_text(good.format("[3, 5]", 64))
    (tmp_path / "impossible.toml").write_text(good.format(2, 64) + "[rules]\ndecoder_params = {max = 10}\n")
    (tmp_path / "deep.toml").write_text("x = " + "[" * 20_000)
    (tmp_path / "text.db").write_text("no database at all, just some text " * 100)
    with closing(sqlite3.connect(tmp_path / "foreign.db")) as connection:
        connection.execute("CREATE TABLE t (x)")
    result = run(*args, cwd=tmp_path)
    assert result.returncode == 2, result.stderr
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    assert sentence in result.stderr
    assert result.stderr.strip().startswith("error: ")
    assert result.stderr.strip().count("\n") == 0


def test_corrupt_store_is_one_sentence(study: Path, tmp_path: Path) -> None:
    data = bytearray((study / "study.db").read_bytes())
    data[4096:] = os.urandom(len(data) - 4096)
    (tmp_path / "study.db").write_bytes(data)
    for args in (("front", tmp_path), (*SEARCH, "--output-dir", tmp_path)):
        result = run(*args, cwd=tmp_path)
        assert result.returncode == 2, (args, result.stderr)
        assert "Traceback" not in result.stderr
        assert "damaged" in result.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small tmpfs needs root")
def test_full_disk_is_one_sentence_and_loses_nothing(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", small], capture_output=True).returncode:
        pytest.skip("this machine does not allow mounting a tmpfs")
    try:
        result = run(*SEARCH, "--trials", 200, "--output-dir", small, cwd=tmp_path)
        assert result.returncode == 2, result.stderr
        assert "Traceback" not in result.stderr
        assert "the disk is full" in result.stderr
        complete = [t for t in trials_of(small / "study.db") if t["state"] == "complete"]
        assert len(complete) == len(re.findall(r"\] trial \d+:", result.stderr))
    finally:
        subprocess.run(["umount", small], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small tmpfs needs root")
def test_no_space_in_tmp_is_one_sentence(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", small], capture_output=True).returncode:
        pytest.skip("this machine does not allow mounting a tmpfs")
    try:
        environment = {**os.environ, "TMPDIR": str(small)}
        result = run(*SEARCH, "--trials", 3, cwd=tmp_path, env=environment)
        assert result.returncode == 2, result.stderr
        assert "Traceback" not in result.stderr
        assert "TMPDIR" in result.stderr
    finally:
        subprocess.run(["umount", small], check=True)


def start(*args: object, cwd: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [COMMAND, *map(str, args)], cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def wait_for_trials(store: Path, n: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if sum(t["state"] == "complete" for t in trials_of(store)) >= n:
                return
        except sqlite3.Error:
            pass
        time.sleep(0.02)
    raise AssertionError(f"no {n} trials within a minute")


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_interrupt_is_clean_and_resumable(tmp_path: Path, how: signal.Signals) -> None:
    store = tmp_path / "gpt2-tiny-host" / "study.db"
    process = start(*SEARCH, "--trials", 500, cwd=tmp_path)
    wait_for_trials(store, 2)
    process.send_signal(how)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "the same command resumes" in stderr
    assert "Traceback" not in stderr
    before = [t for t in trials_of(store) if t["state"] == "complete"]
    again = run(*SEARCH, "--trials", len(before) + 1, cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    after = {t["trial"]: t for t in trials_of(store)}
    assert all(is_kept(trial, after.get(trial["trial"])) for trial in before)


@pytest.mark.slow
@pytest.mark.alone
def test_sigkill_at_20_random_moments_loses_and_repeats_nothing(tmp_path: Path) -> None:
    store = tmp_path / "gpt2-tiny-host" / "study.db"
    moments = random.Random(1)
    known: dict[int, dict] = {}
    for _ in range(20):
        process = start(*SEARCH, "--trials", 10_000, cwd=tmp_path)
        time.sleep(moments.uniform(0.3, 2.5))
        process.kill()
        process.communicate(timeout=60)
        if not store.exists():
            continue
        now = {t["trial"]: t for t in trials_of(store) if t["state"] in ("complete", "failed")}
        # Nothing lost, nothing measured again: what was there is there unchanged.
        assert all(is_kept(trial, now.get(key)) for key, trial in known.items())
        known = now
    result = run(*SEARCH, "--trials", len(known) + 2, "-o", "jsonl", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    final = trials_of(store)
    assert all(is_kept(known[t["trial"]], t) for t in final if t["trial"] in known)
    assert set(known) <= {t["trial"] for t in final}
    assert len({json.dumps(t["architecture"]) for t in final}) == len(final)


@pytest.mark.alone
def test_too_little_time_for_one_candidate_is_exit_3(tmp_path: Path) -> None:
    result = run("search", "gpt2-small", "--timeout", "0.01s", cwd=tmp_path)
    assert result.returncode == 3, result.stderr
    assert "no trial was completed" in result.stderr


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_an_old_terminal_loses_no_result(study: Path, encoding: str) -> None:
    result = run("front", study, cwd=study, env={**os.environ, "PYTHONIOENCODING": encoding}, errors="replace")
    assert result.returncode == 0, result.stderr
    assert "latency_ms" in result.stdout


def test_second_search_on_the_same_store_is_refused(tmp_path: Path) -> None:
    store = tmp_path / "gpt2-tiny-host" / "study.db"
    process = start(*SEARCH, "--trials", 500, cwd=tmp_path)
    try:
        wait_for_trials(store, 1)
        second = run(*SEARCH, "--trials", 500, cwd=tmp_path)
        assert second.returncode == 2
        assert "in use by another search" in second.stderr
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)


def test_a_closed_pipe_is_no_error(study: Path) -> None:
    process = start("front", study, "-o", "json", cwd=study)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert "Traceback" not in process.stderr.read()
    process.wait(timeout=60)


def test_live_table_on_a_terminal(tmp_path: Path) -> None:
    pexpect = pytest.importorskip("pexpect")
    child = pexpect.spawn(
        str(COMMAND), [*SEARCH, "--trials", "3"], cwd=str(tmp_path), timeout=120, dimensions=(40, 120)
    )
    child.expect("hypervolume")
    child.expect(r"time\s+left")
    child.expect("Pareto front")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
