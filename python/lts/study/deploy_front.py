"""The last part of a search for a target that models are compiled for: the front as checked libraries."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from lts.jobs.job import MANIFEST
from lts.measure.deployment import Deployer, Deployment, phases_of
from lts.measure.trial import COMPILED, CORRECT, Trial
from lts.study.study import Study
from lts.system.text import number

# What is kept back for the end of the command, of the time that is left, in seconds.
_RESERVE = 3.0


def deploy_front(
    study: Study,
    deployer: Deployer,
    members: Sequence[Trial],
    directory: Path,
    end: float,
    say: Callable[[str], None] = lambda text: None,
) -> int:
    """Compile the members of a front, the first ones first, check them, and keep what that gives in the study.

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

    Returns
    -------
    int
        Number of members that could not be compiled, or are not right.
    """
    end -= _RESERVE
    if deployer.unchecked is not None:
        say(f"models are compiled and not run: {deployer.unchecked}")
    done = n_wrong = 0
    members = [trial for trial in members if not _is_deployed(trial, deployer, directory)]
    pool = ThreadPoolExecutor(deployer.parallel, "lts-deploy")
    try:
        futures = {pool.submit(_deploy, deployer, trial, directory, end): trial for trial in members}
        for future in as_completed(futures):
            result = future.result()
            if result is None:
                continue
            done += 1
            n_wrong += result.error is not None
            trial = futures[future]
            # What the search was told stands, such as the instructions on an emulated device.
            values = {name: value for name, value in result.values.items() if name not in study.columns}
            study.annotate(trial.id, values, {name: result.provenance[name] for name in values}, result.outcome)
            say(f"[{done}/{len(members)}] trial {trial.id}: {_outcome(result, deployer)}")
    except BaseException:
        deployer.close()
        study.evaluator.stop()  # its device may be where a model runs
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    if done < len(members):
        say(
            f"the time was not enough for {len(members) - done} of {len(members)} members of the front; the same "
            "command continues, or: lts-engine export --format tvm",
        )
    return n_wrong


def _is_deployed(trial: Trial, deployer: Deployer, directory: Path) -> bool:
    """Whether an earlier run has done it."""

    folder = directory / "models" / str(trial.id) / deployer.target.name
    done = trial.deployed == CORRECT or (trial.deployed == COMPILED and deployer.unchecked is not None)
    places = (
        [folder]
        if deployer.generates(trial.architecture)
        else [folder / phase for phase in phases_of(trial.architecture, deployer.workload.n_prompt)]
    )
    return done and all((place / MANIFEST).is_file() for place in places)


def _deploy(deployer: Deployer, trial: Trial, directory: Path, end: float) -> Deployment | None:
    """Nothing when there is no time for it, or too little."""
    left = end - time.monotonic()
    if left <= 0:
        return None
    folder = directory / "models" / str(trial.id)
    result = deployer.deploy(trial.architecture, folder, weights=False, timeout=left)
    if result.error is not None and time.monotonic() >= end:
        shutil.rmtree(folder / deployer.target.name, ignore_errors=True)  # not checked to the end
        return None
    return result


def _outcome(result: Deployment, deployer: Deployer) -> str:

    if result.error is not None:
        return result.error
    place = f"{result.folder / deployer.target.name}"
    if result.files and result.files[0].name == "prefill" and len(result.files) == 1:
        place += " (no decode step: the positions end with the prompt)"
    if not result.checked:
        return place
    counted = result.values.get("instructions")
    counts = "" if counted is None else f", {number(counted)} instructions"
    return f"{place}, correct {deployer.where} (output error {result.values['output_error']:.1g}{counts})"
