"""Targets by name, from files that are right or wrong in every way, and this machine's own."""

from __future__ import annotations

import json
import platform
import re
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lts.errors import UsageError
from lts.system.names import is_name
from lts.targets.assumptions import Assumptions, Published
from lts.targets.target import KINDS, PRECISIONS, Target, detect_target, load_target, target_names

PUBLISHED = Published(
    software="PyTorch",
    source='a "paper"\nof ours',
    family="gpt2",
    n_prompt=192,
    threads=1,
    models=45,
    error=0.01,
    error_max=0.5,
    layer_ms_per_gflop=100.5,
    output_ms_per_gflop=50,
    ns_per_logit=0.0,
    ns_per_activation=1e-9,
    ns_per_score=3e20,
)
GOOD = 'triple = "aarch64-linux-gnu"\ncpu = "cortex-a72"\ncores = 4\n'


def load(folder: Path, text: str) -> Target:
    file = folder / "board.toml"
    file.write_text(text, encoding="utf-8")
    return load_target(file)


def test_every_named_target_loads() -> None:
    assert "host" in target_names()
    for name in target_names():
        assert load_target(name).name == name


def test_the_host_is_this_machine_with_one_thread() -> None:
    host = load_target("host")
    assert host.triple.startswith(platform.machine())
    assert host.threads == 1
    assert host.precision == "float32"
    assert host.kind == "cpu"
    assert host.cores >= 1
    assert host.cpu
    assert host.memory_mib is not None
    assert host.memory_mib > 0
    assert host == detect_target()


def test_a_file_needs_three_keys(tmp_path: Path) -> None:
    target = load(tmp_path, GOOD)
    assert target == Target(name="board", triple="aarch64-linux-gnu", cpu="cortex-a72", cores=4)
    assert target.threads == 1
    assert target.memory_mib is None


def test_a_file_may_say_everything(tmp_path: Path) -> None:
    given = Target(
        name="phone",
        triple="aarch64-linux-gnu",
        cpu="cortex-x1",
        cores=4,
        threads=2,
        features=("fp16", "dotprod"),
        precision="int8",
        kind="gpu",
        memory_mib=512,
        l1d_kib=64,
        l2_kib=1024,
        l3_kib=8192,
        frequency_mhz=1800,
        flops_per_cycle=16,
        bandwidth_gib_s=12.5,
        core_bandwidth_gib_s=6,
        estimate=Assumptions(efficiency=0.7, operator_us=0, published=PUBLISHED),
        source='from "the" manual\n\t§ 3',
    )
    assert load(tmp_path, given.to_toml()) == given


def test_a_detected_profile_is_a_file(tmp_path: Path) -> None:
    assert load(tmp_path, detect_target().to_toml()) == detect_target()


def test_a_file_may_change_what_is_detected(tmp_path: Path) -> None:
    target = load(tmp_path, "detect = true\nmemory_mib = 64\n")
    assert target == replace(detect_target(), name="board", memory_mib=64)


def test_a_file_may_be_like_a_target(tmp_path: Path) -> None:
    base = load_target("cortex-a72")
    assert base.estimate.published is not None
    assert load_target("arm64") == replace(base, name="arm64")
    assert load(tmp_path, 'like = "arm64"\n') == replace(base, name="board")
    given = 'like = "arm64"\nname = "mine"\nthreads = 4\nmemory_mib = 512\nfeatures = ["neon", "crc"]\n'
    expected = replace(base, name="mine", threads=4, memory_mib=512, features=("neon", "crc"))
    assert load(tmp_path, given) == expected
    text = 'like = "arm64"\n[estimate]\noperator_us = 3\n'
    assert load(tmp_path, text).estimate == replace(base.estimate, operator_us=3)


@pytest.mark.parametrize("line", ["frequency_mhz = 1800", 'cpu = "cortex-a76"'])
def test_what_was_measured_on_another_processor_is_dropped(tmp_path: Path, line: str) -> None:
    found = load(tmp_path, f'like = "cortex-a72"\n{line}\n')
    assert found.estimate == replace(load_target("cortex-a72").estimate, published=None)


