"""The last part of a search for a target that models are compiled for: the front as checked libraries."""

from __future__ import annotations

import math
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from pathlib import Path

from lts.export.manifest import has_own_weights, update_manifest
from lts.jobs.job import MANIFEST
from lts.measure.costs import INSTRUCTIONS, OUTPUT_ERROR
from lts.measure.deployer import Deployer
from lts.measure.deployment import Deployment, phases_of
from lts.measure.trial import COMPILED, CORRECT, Trial
from lts.study.exportable import origin_of
from lts.study.study import Study
from lts.system.progress import Observer, Work, unobserved
from lts.system.text import listed, number, plural


def deploy_front(
    study: Study,
    deployer: Deployer,
    members: Sequence[Trial],
    directory: Path,
    end: float,
    say: Callable[[str], None] = lambda text: None,
    observe: Observer = unobserved,
) -> int:
    """Compile the members of a front, the first ones first, check them, and keep what that gives in the study.

    Every member is compiled before the time that is left goes into checking: a check that the others' compilation
    leaves no time for is left out. What the emulated device of the search has run already is not run again.

    Parameters
    ----------
    study, deployer
        Where the members come from, and what compiles and checks them.
    members
        In the order in which they are compiled.
    directory
        Results of a member go to the folder ``models/ID`` there.
    end
        Time by the monotonic clock at which it must be done.
    say
        Called with a sentence about every member, those that the time is not enough for among them.
    observe
        Told what is running.

    Returns
    -------
    int
        Number of members that could not be compiled, or are not right.
    """
    if deployer.unchecked is not None:
        say(f"models are compiled and not run: {deployer.unchecked}")
    n_wrong = 0
    unchecked: list[int] = []
    members = [trial for trial in members if not _is_deployed(trial, deployer, directory)]
    running = _Running(members, deployer.parallel, observe)
    pool = ThreadPoolExecutor(deployer.parallel, "lts-deploy")
    try:
        futures = {pool.submit(_deploy, deployer, trial, directory, end, running): trial for trial in members}
        for future in as_completed(futures):
            result = future.result()
            if result is None:
                continue
            trial = futures[future]
            n_wrong += result.error is not None
            if result.error is None and not result.checked and deployer.unchecked is None:
                unchecked.append(trial.id)
            # What the search was told stands, such as the instructions on an emulated device.
            values = {name: value for name, value in _together(trial, result).items() if name not in study.columns}
            study.annotate(trial.id, values, {name: result.provenance[name] for name in values}, result.outcome)
            say(f"[{running.n_done}/{len(members)}] trial {trial.id}: {_outcome(result, trial, deployer)}")
    except BaseException:
        deployer.close()
        study.evaluator.stop()  # its device may be where a model runs
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    if unchecked:
        say(
            f"the time was not enough to run {len(unchecked)} of {plural(len(members), 'compiled member')}: trial "
            f"{listed(sorted(unchecked))}; the same command, with more --timeout, checks them"
        )
    if running.n_done < len(members):
        say(
            f"the time was not enough for {len(members) - running.n_done} of {len(members)} members of the front; the "
            "same command, with more --timeout, continues, or: lts-engine export --format tvm"
        )
    return n_wrong


class _Running:
    """What the threads do at the moment, and how long compiling takes them."""

    def __init__(self, members: Sequence[Trial], parallel: int, observe: Observer) -> None:
        self._observe = observe
        self._parallel = parallel
        self._lock = threading.Lock()
        self._waiting = self._total = len(members)
        self._compiling = 0.0  # longest time of a member so far
        self._now: dict[int, str] = {}
        self.n_done = 0

    def begin(self, trial: Trial) -> Observer:
        """What observes the deployment of a member."""
        begun = time.monotonic()

        def observed(work: Work) -> None:
            with self._lock:
                if work.what == "checking":
                    self._compiling = max(self._compiling, time.monotonic() - begun)
                self._now[trial.id] = f"trial {trial.id} {work.what} {work.now}".rstrip()
                self._tell()

        with self._lock:
            self._waiting -= 1
        return observed

    def end(self, trial: Trial, done: bool) -> None:
        """Take notice that a member is done, or was left out."""
        with self._lock:
            self._now.pop(trial.id, None)
            self.n_done += done
            self._tell()

    def reserve(self) -> float:
        """Seconds that compiling the members takes which have not begun."""
        with self._lock:
            return self._compiling * math.ceil(self._waiting / self._parallel)

    def _tell(self) -> None:
        now = ", ".join(self._now[key] for key in sorted(self._now))
        self._observe(Work("compiling the front", self.n_done, self._total, now))


