"""Jobs of Slurm as workers, one per evaluation, through submitit."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from lts.errors import MeasurementError, UsageError, first_line
from lts.measure.workers.crew import Crew

_URI = re.compile(r"slurm:(?P<partition>[\w.-]*)(?:\?jobs=(?P<jobs>[1-9]\d{0,3}))?")
_JOBS = 8
# Minutes after which Slurm ends a job.
_LONGEST = 240


class Slurm(Crew):
    """So many jobs at a time; each starts an interpreter, so that evaluations should take minutes.

    Parameters
    ----------
    partition
        By default Slurm's own.
    size
        How many jobs are in its queue at a time.
    folder
        Where arguments and results are exchanged, which all machines see; by default in the cache of the user.
    cluster
        As submitit calls it: "slurm", or "local" for processes of this machine.
    """

    one = "a job"

    def __init__(self, partition: str, size: int, folder: Path | None = None, cluster: str = "slurm") -> None:
        try:
            import submitit
        except ImportError:
            raise UsageError(
                "workers of Slurm need the package submitit; install it with: pip install 'lts-engine[slurm]'"
            ) from None
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        try:
            self._executor = submitit.AutoExecutor(folder or cache / "lts-engine" / "slurm", cluster=cluster)
            self._executor.update_parameters(
                name="lts-engine",
                timeout_min=_LONGEST,
                **({"slurm_partition": partition} if partition and cluster == "slurm" else {}),
            )
        except RuntimeError as error:  # that there is no sbatch
            raise MeasurementError(f"no job can be given to Slurm: {first_line(error)}") from None
        self.size = size
        self._lock = threading.Lock()
        self._jobs: set[Any] = set()

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            job = self._executor.submit(function, *arguments)
        except Exception as error:  # what sbatch says
            raise MeasurementError(f"Slurm takes no job: {first_line(error)}") from None
        with self._lock:
            self._jobs.add(job)
        future.add_done_callback(lambda ended: job.cancel() if ended.cancelled() else None)
        threading.Thread(target=self._wait, args=(job, future), daemon=True).start()
        return future

    def close(self) -> None:
        with self._lock:
            for job in self._jobs:
                job.cancel()
            self._jobs.clear()

    def _wait(self, job: Any, future: Future[Any]) -> None:
        """Give the future what comes out of the job."""
        try:
            result, error = job.result(), None
        except Exception as failure:
            result, error = None, failure
        with self._lock:
            self._jobs.discard(job)
        if future.set_running_or_notify_cancel():
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)


def reach(uri: str) -> Slurm | None:
    """The workers of ``slurm:[PARTITION][?jobs=N]``; None for anything else."""
    match = _URI.fullmatch(uri)
    return Slurm(match["partition"], int(match["jobs"] or _JOBS)) if match else None