def test_profiles_that_come_along(tmp_path: Path) -> None:
    assert {"arm64", "cortex-a53", "cortex-a72", "cortex-a76", "neoverse-n1"} <= set(target_names())
    assert {"x86-64-v3", "x86-64-v4", "host", "sm_80", "sm_90"} <= set(target_names())
    for name in target_names():
        target = load_target(name)
        assert load(tmp_path, target.to_toml()) == target
        assert target.source
        assert target.threads == 1
        assert target.precision == "float32"
        if name == "host":
            continue
        assert None not in (target.frequency_mhz, target.flops_per_cycle, target.bandwidth_gib_s, target.memory_mib)
        assert target.kind == ("gpu" if name.startswith("sm_") else "cpu")
        x86 = name.startswith(("sm_", "x86"))
        assert target.triple == ("x86_64-linux-gnu" if x86 else "aarch64-linux-gnu")
        assert target.cpu == {"arm64": "cortex-a72"}.get(name, name)


text = st.text(st.characters(codec="utf-8"), min_size=1)
size = st.none() | st.integers(1, 2**40)
amount = st.floats(0, 1e300)
speed = st.none() | st.floats(1e-300, 1e300)
share = st.floats(0, 1, exclude_max=True)
texts = st.text(st.characters(codec="utf-8"))
publications = st.builds(
    Published,
    software=texts,
    source=texts,
    family=texts,
    n_prompt=st.integers(1, 2**62),
    threads=st.integers(1, 8),
    models=st.integers(1, 2**62),
    error=share,
    error_max=share,
    layer_ms_per_gflop=amount,
    output_ms_per_gflop=amount,
    ns_per_logit=amount,
    ns_per_activation=amount,
    ns_per_score=amount,
)
name = st.text(st.characters(codec="utf-8", categories=["L", "Nd"]) | st.sampled_from(" ._-+,()"), max_size=100).filter(
    is_name
)
assumptions = st.builds(
    Assumptions,
    efficiency=st.none() | st.floats(0, 1, exclude_min=True),
    operator_us=st.none() | amount,
    published=st.none() | publications,
)


