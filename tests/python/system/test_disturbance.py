"""What disturbed a run, on machines that are made of files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from lts.system import machine
from lts.system.disturbance import Doubts, Watch, kind_of

CPU = machine.allowed_cpus()[0]
SYS_CPU = f"sys/devices/system/cpu/cpu{CPU}"
CLEAN = [0] * 10
FAULTY = [900, *[100] * 9]


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def doubts(root: Path, before: dict[str, str], after: dict[str, str], faults: list[int]) -> Doubts:
    write(root, before)
    watch = Watch(root)
    write(root, after)
    found = watch.doubts(faults)
    assert None not in map(kind_of, found.warnings)
    return found


def test_a_quiet_machine(tmp_path: Path) -> None:
    assert doubts(tmp_path, {}, {}, CLEAN) == Doubts([], False)
    assert doubts(tmp_path, {}, {}, []) == Doubts([], False)
    assert doubts(tmp_path, {}, {}, [5, *CLEAN]) == Doubts([], False), "one run of eleven"
    assert isinstance(Watch().doubts(CLEAN), Doubts)


def test_too_little_memory_of_the_machine(tmp_path: Path) -> None:
    found = doubts(tmp_path, {}, {}, FAULTY)
    assert found.disturbed
    assert found.warnings == [
        "1800 major page faults in 10 of 10 timed runs: memory is short; times include reading from disk, "
        "peak memory is a lower bound"
    ]


def test_too_little_memory_of_a_control_group(tmp_path: Path) -> None:
    first = {
        "proc/self/cgroup": "4:memory:/outer/inner\n",
        "proc/meminfo": "MemTotal: 8388608 kB\n",
        "proc/vmstat": "pswpin 10\npswpout 0\n",
        "proc/pressure/memory": "some avg10=0.00 avg60=0.00 avg300=0.00 total=1000000\nfull avg10=0.00 total=0\n",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
        "sys/fs/cgroup/memory/outer/memory.limit_in_bytes": f"{400 << 20}\n",
        "sys/fs/cgroup/memory/outer/memory.failcnt": "5\n",
        "sys/fs/cgroup/memory/outer/inner/memory.limit_in_bytes": "9223372036854771712\n",
        "sys/fs/cgroup/memory/outer/inner/memory.failcnt": "0\n",
    }
    after = {
        "proc/vmstat": "pswpin 1010\npswpout 3000\n",
        "proc/pressure/memory": "some avg10=0.00 avg60=0.00 avg300=0.00 total=2500000\n",
        "sys/fs/cgroup/memory/outer/memory.failcnt": "62\n",
    }
    found = doubts(tmp_path, first, after, FAULTY)
    assert found.disturbed
    (warning,) = found.warnings
    assert "memory is short (the memory limit is 400 MiB, reached 57 times meanwhile, programs waited 1.5 s" in warning
    assert "MiB were swapped); times include" in warning


def test_a_control_group_of_version_2(tmp_path: Path) -> None:
    folder = "sys/fs/cgroup/app"
    first = {
        "proc/self/cgroup": "0::/app\n",
        f"{folder}/memory.max": f"{512 << 20}\n",
        f"{folder}/memory.events": "low 0\nhigh 0\nmax 7\noom 0\n",
        f"{folder}/memory.pressure": "some avg10=0.00 avg60=0.00 avg300=0.00 total=300000\n",
    }
    after = {
        f"{folder}/memory.events": "low 0\nhigh 0\nmax 9\noom 0\n",
        f"{folder}/memory.pressure": "some avg10=0.00 avg60=0.00 avg300=0.00 total=600000\n",
    }
    (warning,) = doubts(tmp_path, first, after, FAULTY).warnings
    assert "(the memory limit is 512 MiB, reached 2 times meanwhile, programs waited 0.3 s for memory)" in warning


def test_swapping_of_other_programs_is_a_warning_alone(tmp_path: Path) -> None:
    found = doubts(tmp_path, {"proc/vmstat": "pswpin 0\n"}, {"proc/vmstat": "pswpin 100000\n"}, CLEAN)
    assert not found.disturbed
    (warning,) = found.warnings
    assert warning.startswith("the machine swapped ")


@pytest.mark.parametrize(
    ("before", "after", "sentence"),
    [
        (
            {f"{SYS_CPU}/thermal_throttle/core_throttle_count": "7\n"},
            {f"{SYS_CPU}/thermal_throttle/core_throttle_count": "9\n"},
            "the processor was slowed down 2 times while the model ran: it is too hot",
        ),
        ({}, {"sys/devices/platform/soc/soc:firmware/get_throttled": "5\n"}, "the board reports under-voltage"),
        (
            {f"{SYS_CPU}/cpufreq/scaling_cur_freq": "1500000\n"},
            {f"{SYS_CPU}/cpufreq/scaling_cur_freq": "600000\n"},
            f"the clock of processor {CPU} went from 1500 to 600 MHz while the model ran",
        ),
    ],
)
def test_a_slower_processor(tmp_path: Path, before: dict[str, str], after: dict[str, str], sentence: str) -> None:
    found = doubts(tmp_path, before, after, CLEAN)
    assert found.disturbed
    assert [warning.startswith(sentence) for warning in found.warnings] == [True]


def test_a_clock_that_hardly_changes(tmp_path: Path) -> None:
    clock = f"{SYS_CPU}/cpufreq/scaling_cur_freq"
    assert doubts(tmp_path, {clock: "1500000\n"}, {clock: "1400000\n"}, CLEAN) == Doubts()


def test_kinds_of_disturbances() -> None:
    assert kind_of("12 major page faults in 3 of 10 timed runs: memory is short") == "too little memory"
    assert kind_of("the machine swapped 3 MiB while the model ran: its memory is short") == "too little memory"
    assert kind_of("the board slows its processor down because it is hot") == "a slowed processor"
    assert kind_of("3 of 10 samples are outliers") is None
    assert kind_of("") is None


def test_the_runner_says_the_same(root: Path) -> None:
    """What the kinds are found by stands in its source, too."""
    source = (root / "cpp" / "runner" / "disturbance.cpp").read_text()
    beginnings = re.findall(r'"((?: major|the machine|the processor|the board|the clock)[^"]*)"', source)
    assert len(beginnings) == 7
    for beginning in beginnings:
        assert kind_of(f"9{beginning}" if beginning.startswith(" ") else f"{beginning}1 went from 2"), beginning
