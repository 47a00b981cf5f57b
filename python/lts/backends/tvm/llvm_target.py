"""Converts a `Target` to TVM's, with LLVM's names of processors and features."""

from __future__ import annotations

import re
from typing import Any

from lts.errors import UsageError
from lts.targets.target import Target

# Levels of x86-64 from the highest, with the features (as Linux calls them) that make one.
_X86_LEVELS = {
    "x86-64-v4": {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl", "avx2", "fma"},
    "x86-64-v3": {"avx2", "fma", "bmi1", "bmi2", "f16c", "movbe"},
    "x86-64-v2": {"sse4_2", "ssse3", "popcnt"},
}
# Features beyond these levels and of arm64, as Linux calls them, and as LLVM does.
_X86_FEATURES = {"avx512_vnni": "avx512vnni", "avx_vnni": "avxvnni"}
_ARM_FEATURES = {
    "asimd": "neon",
    "asimddp": "dotprod",
    "asimdhp": "fullfp16",
    "atomics": "lse",
    "i8mm": "i8mm",
    "bf16": "bf16",
    "neon": "neon",
    "dotprod": "dotprod",
    "fullfp16": "fullfp16",
    "lse": "lse",
}


def tvm_target(target: Target) -> Any:
    """The `tvm.target.Target` to compile for.

    For a processor that LLVM does not know, such as a name from ``/proc/cpuinfo``, the features that the target lists
    say what to compile for.

    Raises
    ------
    UsageError
        When neither the processor nor a feature says what to compile for.
    """
    from tvm.target import Target as TvmTarget

    if target.kind == "gpu":
        arch = target.cpu
        if re.fullmatch(r"sm_[0-9]{2,3}[a-z]?", arch) is None:
            raise UsageError(
                f"target '{target.name}': cpu is '{arch}'; TVM compiles for NVIDIA gpus such as sm_80 or sm_90"
            )
        device = {"kind": "cuda", "arch": arch, "max_num_threads": 1024, "max_threads_per_block": 1024,
                  "max_shared_memory_per_block": 49152, "thread_warp_size": 32}  # fmt: skip
        return TvmTarget(device, host={"kind": "llvm", "mtriple": target.triple})
    cpu, features = _processor(target)
    values: dict[str, Any] = {
        "kind": "llvm",
        "mtriple": target.triple,
        "mcpu": cpu,
        "num-cores": target.cores,
        "opt-level": 2,
    }
    if features:
        values["mattr"] = features
    return TvmTarget(values)


def _processor(target: Target) -> tuple[str, list[str]]:
    """Name and additional features for LLVM."""
    from tvm.target import Target as TvmTarget
    from tvm.target.codegen import llvm_get_cpu_archlist, llvm_get_targets

    if target.triple.split("-")[0] not in map(str, llvm_get_targets()):  # asking for its processors would crash
        raise UsageError(f"target '{target.name}': TVM's LLVM does not compile for {target.triple}")
    known = [str(name) for name in llvm_get_cpu_archlist(TvmTarget({"kind": "llvm", "mtriple": target.triple}))]
    arm = target.triple.startswith("aarch64")
    features = [f"+{_ARM_FEATURES[name]}" for name in target.features if name in _ARM_FEATURES] if arm else []
    if target.cpu in known:
        return target.cpu, list(dict.fromkeys(features))
    if arm:
        if not features:
            raise UsageError(_unknown(target, "cortex-a72 or neoverse-n1"))
        return "generic", list(dict.fromkeys(features))
    if target.triple.startswith("x86_64"):
        for level, needed in _X86_LEVELS.items():
            if needed <= set(target.features):
                return level, [f"+{_X86_FEATURES[name]}" for name in target.features if name in _X86_FEATURES]
        if target.features:
            return "x86-64", []
    raise UsageError(_unknown(target, known[0]))


def _unknown(target: Target, example: str) -> str:
    return (
        f"target '{target.name}': LLVM does not know the cpu '{target.cpu}' of {target.triple}, and no known features "
        f"are listed; expected a name such as {example}"
    )
