"""Workers of a Dask cluster that is running already: https://distributed.dask.org"""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from lts.errors import MeasurementError, UsageError, first_line
from lts.measure.workers.crew import Crew

_URI = re.compile(r"(?:tcp|tls)://(?:\[[0-9a-fA-F:.]+\]|[^/:?#\[\]\s]+):\d{1,5}")
# Seconds to wait for the scheduler, and for a worker to come back.
_CONNECT, _COME_BACK = 10, 30
# How often Dask runs a call again when its worker dies.
_RETRIES = 2


class Dask(Crew):
    """The workers that a scheduler knows when it is reached; keys and certificates for ``tls://`` are those of Dask's
    configuration. We listen on no port."""

    def __init__(self, address: str) -> None:
        try:
            from distributed import Client
        except ImportError:
            raise UsageError(
                "workers of Dask need the package distributed; install it with: pip install 'lts-engine[dask]'"
            ) from None
        self._address = address
        try:
            self._client = Client(address, timeout=_CONNECT, set_as_default=False)
        except (OSError, ValueError, TypeError) as error:
            raise MeasurementError(f"no scheduler of Dask answers at {address}: {first_line(error)}") from None
        self.size = len(self._workers())
        if self.size == 0:
            self.close()
            raise MeasurementError(f"the scheduler at {address} has no workers; start some with: dask worker {address}")
        self._executor = self._client.get_executor(pure=False, retries=_RETRIES)

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        future: Future[Any] = self._executor.submit(function, *arguments)
        return future

    def survey(self, function: Callable[..., Any], *arguments: Any) -> dict[str, Any]:
        found: dict[str, Any] = self._client.run(function, *arguments, on_error="return")
        return found

    def check(self) -> None:
        try:
            self._client.wait_for_workers(1, timeout=_COME_BACK)
        except Exception as error:  # of the many that it raises when its scheduler is gone
            reason = first_line(error)
        else:
            if self._client.status == "running" and self._workers():
                return
            reason = f"the connection is {self._client.status}"
        raise MeasurementError(f"the scheduler at {self._address} has no workers any more: {reason}")

    def close(self) -> None:
        executor = getattr(self, "_executor", None)
        if executor is not None:
            executor.shutdown(wait=False)  # cancels
        self._client.close(timeout=_CONNECT)

    def _workers(self) -> list[str]:
        return list(self._client.scheduler_info(n_workers=-1)["workers"])


def reach(uri: str) -> Dask | None:
    """The workers of ``tcp://HOST:PORT`` or ``tls://HOST:PORT``; None for anything else."""
    return Dask(uri) if _URI.fullmatch(uri) else None
