"""The interface of workers, processes here or elsewhere that call functions for us, and reaching them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import Executor, Future
from pkgutil import resolve_name
from typing import Any

from lts.errors import UsageError

# Scheme: the function that reaches such workers, and how their URI is written.
_KINDS = {
    "tcp": ("lts.measure.workers.dask:reach", "tcp://HOST:PORT"),
    "tls": ("lts.measure.workers.dask:reach", "tls://HOST:PORT"),
    "slurm": ("lts.measure.workers.slurm:reach", "slurm:[PARTITION][?jobs=N]"),
    "ray": ("lts.measure.workers.ray:reach", "ray://HOST:PORT"),
    "processes": ("lts.measure.workers.processes:reach", "processes:N"),
}
FORMS = ", ".join(form for _, form in _KINDS.values())
"""How the URIs of `reach_crew` are written."""


class Crew(ABC):
    """Workers, each of which calls one function at a time."""

    size: int = 1
    """How many there are."""

    one: str = "a worker"
    """What one is called where they cannot be told apart."""

    @abstractmethod
    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """Have a worker call a function of a module. Whatever the future raises says that the worker is lost, or that
        it could not call it; a future that is cancelled ends the call where the engine can."""

    def survey(self, function: Callable[..., Any], *arguments: Any) -> dict[str, Any]:
        """What the workers that are there now answer, by their names; an exception is an answer as well. Where they
        cannot be told apart, one answers for all."""
        return {self.one: answer_of(self.submit(function, *arguments))}

    def check(self) -> None:
        """Raise `MeasurementError` when there is no worker any more, and none comes back soon."""

    def close(self) -> None:
        """Cancel what was submitted, and leave the workers to others. Harmless when repeated."""


class ExecutorCrew(Crew):
    """Workers behind any executor, which stays open.

    Parameters
    ----------
    executor
        Its functions and arguments have to reach the workers: usually they are pickled.
    size
        How many calls it runs at the same time.
    """

    def __init__(self, executor: Executor, size: int) -> None:
        if size < 1:
            raise UsageError(f"the number of workers is {size}; it must be at least 1")
        self.size = size
        self._executor = executor

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        return self._executor.submit(function, *arguments)


def answer_of(future: Future[Any]) -> Any:
    """The result of a future, or the exception that it raises."""
    try:
        return future.result()
    except Exception as error:
        return error


def reach_crew(uri: str) -> Crew:
    """The workers of a URI such as ``tcp://scheduler:8786``, see `FORMS`.

    Raises
    ------
    UsageError
        For a URI that is none, or a package that is not installed.
    MeasurementError
        When the engine cannot be reached, or has no workers.
    """
    scheme = uri.split(":", 1)[0]
    if scheme not in _KINDS or ":" not in uri:
        raise UsageError(f"unknown workers '{uri}'; expected one of {FORMS}")
    location, form = _KINDS[scheme]
    crew: Crew | None = resolve_name(location)(uri)
    if crew is None:
        raise UsageError(f"workers '{uri}' are not of the form {form}")
    return crew
