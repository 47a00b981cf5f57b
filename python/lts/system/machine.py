"""What the Linux kernel says about this machine, and about the share of it that this process may use.

Every function takes the root of the file system, so that a test can show it another machine.
"""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/")

# As LLVM has them: architecture, vendor, system, environment, object format; all but two may be left out.
_TRIPLE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.]{0,31}(-[A-Za-z0-9_][A-Za-z0-9_.]{0,31}){1,4}")

# Prefixes of the processor's flags that matter to a compiler.
_ISA = re.compile("amx|asimd|avx|bf16|bmi|f16c|fma|fphp|i8mm|neon|sme(?!p)|sse|ssse3|sve|vfp")
# Parts of Arm's own cores as /proc/cpuinfo numbers them (implementer 0x41), by the names that LLVM uses.
_ARM_PARTS = {
    0xD03: "cortex-a53",
    0xD04: "cortex-a35",
    0xD05: "cortex-a55",
    0xD07: "cortex-a57",
    0xD08: "cortex-a72",
    0xD09: "cortex-a73",
    0xD0A: "cortex-a75",
    0xD0B: "cortex-a76",
    0xD0C: "neoverse-n1",
    0xD0D: "cortex-a77",
    0xD40: "neoverse-v1",
    0xD41: "cortex-a78",
    0xD44: "cortex-x1",
    0xD46: "cortex-a510",
    0xD47: "cortex-a710",
    0xD49: "neoverse-n2",
    0xD4F: "neoverse-v2",
}

# Float32 operations per cycle of the cores that have more than one 128-bit multiply-add pipe.
_ARM_FLOPS = {
    "cortex-a75": 16,
    "cortex-a76": 16,
    "cortex-a77": 16,
    "cortex-a78": 16,
    "cortex-a710": 16,
    "cortex-x1": 32,
    "neoverse-n1": 16,
    "neoverse-n2": 16,
    "neoverse-v1": 32,
    "neoverse-v2": 32,
}


def read(path: Path) -> str:
    """The text of a small file, stripped; empty when it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip("\0 \n")
    except OSError:
        return ""


def triple() -> str:
    """Architecture, system and C library in the order of GNU, for example ``x86_64-linux-gnu``."""
    machine = platform.machine() or "unknown"
    if platform.system() != "Linux":
        return f"{machine}-{platform.system().lower()}"
    library = "gnu" if platform.libc_ver()[0] == "glibc" else "musl"
    return f"{machine}-linux-{library}{'eabihf' if machine.startswith('armv') else ''}"


def is_triple(text: str) -> bool:
    """Whether a text is a triple. Names of programs and folders are made from one, so nothing else may become one."""
    return _TRIPLE.fullmatch(text) is not None


def same_architecture(one: str, other: str) -> bool:
    """Whether two triples name the same processor architecture."""
    return _architecture(one) == _architecture(other)


def _architecture(triple: str) -> str:
    name = triple.split("-", 1)[0].lower()
    if re.fullmatch(r"armv[5-8]\w*", name):
        return "arm"
    return {"amd64": "x86_64", "arm64": "aarch64", "i486": "i386", "i586": "i386", "i686": "i386"}.get(name, name)


def cpu_model(root: Path = ROOT) -> str:
    """The processor's name: the model name of x86, LLVM's name of an Arm core, or what the board calls itself."""
    info = _cpuinfo(root)
    if name := info.get("model name"):
        return name
    if info.get("CPU implementer") == "0x41" and (name := _ARM_PARTS.get(int(info.get("CPU part", "0"), 16))):
        return name
    return read(root / "sys/firmware/devicetree/base/model") or info.get("Hardware", "") or "unknown"


def cpu_features(root: Path = ROOT) -> tuple[str, ...]:
    """The instruction set extensions that matter to a compiler, as the kernel spells them, sorted."""
    info = _cpuinfo(root)
    flags = (info.get("flags") or info.get("Features") or "").split()
    return tuple(sorted(flag for flag in set(flags) if _ISA.match(flag)))


def allowed_cpus() -> list[int]:
    """Numbers of the logical processors that this process may run on, ascending."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def cores(cpus: Sequence[int], root: Path = ROOT) -> int:
    """Physical cores among these logical processors, no more than the processor quota of the control group."""
    n = len({_core_of(cpu, root) for cpu in cpus})
    quota = cpu_quota(root)
    return max(1, n if quota is None else min(n, int(quota)))