@given(
    st.builds(
        Target,
        name=name,
        triple=st.from_regex(r"[a-z][a-z0-9_.]{0,9}(-[a-z0-9_]{1,9}){1,4}", fullmatch=True),
        cpu=st.from_regex(r"[A-Za-z0-9(][A-Za-z0-9 ()@.,:+_-]{0,40}", fullmatch=True),
        cores=st.integers(8, 2**20),
        threads=st.integers(1, 8),
        features=st.lists(st.from_regex(r"[a-z0-9][a-z0-9_.+-]{0,9}", fullmatch=True)).map(tuple),
        precision=st.sampled_from(PRECISIONS),
        kind=st.sampled_from(KINDS),
        memory_mib=size,
        l1d_kib=size,
        l2_kib=size,
        l3_kib=size,
        frequency_mhz=size,
        flops_per_cycle=size,
        bandwidth_gib_s=speed,
        core_bandwidth_gib_s=speed,
        source=texts.filter(lambda t: not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", t)),
        estimate=assumptions,
    )
)
def test_every_target_survives_its_file(tmp_path_factory: pytest.TempPathFactory, target: Target) -> None:
    assert load(tmp_path_factory.getbasetemp(), target.to_toml()) == target
    assert Target.from_dict(json.loads(json.dumps(target.to_dict()))) == target


def published(**wrong: object) -> str:
    """The table with something else in it."""
    values = asdict(PUBLISHED) | wrong
    return "[estimate.published]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items())


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("cores = \n", "board.toml is not valid TOML: .*line 1"),
        (GOOD + "x = = 1\n", "line 4"),
        (GOOD + "thread = 2\n", "board.toml: unknown key 'thread'; allowed: schema, detect, like, name, .*threads"),
        (GOOD + "[cache]\nl1 = 2\n", "unknown key 'cache'"),
        (GOOD + "schema = 2\n", "schema is 2; this version reads schema 1"),
        (GOOD + "detect = 1\n", "'detect' must be true or false, got 1"),
        ("", "'triple' is missing; needed: triple, cpu, cores, or detect = true, or like = \"NAME\""),
        ('triple = "x"\ncores = 1\n', "'cpu' is missing"),
        (GOOD + "threads = 5\n", "'threads' is 5; the target has 4 cores"),
        (GOOD + "threads = 0\n", "'threads' is 0; it must be at least 1"),
        (GOOD + "threads = true\n", "'threads': expected an integer, got True"),
        (GOOD + "threads = 1.5\n", "'threads': expected an integer, got 1.5"),
        (GOOD + 'memory_mib = "1 GB"\n', "'memory_mib': expected an integer"),
        (GOOD + "memory_mib = -1\n", "'memory_mib' is -1; it must be at least 1"),
        (GOOD + "l2_kib = 0\n", "'l2_kib' is 0"),
        (GOOD + 'features = "neon"\n', "'features' must be a list of strings, got 'neon'"),
        (GOOD + "features = [1]\n", "'features' must be a list of strings"),
        (GOOD + 'precision = "float8"\n', "unknown precision 'float8'; expected one of float32, float16, int8, int4"),
        (GOOD + "precision = 8\n", "'precision' must be a string, got 8"),
        (GOOD + 'kind = "npu"\n', "unknown kind 'npu'; expected one of cpu, gpu"),
        (GOOD + "name = 3\n", "'name' must be a string, got 3"),
        (GOOD + 'name = ""\n', "'name' must not be empty"),
        (
            GOOD + 'name = "a/b"\n',
            "'name' is 'a/b'; files and folders are called after it, so it must have .* \\(so no '/'\\)",
        ),
        (GOOD + 'name = ".."\n', "'name' is '..'"),
        ("detect = true\nthreads = 100000\n", "'threads' is 100000; the target has"),
        ("frequency_mhz = 1.5\n" + GOOD, "'frequency_mhz': expected an integer, got 1.5"),
        (GOOD + "flops_per_cycle = 0\n", "'flops_per_cycle' is 0; it must be at least 1"),
        (GOOD + "bandwidth_gib_s = 0\n", "'bandwidth_gib_s' is 0; it must be above 0"),
        (GOOD + "bandwidth_gib_s = inf\n", "'bandwidth_gib_s': expected a number, got inf"),
        (GOOD + "core_bandwidth_gib_s = true\n", "'core_bandwidth_gib_s': expected a number, got True"),
        ('like = "toaster"\n', r"'like' is 'toaster'; expected one of arm64, .*host"),
        ("like = 3\n", "'like' is 3; expected one of arm64"),
        ('like = "arm64"\ndetect = true\n', "'detect' and 'like' exclude each other"),
        ('like = "arm64"\ncores = 0\n', "'cores' is 0; it must be at least 1"),
        (GOOD + "estimate = 1\n", r"'estimate' must be a table, \[estimate\]"),
        (GOOD + "[estimate]\nefficency = 1\n", r"\[estimate\]: unknown key 'efficency'; allowed: efficiency, "),
        (
            GOOD + "[estimate]\nefficiency = 1.2\n",
            r"\[estimate\]: 'efficiency' is 1.2; it must be above 0 and at most 1",
        ),
        (GOOD + "[estimate]\nefficiency = 0\n", r"\[estimate\]: 'efficiency' is 0; it must be above 0"),
        (GOOD + "[estimate]\noperator_us = -1\n", r"\[estimate\]: 'operator_us' is -1; it must be at least 0"),
        (GOOD + '[estimate]\noperator_us = "1"\n', r"\[estimate\]: 'operator_us': expected a number, got '1'"),
        (GOOD + "[estimate]\npublished = 1\n", r"'published' must be a table, \[estimate.published\]"),
        (GOOD + "[estimate.published]\nms = 1\n", r"\[estimate.published\]: unknown key 'ms'; allowed: software, "),
        (
            GOOD + "[estimate.published]\nerror = 0.1\n",
            r"\[estimate.published\]: 'software' is missing; needed: software",
        ),
        (GOOD + published(error_max=1), r"\[estimate.published\]: 'error_max' is 1; it must be at least 0 and below 1"),
        (GOOD + published(models=0), r"\[estimate.published\]: 'models' is 0; it must be at least 1"),
        (GOOD + published(threads=1.5), r"\[estimate.published\], 'threads': expected an integer, got 1.5"),
        (GOOD + published(family=1), r"\[estimate.published\]: 'family' must be a string, got 1"),
        (GOOD + published(ns_per_logit=-1), r"\[estimate.published\]: 'ns_per_logit' is -1; it must be at least 0"),
    ],
)
def test_what_is_wrong_with_a_file(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence) as raised:
        load(tmp_path, text)
    assert "\n" not in str(raised.value)
    assert str(tmp_path / "board.toml") in str(raised.value)