def _is_deployed(trial: Trial, deployer: Deployer, directory: Path) -> bool:
    """Whether an earlier run has done it, or what is there is not to be replaced."""
    member = directory / "models" / str(trial.id)
    if has_own_weights(member):
        return True
    folder = member / deployer.target.name
    done = trial.deployed == CORRECT or (trial.deployed == COMPILED and deployer.unchecked is not None)
    places = (
        [folder]
        if deployer.generates(trial.architecture)
        else [folder / phase for phase in phases_of(trial.architecture, deployer.workload.n_prompt)]
    )
    return done and all((place / MANIFEST).is_file() for place in places)


def _deploy(deployer: Deployer, trial: Trial, directory: Path, end: float, running: _Running) -> Deployment | None:
    """Nothing when there is no time for it, or too little."""
    observed = running.begin(trial)
    result = None
    try:
        if (left := end - time.monotonic()) > 0:
            folder = directory / "models" / str(trial.id)
            result = deployer.deploy(
                trial.architecture,
                folder,
                keep_weights=False,
                origin=origin_of(trial, deployer.workload),
                timeout=left,
                known=_known(trial, deployer),
                reserve=running.reserve,
                observe=observed,
            )
            if result.error is not None and time.monotonic() >= end:
                _remove(folder, folder / deployer.target.name)  # not compiled to the end
                result = None
    finally:
        running.end(trial, result is not None)
    return result


def _remove(folder: Path, compiled: Path) -> None:
    """Remove what was compiled, also from the manifest of its folder."""
    gone = [path for path in compiled.rglob("*") if path.is_file()]
    shutil.rmtree(compiled, ignore_errors=True)
    with suppress(OSError):
        update_manifest(folder, {}, {}, gone)


def _known(trial: Trial, deployer: Deployer) -> set[str]:
    """The phases whose models the emulator has run already, and found right: where it counted their instructions."""
    if not deployer.emulated or OUTPUT_ERROR not in trial.values:
        return set()
    return {phase for phase, name in INSTRUCTIONS.items() if trial.provenance.get(name) == "emulated"}


def _together(trial: Trial, result: Deployment) -> dict[str, float]:
    """What running the models gave; of the output errors of the search and of now the larger one."""
    values = dict(result.values)
    if OUTPUT_ERROR in values and trial.provenance.get(OUTPUT_ERROR) == result.provenance[OUTPUT_ERROR]:
        values[OUTPUT_ERROR] = max(values[OUTPUT_ERROR], trial.values[OUTPUT_ERROR])
    return values


def _outcome(result: Deployment, trial: Trial, deployer: Deployer) -> str:
    if result.error is not None:
        return result.error
    place = f"{result.folder / deployer.target.name}"
    if result.files and result.files[0].name == "prefill" and len(result.files) == 1:
        place += " (no decode step: the positions end with the prompt)"
    if not result.checked:
        return place if deployer.unchecked is not None else f"{place}, not run yet"
    values = {**trial.values, **_together(trial, result)}
    counted = values.get(INSTRUCTIONS["prefill"])
    counts = "" if counted is None else f", {number(counted)} instructions"
    return f"{place}, correct {deployer.where} (output error {values[OUTPUT_ERROR]:.1g}{counts})"
