"""Models measured by turns: in which order, how often, what counts, and what is left when it is cut off."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from board import SMALL, Board

from lts.errors import MeasurementError, UsageError
from lts.measure import bench as module
from lts.measure.bench import Bench, bench
from lts.measure.models.architecture import ArchitectureModel
from lts.measure.models.model import Model
from lts.measure.outcome import Outcome
from lts.system.temperature import celsius

CRASHED = Outcome(error="it crashed")
DISTURBED = Outcome(values={"latency_ms": 99.0}, disturbed=True, warnings=["prefill: the memory ran out"])


class Scripted(Model):
    """Says what it is told to, one process after the other, and notes that it was asked."""

    kind = "scripted"
    costs = ("latency_ms", "size_bytes")

    def __init__(self, name: str, outcomes: Iterable[Any], order: list[str], varies: bool = True) -> None:
        super().__init__(name)
        self.varies = varies
        self._order = order
        self._outcomes: Iterator[Any] = iter(outcomes)

    def measure(self, costs: Sequence[str], timeout: float | None = None) -> Outcome:
        self._order.append(self.name)
        said = next(self._outcomes)
        if isinstance(said, BaseException):
            raise said
        if isinstance(said, Outcome):
            return said
        values = {"latency_ms": said, "size_bytes": 7.0}
        origins: Any = {"latency_ms": "measured", "size_bytes": "exact"}
        return Outcome(values=values, provenance=origins, samples_ns={"latency": [int(said)] * 2})

    def describe(self) -> dict[str, Any]:
        return {"target": "host", "device": "made up", "backend": "none"}

    def environment(self) -> dict[str, Any]:
        return {"threads": 1}


def models(**outcomes: Iterable[Any]) -> tuple[list[Model], list[str]]:
    order: list[str] = []
    return [Scripted(name, each, order) for name, each in outcomes.items()], order


def test_models_take_turns_in_mirrored_order() -> None:
    named, order = models(a=itertools.count(1), b=itertools.count(11), c=itertools.count(21))
    found = bench(named, ["latency_ms"], processes=3)
    assert "".join(order) == "abccbaabc"
    assert [result.rounds["latency_ms"] for result in found] == [[1, 2, 3], [11, 12, 13], [21, 22, 23]]
    assert [result.values["latency_ms"] for result in found] == [2, 12, 22]
    assert found[0].samples_ns == {"latency": [1, 1, 2, 2, 3, 3]}
    assert found[0].n_samples == {"latency": [2, 2, 2]}


def test_what_says_the_same_every_time_is_run_once() -> None:
    order: list[str] = []
    bench([Scripted("a", [1.0], order, varies=False)], ["size_bytes"])
    bench([Scripted("b", [1.0], order)], ["size_bytes"])
    assert order == ["a", "b"]


def test_a_disturbed_process_is_measured_again_and_not_for_ever() -> None:
    told: list[bool] = []
    named, order = models(a=[1.0, DISTURBED, 2.0, DISTURBED, 3.0])
    (found,) = bench(named, ["latency_ms"], processes=3, told=lambda _, __, counts: told.append(counts))
    assert found.rounds["latency_ms"] == [1.0, 2.0, 3.0]
    assert not found.disturbed
    assert told == [True, False, True, False, True]
    named, order = models(a=itertools.chain([1.0], itertools.repeat(DISTURBED)), b=itertools.repeat(5.0))
    found, other = bench(named, ["latency_ms"], processes=2)
    assert order.count("a") == 1 + 3
    assert found.error == "3 processes were disturbed: prefill: the memory ran out"
    assert other.rounds["latency_ms"] == [5.0, 5.0]


def test_a_process_that_fails_is_run_once_more() -> None:
    named, _ = models(a=[1.0, CRASHED, 2.0, CRASHED, 3.0])
    (found,) = bench(named, ["latency_ms"], processes=3)
    assert (found.error, found.rounds["latency_ms"]) == (None, [1.0, 2.0, 3.0])
    # A model that fails does not keep the others from being measured.
    named, order = models(a=[1.0, CRASHED, CRASHED], b=itertools.repeat(5.0))
    found, other = bench(named, ["latency_ms"], processes=4)
    assert (found.error, found.state, found.rounds["latency_ms"]) == ("it crashed", "failed", [1.0])
    assert other.rounds["latency_ms"] == [5.0] * 4
    assert order.count("a") == 3


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "fast", None])
def test_a_value_that_is_no_number_does_not_count(value: Any) -> None:
    wrong = Outcome(values={"latency_ms": value}, provenance={"latency_ms": "measured"})
    named, _ = models(a=[wrong, wrong])
    (found,) = bench(named, ["latency_ms"])
    assert found.error is not None
    assert "it must be finite" in found.error
    assert found.rounds == {}


def test_what_was_measured_before_an_interrupt_is_kept() -> None:
    named, _ = models(a=[1.0, 2.0, 3.0], b=[11.0, KeyboardInterrupt()], c=[CRASHED, 21.0, 22.0])
    turns = Bench(named, ["latency_ms"], processes=3)
    assert turns.results == []
    with pytest.raises(KeyboardInterrupt):
        turns.run()
    a, b, c = turns.results
    assert (a.rounds["latency_ms"], b.rounds["latency_ms"], c.rounds["latency_ms"]) == ([1.0], [11.0], [21.0])
    assert a.warnings == ["it was interrupted after 1 of 3 processes"]
    assert {each.error for each in (a, b, c)} == {None}
    assert turns.finished == []
    turns = Bench([*models(a=[1.0, KeyboardInterrupt()])[0], *models(b=[1.0, 2.0])[0]], ["size_bytes"], processes=9)
    turns.run()
    assert turns.finished == turns.results


def test_a_device_that_is_gone_leaves_what_was_measured() -> None:
    named, _ = models(a=[1.0, MeasurementError("the device is gone")], b=[11.0, 12.0])
    turns = Bench(named, ["latency_ms"], processes=2)
    with pytest.raises(MeasurementError, match="the device is gone"):
        turns.run()
    assert [each.model for each in turns.results] == ["a", "b"]
    assert [each.model for each in turns.finished] == ["b"]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"processes": 0}, "0 processes; expected 1 to 100"),
        ({"processes": 101}, "101 processes; expected 1 to 100"),
        ({"cooldown": -1.0}, "the rest before a process is -1.0 s; it must be at least 0"),
        ({"cooldown": float("nan")}, "the rest before a process is nan s; it must be at least 0"),
        ({"max_celsius": 0.0}, "the highest temperature is 0 °C; expected one above 0 and at most 150"),
        ({"max_celsius": float("nan")}, "the highest temperature is nan °C; expected one above 0 and at most 150"),
        ({"max_celsius": 151.0}, "the highest temperature is 151 °C; expected one above 0 and at most 150"),
        ({"costs": ["speed"]}, "unknown metric 'speed' of small, architecture; expected one of latency_ms"),
    ],
)
def test_arguments_that_are_refused(options: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError) as caught:
        bench([ArchitectureModel("small", SMALL, Board())], **options)
    assert told in str(caught.value)
    with pytest.raises(UsageError, match="no model is named"):
        bench([])


def test_resting_and_cooling_down(monkeypatch: pytest.MonkeyPatch) -> None:
    degrees = iter([80.0, 80.0, 70.0, 61.0, 60.0, 59.0])  # the first time it is asked whether there is a sensor
    slept: list[float] = []
    monkeypatch.setattr(module, "celsius", lambda: next(degrees))
    monkeypatch.setattr(module.time, "sleep", slept.append)
    named, order = models(a=[1.0, 2.0])
    bench(named, ["latency_ms"], processes=2, cooldown=5.0, max_celsius=60.0)
    assert slept == [5.0, 1.0, 1.0, 1.0, 5.0]
    assert order == ["a", "a"]


def test_a_machine_that_stays_hot_or_has_no_sensor(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.count(0.0, 100.0)
    monkeypatch.setattr(module.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(module.time, "sleep", lambda _: None)
    monkeypatch.setattr(module, "celsius", lambda: 80.0)
    named, order = models(a=[1.0])
    with pytest.raises(MeasurementError, match="the machine is at 80 °C and does not come down to 60 °C within 600 s"):
        bench(named, ["latency_ms"], max_celsius=60.0)
    assert order == []
    monkeypatch.setattr(module, "celsius", lambda: None)
    with pytest.raises(UsageError, match="the temperature of this machine cannot be read; leave the highest one out"):
        bench(named, ["latency_ms"], max_celsius=60.0)


def sensor(root: Path, folder: str, files: dict[str, str | bytes]) -> None:
    place = root / "sys/class" / folder
    place.mkdir(parents=True)
    for name, content in files.items():
        (place / name).write_bytes(content if isinstance(content, bytes) else content.encode())


def test_the_temperature_is_that_of_the_hottest_part_of_the_processor(tmp_path: Path) -> None:
    assert celsius(tmp_path) is None
    sensor(tmp_path, "thermal/thermal_zone0", {"type": "acpitz\n", "temp": "99000\n"})
    sensor(tmp_path, "hwmon/hwmon0", {"name": "nvme\n", "temp1_input": "98000\n"})
    assert celsius(tmp_path) is None
    sensor(tmp_path, "thermal/thermal_zone1", {"type": "x86_pkg_temp\n", "temp": "47500\n"})
    assert celsius(tmp_path) == 47.5
    sensor(tmp_path, "hwmon/hwmon1", {"name": "k10temp\n", "temp1_input": "51000\n", "temp2_input": "52250\n"})
    assert celsius(tmp_path) == 52.25


@pytest.mark.parametrize("content", ["", "hot", "-274000", "999999999", "1e3", b"\xff\xfe", "9" * 400, "4.5"])
def test_a_sensor_that_says_nonsense_is_none(tmp_path: Path, content: str | bytes) -> None:
    sensor(tmp_path, "thermal/thermal_zone0", {"type": "cpu-thermal\n", "temp": content})
    assert celsius(tmp_path) is None
