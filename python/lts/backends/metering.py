"""The energy of a function, inside the worker process. Shared by the backends that run in Python."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from lts.backends.run_queue import RunQueue, longest_wait
from lts.system.energy import open_meter
from lts.system.meter import Meter, NoEnergyError

NO_ENERGY = "no energy: "
"""What a warning begins with that says why there is none."""

# Share of the time that the model waited for a core, from which on a measurement says so.
_MUCH = 0.1


def energy_of(function: Callable[[], object], min_time: float, meter: Meter | str | None = None) -> dict[str, Any]:
    """Call a function that is warm again and again, for as long as a meter needs, and share its energy out evenly.

    The calls are others than those that are timed, one right after the other, so that reading a meter changes no time
    and the clock's readings take no energy. There are at least `min_time` seconds of them.

    Parameters
    ----------
    function
        What is called.
    min_time
        Seconds.
    meter
        What is read, or why there is nothing; by default that of this machine.

    Returns
    -------
    dict
        ``energy_mj`` of a call, ``energy_error``, the share of it that the meter may be late by, and ``meter``, its
        name; or none of these. ``warnings``: why there are none, or that other programs took a part of it.
    """
    meter = open_meter() if meter is None else meter
    if isinstance(meter, str):
        return {"warnings": [f"{NO_ENERGY}{meter}"]}
    seconds = max(min_time, meter.least_seconds)
    n = 0
    queue = RunQueue()
    try:
        before = queue.waited_ns()
        meter.start()
        begun = time.perf_counter()
        while (took := time.perf_counter() - begun) < seconds or n == 0:
            function()
            n += 1
        mj = meter.stop()
        waited = longest_wait(before, queue.waited_ns()) / 1e9 / took
    except NoEnergyError as error:
        return {"warnings": [f"{NO_ENERGY}{error}"]}
    finally:
        queue.close()
    answer = {"energy_mj": mj / n, "energy_error": meter.period / took, "meter": meter.name}
    if waited > _MUCH:
        shared = f"other programs had the processor for {min(1.0, waited):.0%} of the time in which energy was measured"
        answer["warnings"] = [f"{shared}; what they took is in it"]
    return answer
