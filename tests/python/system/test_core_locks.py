"""Cores that processes hold for measuring: never two of them one core while another is free."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from lts.errors import MeasurementWarning
from lts.system import machine
from lts.system.core_locks import GROUP, CoreClaim, Holder
from lts.system.machine import Processor

# Takes processors as soon as a line says how many, and of which; a line more ends it.
_PROGRAM = """
import json, sys, warnings
from lts.system.core_locks import CoreClaim
from lts.system.machine import Processor
claim = CoreClaim()
for line in sys.stdin:
    n, known = json.loads(line)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        taken = claim.take(n, {cpu: Processor(tuple(core)) for cpu, core in known})
    print(json.dumps([taken, [str(each.message) for each in said]]), flush=True)
"""


@pytest.fixture(autouse=True)
def group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names that nobody else on this machine has."""
    monkeypatch.setenv(GROUP, f"test-{os.getpid()}-{tmp_path.name}"[:60])


class Other:
    """Another process that takes processors."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, n: int, known: dict[int, Processor]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps([n, [[cpu, each.core] for cpu, each in known.items()]]) + "\n")
        self.process.stdin.flush()

    def answer(self) -> tuple[list[int], list[str]]:
        assert self.process.stdout is not None
        taken, said = json.loads(self.process.stdout.readline())
        return taken, said

    def take(self, n: int, known: dict[int, Processor]) -> tuple[list[int], list[str]]:
        self.ask(n, known)
        return self.answer()


@contextmanager
def other() -> Iterator[Other]:
    found = Other()
    try:
        yield found
    finally:
        found.process.kill()
        found.process.communicate()


def cores(n: int, threads: int = 1, speed: Callable[[int], int] = lambda core: 0) -> dict[int, Processor]:
    """A machine: logical processor c + n * t is thread t of core c."""
    return {c + n * t: Processor(("0", str(c)), speed(c)) for t in range(threads) for c in range(n)}


def quiet(claim: CoreClaim, n: int, known: dict[int, Processor]) -> list[int]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return claim.take(n, known)


def test_two_processes_that_start_together_differ_in_20_of_20() -> None:
    known = cores(2)
    for _ in range(20):
        with other() as one, other() as two:
            one.ask(1, known)
            two.ask(1, known)
            taken = [each.answer() for each in (one, two)]
        assert sorted(cpu for cpus, _ in taken for cpu in cpus) == [0, 1]
        assert [said for _, said in taken] == [[], []]


def test_a_third_one_says_who_has_the_cores() -> None:
    known = cores(2)
    with other() as one, other() as two:
        assert one.take(1, known) == ([1], [])
        assert two.take(1, known) == ([0], [])
        with pytest.warns(MeasurementWarning) as said:
            assert CoreClaim().take(2, known) == [0, 1]
    first, second = sorted([one.process.pid, two.process.pid])
    assert [str(each.message) for each in said] == [
        f"processes {first}, {second} measure on processors 0, 1, and no other is free: they take turns there, so "
        "times vary more and are longer than those of one alone"
    ]


def test_a_killed_process_has_no_cores() -> None:
    known = cores(1)
    with other() as one:
        assert one.take(1, known) == ([0], [])
        with pytest.warns(
            MeasurementWarning, match=rf"^process {one.process.pid} measures on processor 0, and no other"
        ):
            CoreClaim().take(1, known)
        one.process.kill()
        one.process.wait()
        assert quiet(CoreClaim(), 1, known) == [0]


def test_who_has_the_cores_may_be_asked_often() -> None:
    known = cores(1)
    with other() as one:
        assert one.take(1, known) == ([0], [])
        for _ in range(300):
            with pytest.warns(MeasurementWarning, match=f"process {one.process.pid} "):
                CoreClaim().take(1, known)


def test_as_many_cores_as_threads() -> None:
    known = cores(4)
    with other() as one:
        assert one.take(3, known) == ([1, 2, 3], [])
        claim = CoreClaim()
        assert quiet(claim, 1, known) == [0]
        with pytest.warns(MeasurementWarning, match=rf"^process {one.process.pid} measures on processor 3, and no"):
            assert claim.take(2, known) == [0, 3]


def test_another_thread_of_a_held_core_is_not_free() -> None:
    known = cores(2, threads=2)
    beside, free = CoreClaim(), CoreClaim(Holder())
    with other() as one, other() as two:
        assert one.take(1, known) == ([3], [])
        assert two.take(1, known) == ([2], [])
        with pytest.warns(
            MeasurementWarning, match=rf"^process {one.process.pid} measures on the same core as processor 1"
        ):
            assert beside.take(1, known) == [1]
        two.process.kill()
        two.process.wait()
        # Core 1 is that of `one` and of `beside`; core 0 is free.
        assert quiet(free, 1, known) == [2]
        one.process.kill()
        one.process.wait()
        free.release()
        # `beside` still has a processor of core 1, which nobody holds as a whole any more.
        assert quiet(CoreClaim(Holder()), 1, known) == [2]


def test_two_threads_on_one_core_are_said() -> None:
    known = cores(2, threads=2)
    with other() as one:
        assert one.take(1, known) == ([3], [])
        with pytest.warns(
            MeasurementWarning, match=rf"^process {one.process.pid} measures on the other cores: several"
        ):
            assert CoreClaim().take(2, known) == [0, 2]


def test_slower_cores_are_said() -> None:
    known = cores(3, speed=lambda core: 1024 if core == 2 else 400)
    fast, claim = CoreClaim(Holder()), CoreClaim()
    assert quiet(fast, 1, known) == [2]
    with pytest.warns(
        MeasurementWarning, match=r"^another device of this process measures on processor 2: only slower"
    ):
        assert claim.take(1, known) == [1]


def test_cores_that_boost_a_little_higher_are_as_good() -> None:
    known = cores(2, speed=lambda core: 5100 if core == 0 else 5000)
    claims = [CoreClaim(Holder()) for _ in range(2)]
    assert [quiet(claim, 1, known) for claim in claims] == [[0], [1]]


def test_devices_of_a_process_use_the_same_cores_in_turn() -> None:
    known = cores(3)
    one, two = CoreClaim(), CoreClaim()
    assert quiet(one, 1, known) == quiet(two, 1, known) == [2]
    one.release()
    with other() as elsewhere:
        assert elsewhere.take(1, known) == ([1], [])
        two.release()
        two.release()
    with other() as elsewhere:
        assert elsewhere.take(1, known) == ([2], [])


def test_devices_that_measure_at_a_time_use_others() -> None:
    known = cores(2)
    claims = [CoreClaim(Holder()) for _ in range(2)]
    assert [quiet(claim, 1, known) for claim in claims] == [[1], [0]]
    with pytest.warns(MeasurementWarning, match="^another device of this process measures on processor 1, and no"):
        CoreClaim(Holder()).take(1, known)


def test_a_claim_that_nobody_has_any_more_is_released() -> None:
    known = cores(1)
    claim = CoreClaim(Holder())
    quiet(claim, 1, known)
    del claim
    assert quiet(CoreClaim(Holder()), 1, known) == [0]


def test_a_forked_child_holds_nothing() -> None:
    known = cores(1)
    claim = CoreClaim()
    quiet(claim, 1, known)
    with ExitStack() as stack:
        goes_on, go = os.pipe()
        stack.callback(os.close, goes_on)
        child = os.fork()
        if child == 0:
            os.close(go)
            os.read(goes_on, 1)
            os._exit(0)
        stack.callback(os.waitpid, child, 0)
        stack.callback(os.close, go)
        claim.release()
        with other() as one:
            assert one.take(1, known) == ([0], [])


def test_names_that_cannot_be_had_hinder_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(GROUP, "too long " * 20)
    assert quiet(CoreClaim(Holder()), 1, cores(2)) == [1]
    assert quiet(CoreClaim(Holder()), 1, cores(2)) == [1]


def test_of_the_allowed_processors_alone() -> None:
    known = machine.processors(machine.allowed_cpus()[:1])
    assert quiet(CoreClaim(), 1, known) == list(known)