def cpu_quota(root: Path = ROOT) -> float | None:
    """CPU quota of the control group, in processors; None when unlimited."""
    limits = []
    for folder in cgroups("cpu", root):
        quota, _, period = (read(folder / "cpu.max") or "max").partition(" ")
        if quota == "max":
            quota, period = read(folder / "cpu.cfs_quota_us"), read(folder / "cpu.cfs_period_us")
        if quota.isdecimal() and period.isdecimal() and int(period) > 0:
            limits.append(int(quota) / int(period))
    return min(limits, default=None)


def memory_mib(root: Path = ROOT) -> int | None:
    """Memory of the machine, or of the control group where that is less; None when unknown."""
    total = meminfo(root).get("MemTotal", 0) // 1024 or None
    return total if (limit := memory_limit_mib(root)) is None else limit


def memory_limit_mib(root: Path = ROOT) -> int | None:
    """The least memory limit of the control group and those around it; None when the machine has no more than that."""
    limits = []
    for folder in cgroups("memory", root):
        for name in ("memory.max", "memory.limit_in_bytes"):
            if (text := read(folder / name)).isdecimal():
                limits.append(int(text))
    total = meminfo(root).get("MemTotal", 0) * 1024
    return min(limits) // 2**20 if limits and (not total or min(limits) < total) else None


def meminfo(root: Path = ROOT) -> dict[str, int]:
    """/proc/meminfo, in KiB."""
    entries = (line.partition(":") for line in read(root / "proc/meminfo").splitlines())
    return {
        key: int(value.split()[0]) for key, _, value in entries if value.split()[:1] and value.split()[0].isdecimal()
    }


def caches_kib(cpu: int, root: Path = ROOT) -> dict[int, int]:
    """Size in KiB of the data caches that a logical processor uses, by level."""
    sizes = {}
    for folder in sorted((root / f"sys/devices/system/cpu/cpu{cpu}/cache").glob("index*")):
        level, size = read(folder / "level"), read(folder / "size")
        if read(folder / "type") != "Instruction" and level.isdecimal() and size[:-1].isdecimal():
            sizes[int(level)] = int(size[:-1]) * {"K": 1, "M": 1024}.get(size[-1], 1)
    return sizes


def governor(root: Path = ROOT, cpu: int = 0) -> str:
    """The frequency governor, empty where the kernel controls no frequency (most virtual machines)."""
    return read(root / f"sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_governor")


def frequency_mhz(cpu: int, root: Path = ROOT) -> int | None:
    """The highest clock of a logical processor; None where the kernel controls no frequency (most virtual machines)."""
    khz = read(root / f"sys/devices/system/cpu/cpu{cpu}/cpufreq/cpuinfo_max_freq")
    return int(khz) // 1000 or None if khz.isdecimal() else None


def current_mhz(cpu: int, root: Path = ROOT) -> int | None:
    """The clock of a logical processor now; None where the kernel controls no frequency."""
    khz = read(root / f"sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_cur_freq")
    return int(khz) // 1000 or None if khz.isdigit() else None


def flops_per_cycle(cpu: str, features: Sequence[str]) -> int | None:
    """Float32 operations per cycle and core of these features, a multiply-add being two; None when unknown.

    Assumes two vector pipes on x86 (Intel since Haswell, AMD since Zen 2; with AVX-512, as in Intel's servers and
    AMD's Zen 5, which is twice what other processors with AVX-512 do), and on Arm what the core is known to have.
    """
    if "avx512f" in features:
        return 64
    if "fma" in features and "avx2" in features:
        return 32
    if {"asimd", "neon"} & set(features):
        return _ARM_FLOPS.get(cpu, 8)
    return None


