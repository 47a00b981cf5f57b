"""The costs that one run of a model gives: which run, and on which device by which backend."""

from __future__ import annotations

from collections.abc import Iterable

from lts.backends.backend import Backend
from lts.devices.device import ENERGY, Device
from lts.errors import UsageError

PEAK = "peak_memory_mib"
# Which run gives which cost; the peak is the larger one of those that are made.
PHASE_OF = {
    "latency_ms": "prefill",
    "decode_ms_per_token": "decode",
    PEAK: "prefill",
    "instructions": "prefill",
    "decode_instructions": "decode",
    **dict(zip(ENERGY, ("prefill", "decode"), strict=True)),
}
COSTS = tuple(PHASE_OF)
INSTRUCTIONS = {"prefill": "instructions", "decode": "decode_instructions"}
TIME_OF = {"prefill": "latency_ms", "decode": "decode_ms_per_token"}
ENERGY_OF = {PHASE_OF[cost]: cost for cost in ENERGY}
OUTPUT_ERROR = "output_error"


def costs_of(device: Device, backend: Backend) -> tuple[str, ...]:
    """What models that a backend builds cost on a device, as far as it is measured."""
    meters = getattr(backend, "meters_energy", False)
    return tuple(cost for cost in device.costs if meters or cost not in ENERGY)


def default_costs(device: Device) -> tuple[str, ...]:
    """What is measured unless somebody says what: all that a device gives but energy, which takes runs of its own."""
    return tuple(cost for cost in device.costs if cost not in ENERGY)


def why_no_energy(device: Device, backend: Backend) -> str:
    """Why the energy of models that a backend builds is not measured on a device, in a phrase; empty where it is."""
    if getattr(backend, "meters_energy", False):
        return device.no_energy
    if backend.needs == "runner":
        instead = "--backend onnxruntime does" if "python" in device.runs else device.no_energy
        return f"lts-runner, which runs compiled models, reads no meter; {instead}"
    return f"the backend '{backend.name}' reads no meter"


def check_costs(device: Device, backend: Backend, costs: Iterable[str]) -> None:
    """Raise `UsageError` for a cost that the device does not give, or not of what the backend builds."""
    known = costs_of(device, backend)
    for cost in costs:
        if cost in known:
            continue
        if cost in ENERGY:
            raise UsageError(
                f"no energy: {why_no_energy(device, backend) or 'this device has no meter'}; the device gives the "
                f"costs {', '.join(known)}"
            )
        raise UsageError(f"the device does not give the cost '{cost}'; expected one of {', '.join(known)}")
