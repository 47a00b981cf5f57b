"""The counter of energy of an NVIDIA graphics card, which its driver keeps since Volta.

https://docs.nvidia.com/deploy/nvml-api/group__nvmlDeviceQueries.html
"""

from __future__ import annotations

import ctypes
import time
from typing import Any

from lts.system.meter import Meter, NoEnergyError, plausible
from lts.system.outside import sentence

LIBRARY = "libnvidia-ml.so.1"

# Seconds between two numbers of the driver, at most.
_PERIOD = 0.1
_NAME_BYTES = 96


class NvmlMeter(Meter):
    """The energy of one card with its memory.

    Parameters
    ----------
    index
        Its number as NVML has it, which is that of ``nvidia-smi``.
    library
        Name or path of NVML.

    Raises
    ------
    NoEnergyError
        Without NVML, without such a card, or where it does not count.
    """

    period = _PERIOD

    def __init__(self, index: int = 0, library: str = LIBRARY) -> None:
        try:
            self._library = ctypes.CDLL(library)
        except OSError:
            raise NoEnergyError(f"there is no {library}, which comes with NVIDIA's driver") from None
        self._device = ctypes.c_void_p()
        self._call("nvmlInit_v2")
        self._call("nvmlDeviceGetHandleByIndex_v2", ctypes.c_uint(index), ctypes.byref(self._device))
        said = ctypes.create_string_buffer(_NAME_BYTES)
        self._call("nvmlDeviceGetName", self._device, said, ctypes.c_uint(_NAME_BYTES))
        self.name = f"nvml {index} {sentence(said.value.decode('utf-8', 'replace'), 60)}"
        self._before = self._now()
        self._begun = time.perf_counter()

    def start(self) -> None:
        self._begun = time.perf_counter()
        self._before = self._now()

    def stop(self) -> float:
        after, seconds = self._now(), time.perf_counter() - self._begun
        if after == self._before:
            raise NoEnergyError(f"the counter of {self.name} stood still")
        if after < self._before:
            raise NoEnergyError(f"the counter of {self.name} went back from {self._before} to {after}")
        return plausible(float(after - self._before), seconds, self.name)

    def _now(self) -> int:
        """mJ since the driver was loaded."""
        value = ctypes.c_ulonglong()
        self._call("nvmlDeviceGetTotalEnergyConsumption", self._device, ctypes.byref(value))
        return value.value

    def _call(self, name: str, *arguments: Any) -> None:
        try:
            status = getattr(self._library, name)(*arguments)
            if status == 0:
                return
            describe = self._library.nvmlErrorString
        except AttributeError:
            raise NoEnergyError(f"{LIBRARY} has no {name}: the driver is too old") from None
        describe.restype = ctypes.c_char_p
        reason = sentence((describe(status) or b"").decode("utf-8", "replace"), 100)
        raise NoEnergyError(f"{name} of {LIBRARY} says: {reason or f'error {status}'}")


def open_nvml(index: int = 0, library: str = LIBRARY) -> Meter | str:
    """A meter of one card, or why there is none."""
    try:
        return NvmlMeter(index, library)
    except NoEnergyError as error:
        return str(error)