@dataclass(frozen=True)
class Processor:
    """What is known of a logical processor: its core, which it may share, and its speed, in any unit."""

    core: tuple[str, str]
    speed: int = 0


def processors(cpus: Sequence[int], root: Path = ROOT) -> dict[int, Processor]:
    """What the kernel says about these logical processors."""
    found = {}
    for cpu in cpus:
        folder = root / f"sys/devices/system/cpu/cpu{cpu}"
        speed = read(folder / "cpu_capacity") or read(folder / "cpufreq/cpuinfo_max_freq")
        found[cpu] = Processor(_core_of(cpu, root), int(speed) if speed.isdecimal() else 0)
    return found


def pick_cpus(n: int, known: Mapping[int, Processor], busy: Mapping[int, float] | None = None) -> list[int]:
    """The first `n` of `ranked_cpus`, ascending: those to pin to."""
    return sorted(ranked_cpus(known, busy)[:n])


def ranked_cpus(known: Mapping[int, Processor], busy: Mapping[int, float] | None = None) -> list[int]:
    """The logical processors that are `known`, the best one to pin to first.

    One per physical core comes first, then the fastest, then the most idle, then the one with the highest number,
    because interrupts mostly go to processor 0. `busy` is from `busy_share`.
    """
    seen: dict[tuple[str, str], int] = {}
    ranked = []
    for cpu in sorted(known, reverse=True):
        core = known[cpu].core
        sibling = seen[core] = seen.get(core, -1) + 1  # not 0: shares its core with one that comes before it
        # In steps of a quarter: cores differ by a few percent of background work all the time.
        load = round(4 * (busy or {}).get(cpu, 0.0))
        ranked.append((sibling, -known[cpu].speed, load, -cpu))
    return [-cpu for *_, cpu in sorted(ranked)]


def cpu_ticks(root: Path = ROOT) -> dict[int, tuple[int, int]]:
    """Ticks of every logical processor since the machine started: busy, and all."""
    ticks = {}
    for line in read(root / "proc/stat").splitlines():
        name, *fields = line.split()
        if name.startswith("cpu") and name[3:].isdecimal() and len(fields) >= 5:
            counts = [int(field) for field in fields[:8]]
            ticks[int(name[3:])] = (sum(counts) - counts[3] - counts[4], sum(counts))
    return ticks


def busy_share(before: dict[int, tuple[int, int]], after: dict[int, tuple[int, int]]) -> dict[int, float]:
    """The share of time that every logical processor was busy between two calls of `cpu_ticks`, 0 to 1."""
    shares = {}
    for cpu in before.keys() & after.keys():
        busy, total = (b - a for a, b in zip(before[cpu], after[cpu], strict=True))
        shares[cpu] = busy / total if total > 0 else 0.0
    return shares


def cgroups(controller: str, root: Path) -> Iterator[Path]:
    """Folders of the control groups that this process is in, of both versions, from the innermost outwards."""
    mount = root / "sys/fs/cgroup"
    for line in read(root / "proc/self/cgroup").splitlines():
        number, controllers, path = (*line.split(":", 2), "", "")[:3]
        if number == "0":
            bases = [mount, mount / "unified"]
        elif controller in controllers.split(","):
            bases = [mount / controller, mount / controllers]
        else:
            continue
        for base in bases:
            # Inside a container the path is often that of the host; only the base folder is visible here then.
            folder = base / path.strip("/")
            yield from (f for f in (folder, *folder.parents) if f == base or base in f.parents)


def _cpuinfo(root: Path) -> dict[str, str]:
    """The first value of every key in /proc/cpuinfo."""
    info: dict[str, str] = {}
    for line in read(root / "proc/cpuinfo").splitlines():
        key, separator, value = line.partition(":")
        if separator:
            info.setdefault(key.strip(), value.strip())
    return info


def _core_of(cpu: int, root: Path) -> tuple[str, str]:
    """Package and core of a logical processor; itself where the kernel does not say."""
    folder = root / f"sys/devices/system/cpu/cpu{cpu}/topology"
    core = read(folder / "core_id")
    return (read(folder / "physical_package_id"), core) if core else ("cpu", str(cpu))
