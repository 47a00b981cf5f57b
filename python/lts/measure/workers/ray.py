"""Workers of a Ray cluster that is running already: https://docs.ray.io"""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from lts.errors import MeasurementError, UsageError, first_line
from lts.measure.workers.crew import Crew, answer_of

_URI = re.compile(r"ray://(?:\[[0-9a-fA-F:.]+\]|[^/:?#\[\]\s]+):\d{1,5}")
# How often Ray runs a call again when its worker dies.
_RETRIES = 2


class Ray(Crew):
    """The machines of a cluster, one call on each at a time. We only connect: a cluster that was started with Ray's own
    commands listens on all interfaces, whatever it is told."""

    def __init__(self, address: str) -> None:
        try:
            import ray
        except ImportError:
            raise UsageError(
                "workers of Ray need the package ray[client]; install it with: pip install 'lts-engine[ray]'"
            ) from None
        self._ray = ray
        self._address = address
        try:
            self._connection = ray.init(address=address, log_to_driver=False)
        except (ConnectionError, OSError, RuntimeError, ValueError) as error:
            raise MeasurementError(f"no cluster of Ray answers at {address}: {first_line(error)}") from None
        self._call = ray.remote(_call)
        self.size = len(self._nodes())
        self._futures: set[Future[Any]] = set()

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        call = self._call.options(max_retries=_RETRIES, num_cpus=1, scheduling_strategy="SPREAD")
        return self._future(call.remote(function, *arguments))

    def survey(self, function: Callable[..., Any], *arguments: Any) -> dict[str, Any]:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        def asked(node: str) -> Future[Any]:
            there = NodeAffinitySchedulingStrategy(node, soft=False)
            return self._future(self._call.options(scheduling_strategy=there).remote(function, *arguments))

        futures = {name: asked(node) for node, name in self._nodes().items()}
        return {name: answer_of(future) for name, future in futures.items()}

    def check(self) -> None:
        try:
            if self._nodes():
                return
            reason = "no node is alive"
        except Exception as error:  # of the many that it raises when it is disconnected
            reason = first_line(error)
        raise MeasurementError(f"the cluster at {self._address} has no workers any more: {reason}")

    def close(self) -> None:
        for future in list(self._futures):
            future.cancel()
        self._connection.disconnect()

    def _nodes(self) -> dict[str, str]:
        """The machines that are there: identifiers with names."""
        return {
            node["NodeID"]: f"{node['NodeManagerHostname']} ({node['NodeID'][:6]})"
            for node in self._ray.nodes()
            if node["Alive"]
        }

    def _future(self, reference: Any) -> Future[Any]:
        future: Future[Any] = reference.future()
        self._futures.add(future)
        future.add_done_callback(self._futures.discard)
        future.add_done_callback(lambda ended: self._ray.cancel(reference) if ended.cancelled() else None)
        return future


def _call(function: Callable[..., Any], *arguments: Any) -> Any:
    return function(*arguments)


def reach(uri: str) -> Ray | None:
    """The workers of ``ray://HOST:PORT``; None for anything else."""
    return Ray(uri) if _URI.fullmatch(uri) else None
