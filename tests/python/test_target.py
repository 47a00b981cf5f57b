"""Targets by name, from files that are right or wrong in every way, and this machine's own."""

from __future__ import annotations

import platform
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lts.errors import UsageError
from lts.target import KINDS, PRECISIONS, Target, detect, load_target, target_names

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
    assert host == detect()


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
        source='from "the" manual\n\t§ 3',
    )
    assert load(tmp_path, given.to_toml()) == given


def test_a_detected_profile_is_a_file(tmp_path: Path) -> None:
    assert load(tmp_path, detect().to_toml()) == detect()


def test_a_file_may_change_what_is_detected(tmp_path: Path) -> None:
    target = load(tmp_path, "detect = true\nmemory_mib = 64\n")
    assert target == replace(detect(), name="board", memory_mib=64)


text = st.text(st.characters(codec="utf-8"), min_size=1)
size = st.none() | st.integers(1, 2**62)


@given(
    st.builds(
        Target,
        name=text,
        triple=text,
        cpu=text,
        cores=st.integers(8, 2**62),
        threads=st.integers(1, 8),
        features=st.lists(text).map(tuple),
        precision=st.sampled_from(PRECISIONS),
        kind=st.sampled_from(KINDS),
        memory_mib=size,
        l1d_kib=size,
        l2_kib=size,
        l3_kib=size,
        source=st.text(st.characters(codec="utf-8")),
    )
)
def test_every_target_survives_its_file(tmp_path_factory: pytest.TempPathFactory, target: Target) -> None:
    assert load(tmp_path_factory.getbasetemp(), target.to_toml()) == target


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("cores = \n", "board.toml is not valid TOML: .*line 1"),
        (GOOD + "x = = 1\n", "line 4"),
        (GOOD + "thread = 2\n", "board.toml: unknown key 'thread'; allowed: schema, detect, name, .*threads"),
        (GOOD + "[cache]\nl1 = 2\n", "unknown key 'cache'"),
        (GOOD + "schema = 2\n", "schema is 2; this version reads schema 1"),
        (GOOD + "detect = 1\n", "'detect' must be true or false, got 1"),
        ("", "'triple' is missing; needed: triple, cpu, cores, or detect = true"),
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
        ("detect = true\nthreads = 100000\n", "'threads' is 100000; the target has"),
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
        Target(name="x", triple="t", cpu="c", cores=1, threads=2)
    with pytest.raises(UsageError, match="at least 1"):
        replace(detect(), threads=0)
