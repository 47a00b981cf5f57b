"""Workers that evaluate for a study, and what happens when they die, differ or say something wrong."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import worker_functions as functions
from dask_cluster import Cluster, cluster

import lts
from lts.errors import MeasurementError, UsageError
from lts.measure.distributed import DistributedEvaluator, on_workers
from lts.measure.workers import elsewhere
from lts.spaces.space import load_space

pytestmark = pytest.mark.alone
SPACE = load_space("gpt2-tiny")


def study(evaluator: DistributedEvaluator, store: Path | None = None) -> lts.Study:
    objectives = ["decoder_params:max", "layers:min"]
    return lts.Study(SPACE, evaluator, objectives=objectives, surrogate="none", store=store)


def architecture(n_layer: int = 3) -> lts.Architecture:
    return next(each for each in SPACE.sample(1000) if each.n_layer == n_layer)


@pytest.fixture(scope="module")
def dask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    pytest.importorskip("distributed", reason="Dask's distributed is not installed")
    with cluster(tmp_path_factory.mktemp("dask"), 2) as running:
        yield running


class TestProcesses:
    def test_all_are_used_and_end_with_the_evaluator(self) -> None:
        with on_workers(partial(functions.function, functions.slowly), "processes:2") as evaluator:
            ran = study(evaluator)
            ran.run(trials=12)
            pids = {int(trial.values["process"]) for trial in ran.trials}
        assert len(pids) == 2
        assert os.getpid() not in pids
        assert all(trial.state == "complete" for trial in ran.trials)
        wait_for(lambda: not any(alive(pid) for pid in pids))

    def test_a_worker_that_is_killed_loses_nothing(self) -> None:
        with on_workers(partial(functions.function, functions.slowly), "processes:2") as evaluator:
            ran = study(evaluator)
            killed: list[int] = []

            def kill(progress: lts.Progress) -> None:
                if progress.n_finished % 5 == 1:
                    killed.append(int(progress.trial.values["process"]))
                    os.kill(killed[-1], signal.SIGKILL)

            ran.run(trials=20, progress=kill)
        assert len(killed) == 4
        assert len(ran.trials) == 20
        assert all(trial.state == "complete" for trial in ran.trials)

    def test_an_architecture_that_kills_its_workers_fails(self) -> None:
        with on_workers(partial(functions.function, functions.dying), "processes:1") as evaluator:
            outcome = evaluator.evaluate(architecture(2), ["layers"])
            assert outcome.error is not None
            assert outcome.error.startswith("a worker was lost: ")
            assert evaluator.evaluate(architecture(), ["layers"]).values["layers"] == 3

    def test_they_die_with_us(self, tmp_path: Path) -> None:
        program = tmp_path / "program.py"
        program.write_text(
            "import os, signal, sys\n"
            "from functools import partial\n"
            "import worker_functions as functions\n"
            "from lts.measure.distributed import on_workers\n"
            "from lts.spaces.space import load_space\n"
            "if __name__ == '__main__':\n"
            "    evaluator = on_workers(partial(functions.function, functions.layers), 'processes:1')\n"
            "    outcome = evaluator.evaluate(load_space('gpt2-tiny').sample(1)[0], ['process'])\n"
            "    print(int(outcome.values['process']), flush=True)\n"
            "    os.kill(os.getpid(), signal.SIGKILL)\n"
        )
        paths = os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])
        ran = subprocess.run(
            [sys.executable, program], env={**os.environ, "PYTHONPATH": paths}, capture_output=True, text=True
        )
        assert ran.returncode == -signal.SIGKILL, ran.stderr
        wait_for(lambda: not alive(int(ran.stdout)))

    def test_what_takes_too_long_is_cut_off(self) -> None:
        with on_workers(partial(functions.function, functions.for_ever), "processes:1") as evaluator:
            ended = threading.Thread(target=lambda: (time.sleep(0.5), evaluator.stop()))
            ended.start()
            assert evaluator.evaluate(architecture(), ["layers"]).error == "the evaluator was stopped"
            ended.join()

    def test_it_measures(self) -> None:
        """With models of ONNX Runtime; the study goes on without workers."""
        with lts.open_evaluator(min_time=0.05, workers="processes:1") as evaluator:
            outcome = evaluator.evaluate(architecture(), ["latency_ms", "decoder_params"])
            told = evaluator.describe()
        assert outcome.error is None
        assert outcome.samples_ns["latency"]
        assert outcome.environment
        with lts.open_evaluator(min_time=0.05) as here:
            assert here.describe() == told


class TestDask:
    def test_all_are_used(self, dask: Cluster) -> None:
        with on_workers(partial(functions.function, functions.slowly), dask.address) as evaluator:
            assert evaluator.parallel == 2
            ran = study(evaluator)
            ran.run(trials=20)
        assert len({trial.values["process"] for trial in ran.trials}) == 2
        assert all(trial.state == "complete" for trial in ran.trials)

    @pytest.mark.slow
    def test_kills_lose_nothing(self, dask: Cluster, tmp_path: Path) -> None:
        with cluster(tmp_path, 2) as running:
            workers = running.processes[1:]
            with on_workers(partial(functions.function, functions.slowly), running.address) as evaluator:
                ran = study(evaluator, tmp_path / "study.db")
                n_killed = 0

                def kill(progress: lts.Progress) -> None:
                    nonlocal n_killed
                    if n_killed < 20 and progress.n_finished > 2 * n_killed:
                        n_killed += 1
                        workers.pop(0).kill()
                        workers.append(running.add_worker())

                ran.run(trials=44, progress=kill)
            assert n_killed == 20
            assert len(ran.trials) == 44
            assert [trial.error for trial in ran.trials if trial.state != "complete"] == []

    def test_nothing_listens_but_on_loopback(self, dask: Cluster) -> None:
        with on_workers(partial(functions.function, functions.layers), dask.address):
            ours = {os.getpid(), *(process.pid for process in dask.processes)}
            found = listening(ours)
        assert set(found) >= {process.pid for process in dask.processes}
        assert os.getpid() not in found
        assert {host for hosts in found.values() for host in hosts} == {"127.0.0.1"}

    def test_machines_that_differ(self, dask: Cluster) -> None:
        with pytest.raises(UsageError, match=r"the workers tcp://\S+ and tcp://\S+ differ: cpu processor \d+ and"):
            on_workers(functions.Machine, dask.address)

    def test_no_workers_and_no_scheduler(self, tmp_path: Path) -> None:
        with (
            cluster(tmp_path, 0) as running,
            pytest.raises(MeasurementError, match=r"has no workers; start some with: dask worker tcp://"),
        ):
            on_workers(partial(functions.function, functions.layers), running.address)


def test_slurm_through_submitit(tmp_path: Path) -> None:
    pytest.importorskip("submitit", reason="submitit is not installed")
    from lts.measure.workers.slurm import Slurm

    here = str(Path(__file__).parents[1])
    before = os.environ.get("PYTHONPATH", "")
    os.environ["PYTHONPATH"] = os.pathsep.join([here, *sys.path, before])
    try:
        crew = Slurm("", 2, tmp_path / "slurm", cluster="local")
        with on_workers(partial(functions.function, functions.layers), crew) as evaluator:
            ran = study(evaluator)
            ran.run(trials=3)
        assert [trial.state for trial in ran.trials] == ["complete"] * 3
        assert len({trial.values["process"] for trial in ran.trials}) == 3
    finally:
        os.environ["PYTHONPATH"] = before


class Lying(Executor):
    """Answers whatever it is told to."""

    def __init__(self, answer: Any) -> None:
        self.answer: Any = None
        self.later = answer

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **_: Any) -> Future[Any]:
        future: Future[Any] = Future()
        real = function(*arguments)
        if function is elsewhere.evaluate:
            future.set_result(self.later(real) if callable(self.later) else self.later)
        else:
            future.set_result(real)
        return future


def changed(**fields: Any) -> Callable[[str], str]:
    def change(answer: str) -> str:
        known = json.loads(answer)
        return json.dumps({**known, "outcome": {**known["outcome"], **fields}})

    return change


class TestExecutors:
    def test_any(self) -> None:
        with (
            ThreadPoolExecutor(2) as executor,
            on_workers(partial(functions.function, functions.layers), executor, parallel=2) as evaluator,
        ):
            assert evaluator.evaluate(architecture(), ["layers"]).values["layers"] == 3
            executor.submit(int)  # it stays open

    @pytest.mark.parametrize(
        "answer",
        [
            None,
            "",
            "[]",
            7,
            "{" * 100_000,
            json.dumps({"version": lts.__version__}),
            changed(values={"layers": "1"}),
            changed(values=[1]),
            changed(error=5),
            changed(interval={"layers": [1]}),
            changed(more=1),
        ],
    )
    def test_wrong_answers(self, answer: Any) -> None:
        with (
            on_workers(partial(functions.function, functions.layers), Lying(answer)) as evaluator,
            pytest.raises(MeasurementError, match="answer is wrong"),
        ):
            evaluator.evaluate(architecture(), ["layers"])

    def test_workers_with_another_version(self) -> None:
        class Other(Executor):
            def submit(self, function: Callable[..., Any], /, *arguments: Any, **_: Any) -> Future[Any]:
                future: Future[Any] = Future()
                future.set_result(json.dumps({**json.loads(function(*arguments)), "version": "0.0.1"}))
                return future

        with pytest.raises(UsageError, match=r"has lts-engine 0\.0\.1; this is .*: install the same there"):
            on_workers(partial(functions.function, functions.layers), Other())

    def test_another_machine_than_before(self) -> None:
        with (
            on_workers(functions.Machine, Lying(changed(environment="0" * 8))) as evaluator,
            pytest.raises(MeasurementError, match="is another machine than those that measured before"),
        ):
            evaluator.evaluate(architecture(), ["layers"])

    def test_a_worker_that_cannot_evaluate(self) -> None:
        with (
            ThreadPoolExecutor(1) as executor,
            on_workers(functions.Broken, executor) as evaluator,
            pytest.raises(MeasurementError, match="says: the device is gone"),
        ):
            evaluator.evaluate(architecture(), ["layers"])

    def test_what_cannot_be_sent(self) -> None:
        lock = threading.Lock()
        with ThreadPoolExecutor(1) as executor, pytest.raises(UsageError, match="cannot be sent to workers"):
            on_workers(lambda: functions.function(lambda _: {"layers": float(lock.locked())}), executor)


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("here", "unknown workers 'here'; expected one of tcp://HOST:PORT"),
        ("http://here:1", "unknown workers"),
        ("processes:0", "not of the form processes:N"),
        ("processes:", "not of the form processes:N"),
        ("tcp://here", "not of the form tcp://HOST:PORT"),
        ("slurm:a b", "not of the form slurm:"),
        ("ray://here", "not of the form ray://HOST:PORT"),
    ],
)
def test_wrong_uris(uri: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        on_workers(partial(functions.function, functions.layers), uri)


def test_estimates_need_no_workers() -> None:
    with pytest.raises(UsageError, match="leave --workers out"):
        lts.open_evaluator(device="none", workers="processes:2")


@pytest.mark.parametrize("device", ["ssh://board", ["local", "ssh://board"], "pool:local,ssh://board"])
def test_workers_do_not_share_a_device(device: str | list[str]) -> None:
    with pytest.raises(UsageError, match="workers would measure on ssh://board at the same time: leave --workers out"):
        lts.open_evaluator(device=device, workers="processes:2")


def alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def wait_for(condition: Callable[[], bool]) -> None:
    for _ in range(200):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("it did not come true")


def listening(processes: set[int]) -> dict[int, list[str]]:
    """The addresses on which processes listen, from the kernel's table of sockets."""
    sockets: dict[str, str] = {}
    for table, loopback in (("tcp", "0100007F"), ("tcp6", "00000000000000000000000001000000")):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A":
                host = fields[1].split(":")[0]
                sockets[fields[9]] = "127.0.0.1" if host == loopback else host
    found: dict[int, list[str]] = {}
    for process in processes:
        for each in Path(f"/proc/{process}/fd").iterdir():
            try:
                name = str(each.readlink())
            except OSError:
                continue
            if name.startswith("socket:[") and (host := sockets.get(name[8:-1])):
                found.setdefault(process, []).append(host)
    return found