def test_what_is_wrong_with_a_name(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"unknown target 'toaster'; expected one of .*host.*, or a TOML file"):
        load_target("toaster")
    with pytest.raises(UsageError, match=r"no target file .*missing.toml; expected .*host"):
        load_target(tmp_path / "missing.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="not UTF-8"):
        load_target(tmp_path / "binary.toml")
    (tmp_path / "folder.toml").mkdir()
    with pytest.raises(UsageError, match=r"folder\.toml"):
        load_target(tmp_path / "folder.toml")


def test_a_target_checks_itself() -> None:
    with pytest.raises(UsageError, match="target 'x': 'threads' is 2; the target has 1 cores"):
        Target(name="x", triple="t-u", cpu="c", cores=1, threads=2)
    with pytest.raises(UsageError, match="at least 1"):
        replace(detect_target(), threads=0)
    with pytest.raises(UsageError, match=r"'estimate' must be lts\.targets\.assumptions\.Assumptions, got \{\}"):
        replace(detect_target(), estimate={})  # type: ignore[arg-type]
    assert hash(load_target("arm64")) != hash(load_target("cortex-a72"))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *[("triple", f"aarch64-linux-gnu{more}") for more in ("/evil", "\n", " ", ";id", "-" + "x" * 99, "-a-b-c")],
        *[("triple", value) for value in ("aarch64", "/usr/bin/x-y", "../x-gnu", "-x-gnu", "a--b", "ä-linux", "x-..")],
        *[("cpu", value) for value in ("cortex-a72/../x", "-mcpu=x", "a\nb", "a;b", "$(id)", "`id`", "ä", "x" * 300)],
        *[("cpu", value) for value in ("\x1b[2J", "a,b\x00", "'a'", '"a"', " a", "")],
        *[("features", [value]) for value in ("-fplugin=x", "a b", "a/b", "", "+x", "a,b\n", "x" * 99, "ä", "$x")],
        ("features", ["neon"] * 1000),
        ("features", "neon"),
        ("features", [1]),
        *[("name", value) for value in ("a/b", "..", ".", "a\\b", "a\nb", "\x00", "x" * 101)],
        *[("source", value) for value in ("\x1b[31m", "x" * 5000, 1)],
        *[(key, 10**30) for key in ("cores", "memory_mib", "frequency_mhz", "flops_per_cycle")],
        ("cores", 10**4000),
        ("precision", "float32; id"),
        ("kind", "cpu/../gpu"),
    ],
)
def test_no_field_becomes_a_program_or_an_option(key: str, value: Any, tmp_path: Path) -> None:
    """Whether it comes from a file, from a stored study, or from code: one sentence."""
    record = {"name": "board", "triple": "aarch64-linux-gnu", "cpu": "cortex-a72", "cores": 4, key: value}
    path = tmp_path / "board.toml"
    lines = [f"{name} = {json.dumps(given)}" for name, given in record.items()]
    path.write_text("\n".join(line.replace("\x7f", "") for line in lines))
    fields = {**record, "features": tuple(record["features"])} if isinstance(record.get("features"), list) else record
    for make in (lambda: load_target(path), lambda: Target.from_dict(record), lambda: Target(**fields)):
        with pytest.raises(UsageError) as raised:
            make()
        assert str(raised.value).isprintable()
        assert len(str(raised.value)) < 500


@pytest.mark.parametrize("record", [[], "aarch64", None, 1, {"name": "x"}])
def test_a_stored_target_that_is_none(record: Any) -> None:
    with pytest.raises(UsageError, match="the stored target"):
        Target.from_dict(record)


@pytest.mark.parametrize(
    ("triple", "cpu"),
    [
        ("aarch64-linux-gnu", "cortex-a72"),
        ("x86_64-pc-linux-gnu", "Intel(R) Xeon(R) CPU @ 2.20GHz"),
        ("thumbv7em-none-eabi", "Raspberry Pi 4 Model B Rev 1.4"),
        ("aarch64-apple-darwin21.4.0", "apple-m1"),
        ("arm64-darwin", "ARMv7 Processor rev 4 (v7l)"),
        ("wasm32-unknown-unknown-wasm", "generic"),
    ],
)
def test_what_triples_and_processors_are_really_called(triple: str, cpu: str) -> None:
    assert Target(name="Board no. 1", triple=triple, cpu=cpu, cores=1, features=("sse4_1", "v8.2a")).triple == triple


def test_no_program_beside_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "aarch64-linux-gnu"
    folder.mkdir()
    (folder / "evil-g++").write_text("#!/bin/sh\ntouch ../ran\n")
    (folder / "evil-g++").chmod(0o755)
    (tmp_path / "evil.toml").write_text('triple = "aarch64-linux-gnu/evil"\ncpu = "cortex-a72"\ncores = 1\n')
    command = [sys.executable, "-m", "lts", "target", "bundle", "evil.toml", "-O", "out"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert "'triple' is 'aarch64-linux-gnu/evil'; expected one such as aarch64-linux-gnu" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "ran").exists()
