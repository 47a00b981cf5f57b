"""What is read from /proc and /sys, of this machine and of made-up ones."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import pytest

from lts.system import machine


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return root


def processors(*cores: tuple[int, int], **more: str) -> dict[str, str]:
    files = {}
    for cpu, (package, core) in enumerate(cores):
        folder = f"sys/devices/system/cpu/cpu{cpu}"
        files[f"{folder}/topology/physical_package_id"] = f"{package}\n"
        files[f"{folder}/topology/core_id"] = f"{core}\n"
    return {**files, **more}


def test_this_machine() -> None:
    assert machine.triple().startswith(f"{platform.machine()}-linux-")
    assert machine.same_architecture(machine.triple(), machine.triple())
    assert set(machine.allowed_cpus()) == os.sched_getaffinity(0)
    assert 1 <= machine.cores(machine.allowed_cpus()) <= len(machine.allowed_cpus())
    memory = machine.memory_mib()
    assert memory is not None
    assert 0 < memory <= os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20
    before = machine.cpu_ticks()
    assert set(machine.allowed_cpus()) <= set(before)
    assert all(0 <= share <= 1 for share in machine.busy_share(before, machine.cpu_ticks()).values())


def test_names_of_architectures() -> None:
    assert machine.same_architecture("arm64-apple-darwin", "aarch64-linux-gnu")
    assert machine.same_architecture("AMD64-windows", "x86_64-linux-gnu")
    assert not machine.same_architecture("aarch64-linux-gnu", "x86_64-linux-gnu")


@pytest.mark.parametrize(
    ("files", "name"),
    [
        ({"proc/cpuinfo": "processor\t: 0\nmodel name\t: AMD EPYC\nmodel name\t: other\n"}, "AMD EPYC"),
        ({"proc/cpuinfo": "CPU implementer\t: 0x41\nCPU part\t: 0xd08\n"}, "cortex-a72"),
        (
            {
                "proc/cpuinfo": "CPU implementer\t: 0x41\nCPU part\t: 0xfff\n",
                "sys/firmware/devicetree/base/model": "Raspberry Pi 9\0",
            },
            "Raspberry Pi 9",
        ),
        ({"proc/cpuinfo": "Hardware\t: BCM2711\n"}, "BCM2711"),
        ({}, "unknown"),
    ],
)
def test_cpu_model(tmp_path: Path, files: dict[str, str], name: str) -> None:
    assert machine.cpu_model(write(tmp_path, files)) == name


def test_cpu_features(tmp_path: Path) -> None:
    x86 = write(tmp_path / "x86", {"proc/cpuinfo": "flags\t: fpu smep avx2 fma avx512f sse4_2 vmx\n"})
    assert machine.cpu_features(x86) == ("avx2", "avx512f", "fma", "sse4_2")
    arm = write(tmp_path / "arm", {"proc/cpuinfo": "Features\t: fp asimd evtstrm aes asimddp sve2 sme\n"})
    assert machine.cpu_features(arm) == ("asimd", "asimddp", "sme", "sve2")
    assert machine.cpu_features(tmp_path) == ()


def test_frequency(tmp_path: Path) -> None:
    folder = "sys/devices/system/cpu/cpu2/cpufreq"
    assert machine.frequency_mhz(2, write(tmp_path, {f"{folder}/cpuinfo_max_freq": "1500000\n"})) == 1500
    assert machine.frequency_mhz(1, tmp_path) is None
    assert machine.frequency_mhz(2, write(tmp_path, {f"{folder}/cpuinfo_max_freq": "0\n"})) is None


@pytest.mark.parametrize(
    ("cpu", "features", "flops"),
    [
        ("AMD EPYC", ("avx2", "avx512f", "fma"), 64),
        ("Intel", ("avx", "avx2", "fma"), 32),
        ("Intel", ("avx",), None),
        ("cortex-a72", ("asimd",), 8),
        ("cortex-a76", ("neon", "dotprod"), 16),
        ("unknown", ("asimd",), 8),
        ("unknown", (), None),
    ],
)
def test_flops_per_cycle(cpu: str, features: tuple[str, ...], flops: int | None) -> None:
    assert machine.flops_per_cycle(cpu, features) == flops


def test_cores_count_threads_of_a_core_once(tmp_path: Path) -> None:
    root = write(tmp_path, processors((0, 0), (0, 1), (0, 0), (0, 1), (1, 0), (1, 0)))
    assert machine.cores([0, 1, 2, 3, 4, 5], root) == 3
    assert machine.cores([0, 2], root) == 1
    assert machine.cores([0, 9], root) == 2  # nothing known of 9


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({"proc/self/cgroup": "0::/\n"}, None),
        ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/cpu.max": "max 100000\n"}, None),
        ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/cpu.max": "150000 100000\n"}, 1.5),
        (
            {
                "proc/self/cgroup": "0::/a/b\n",
                "sys/fs/cgroup/a/b/cpu.max": "400000 100000\n",
                "sys/fs/cgroup/a/cpu.max": "200000 100000\n",
            },
            2,
        ),
        # In a container: the path is the one outside.
        ({"proc/self/cgroup": "0::/docker/x\n", "sys/fs/cgroup/cpu.max": "300000 100000\n"}, 3),
        (
            {
                "proc/self/cgroup": "3:cpu,cpuacct:/job\n1:memory:/\n",
                "sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us": "50000\n",
                "sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_period_us": "100000\n",
            },
            0.5,
        ),
        (
            {
                "proc/self/cgroup": "3:cpu:/\n",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            None,
        ),
    ],
)
def test_processor_quota(tmp_path: Path, files: dict[str, str], quota: float | None) -> None:
    root = write(tmp_path, {**processors((0, 0), (0, 1), (0, 2), (0, 3)), **files})
    assert machine.cpu_quota(root) == quota
    assert machine.cores([0, 1, 2, 3], root) == (4 if quota is None else max(1, int(quota)))


def test_memory_is_what_the_control_group_allows(tmp_path: Path) -> None:
    files = {"proc/meminfo": "MemTotal:  8388608 kB\nMemFree: 1 kB\nHugePages_Total: 0\n"}
    assert machine.memory_mib(write(tmp_path / "a", files)) == 8192
    files |= {"proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/memory.max": "max\n"}
    assert machine.memory_mib(write(tmp_path / "b", files)) == 8192
    files |= {"sys/fs/cgroup/memory.max": f"{512 << 20}\n"}
    assert machine.memory_mib(write(tmp_path / "c", files)) == 512
    files |= {"proc/self/cgroup": "4:memory:/a\n", "sys/fs/cgroup/memory/a/memory.limit_in_bytes": f"{256 << 20}\n"}
    assert machine.memory_mib(write(tmp_path / "d", files)) == 256
    assert machine.memory_mib(tmp_path) is None


def test_caches(tmp_path: Path) -> None:
    cache = "sys/devices/system/cpu/cpu3/cache"
    sizes = [("Data", "1", "48K"), ("Instruction", "1", "32K"), ("Unified", "2", "1M"), ("Unified", "3", "32768K")]
    for i, (kind, level, size) in enumerate(sizes):
        files = {"type": kind, "level": level, "size": size}
        write(tmp_path, {f"{cache}/index{i}/{name}": f"{text}\n" for name, text in files.items()})
    assert machine.caches_kib(3, tmp_path) == {1: 48, 2: 1024, 3: 32768}
    assert machine.caches_kib(0, tmp_path) == {}


def test_pinning_takes_cores_before_threads_of_a_core(tmp_path: Path) -> None:
    root = write(tmp_path, processors((0, 0), (0, 1), (0, 0), (0, 1)))
    assert machine.pick_cpus(2, machine.processors([0, 1, 2, 3], root)) == [2, 3]
    assert machine.pick_cpus(3, machine.processors([0, 1, 2, 3], root)) == [1, 2, 3]
    assert machine.pick_cpus(1, machine.processors([0, 1, 2], root)) == [2]


def test_pinning_takes_fast_cores_then_idle_ones(tmp_path: Path) -> None:
    capacity = {f"sys/devices/system/cpu/cpu{cpu}/cpu_capacity": "1024\n" for cpu in (0, 1)}
    capacity |= {f"sys/devices/system/cpu/cpu{cpu}/cpu_capacity": "400\n" for cpu in (2, 3)}
    root = write(tmp_path, processors((0, 0), (0, 1), (0, 2), (0, 3), **capacity))
    assert machine.pick_cpus(1, machine.processors([0, 1, 2, 3], root)) == [1]
    assert machine.pick_cpus(1, machine.processors([0, 1, 2, 3], root), {1: 0.9}) == [0]
    assert machine.pick_cpus(1, machine.processors([0, 1, 2, 3], root), {1: 0.05}) == [1]
    assert machine.pick_cpus(3, machine.processors([0, 1, 2, 3], root), {0: 1.0, 1: 1.0}) == [0, 1, 3]


def test_busy_share(tmp_path: Path) -> None:
    before = write(
        tmp_path / "a", {"proc/stat": "cpu  9 9 9 9 9\ncpu0 10 0 10 70 10 0 0 0 0 0\ncpu1 1 1 1 1 1 1 1 1\n"}
    )
    after = write(tmp_path / "b", {"proc/stat": "cpu0 20 0 20 140 20 0 0 0 0 0\ncpu1 1 1 1 1 1 1 1 1\nintr 5\n"})
    shares = machine.busy_share(machine.cpu_ticks(before), machine.cpu_ticks(after))
    assert shares == {0: 0.2, 1: 0.0}


def test_nothing_is_readable(tmp_path: Path) -> None:
    assert machine.cores([0, 1], tmp_path) == 2
    assert machine.cpu_ticks(tmp_path) == {}
    assert machine.governor(tmp_path) == ""
    assert machine.meminfo(tmp_path) == {}
    assert machine.pick_cpus(1, machine.processors([0, 1], tmp_path)) == [1]
