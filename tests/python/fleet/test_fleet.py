"""A fleet of functions: studies that learn from each other, a device that dies, one that comes later."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fleet_devices import SPACE, UNITS, cost, function

import lts
from lts.errors import InfeasibleError, MeasurementError, UsageError
from lts.fleet.device import FleetDevice
from lts.fleet.fleet import Fleet
from lts.fleet.stored import StoredFleet, read_stored_fleet
from lts.measure.trial import Trial

N = 14
LATER = FleetDevice("later", prefer={"decoder_params": 2, "latency_ms": 1})


def devices() -> list[FleetDevice]:
    return [FleetDevice(name, evaluator=function(name)) for name in UNITS]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fleet")


@pytest.fixture(scope="module")
def stored(folder: Path) -> Iterator[StoredFleet]:
    bounded = FleetDevice("phone", evaluator=function("phone"), constraints=["latency_ms<=60"])
    every = [bounded if each.name == "phone" else each for each in devices()]
    fleet = Fleet(SPACE, [*every, LATER], folder, seed=1)
    yield fleet.run(N)
    assert fleet.failures == []


def test_the_first_design_is_shared(stored: StoredFleet) -> None:
    designs = [[t.architecture for t in each.trials if t.origin == "design"] for each in stored.studies.values()]
    assert len(designs[0]) >= 4
    assert designs[0] == designs[1] == designs[2]
    assert {len(each.trials) for each in stored.studies.values()} == {N}


def test_measured_and_predicted_members_are_apart(stored: StoredFleet) -> None:
    for front in stored.fronts[:3]:
        assert front.measured is not None
        assert front.relative == []
        measured = {t.architecture.to_json() for t in front.trials}
        assert not measured & {m.architecture.to_json() for m in front.predicted}
        predicted = [m.architecture for m in front.predicted]
        true = cost(predicted, *UNITS[front.device.name])
        found = np.array([m.values["latency_ms"] for m in front.predicted])
        assert np.median(np.abs(found / true - 1)) < 0.05
        ends = np.array([m.interval["latency_ms"] for m in front.predicted])
        assert np.mean((ends[:, 0] <= true) & (true <= ends[:, 1])) > 0.5
        sizes = [m.values["decoder_params"] for m in front.predicted]
        assert sizes == sorted(sizes, reverse=True)


def test_bounds_of_one_device(stored: StoredFleet) -> None:
    front = stored.front("phone")
    assert all(m.values["latency_ms"] <= 60 for m in front.predicted)
    assert front.measured is not None
    assert all(t.values["latency_ms"] <= 60 for t in front.measured)
    assert max(m.values["latency_ms"] for m in stored.front("pi").predicted) > 60


def test_a_device_without_measurements_has_a_front(stored: StoredFleet) -> None:
    front = stored.front("later")
    assert front.measured is None
    assert front.relative == ["latency_ms"]
    assert len(front.predicted) > 5
    ratios = cost([m.architecture for m in front.predicted], *UNITS["phone"])
    predicted = np.array([m.values["latency_ms"] for m in front.predicted])
    assert np.corrcoef(np.log(ratios), np.log(predicted))[0, 1] > 0.99


def test_preferences(stored: StoredFleet) -> None:
    front = stored.front("pi")
    assert isinstance(front.prefer({"latency_ms": 1}), Trial)
    sizes = [front.prefer({"decoder_params": w, "latency_ms": 1}).values["decoder_params"] for w in (0.2, 1, 5)]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1]
    assert stored.front("later").prefer() in stored.front("later").predicted
    with pytest.raises(UsageError, match=r"'latency' is no objective; expected some of decoder_params, latency_ms"):
        front.prefer({"latency": 1})


def test_common_models(stored: StoredFleet) -> None:
    one, three = stored.common(1), stored.common(4)
    assert [each.device for each in one] == [*UNITS, "later"]
    assert len({each.architecture.to_json() for each in one}) == 1
    assert sum(each.loss for each in three) <= sum(each.loss for each in one)
    assert all(not (each.measured and each.predicted) for each in three)
    (phone,) = (each for each in one if each.device == "phone")
    assert {**phone.measured, **phone.predicted}["latency_ms"] <= 60
    with pytest.raises(UsageError, match="the number of common models is 0"):
        stored.common(0)


def test_a_device_that_is_added_measures_alone(folder: Path, stored: StoredFleet) -> None:
    asked: list[lts.Architecture] = []

    def none(a: lts.Architecture) -> dict[str, float]:
        raise AssertionError("everything is measured")

    def new(a: lts.Architecture) -> dict[str, float]:
        asked.append(a)
        return {"latency_ms": float(cost([a], 7.0, 4e-6)[0])}

    every = [FleetDevice(name, evaluator=function(name)) for name in ("pi", "laptop")]
    fleet = Fleet(SPACE, [*every, FleetDevice("later", evaluator=new, trials=5)], folder, seed=1)
    found = fleet.run(N)
    assert fleet.failures == []
    assert len(asked) == 5
    front = found.front("later")
    assert front.relative == []
    assert front.measured is not None
    others = [m.architecture for m in front.predicted]
    predicted = np.array([m.values["latency_ms"] for m in front.predicted])
    assert np.median(np.abs(predicted / cost(others, 7.0, 4e-6) - 1)) < 0.1


def test_a_device_that_dies_leaves_the_others_running(tmp_path: Path) -> None:
    dead = True

    class Dying(lts.measure.function.FunctionEvaluator):
        surrogate = "additive"

        def evaluate(self, architecture: lts.Architecture, *rest: object, **options: object) -> object:  # type: ignore[override]
            if dead and len(asked) >= 3:
                raise MeasurementError("the board does not answer")
            asked.append(architecture)
            return super().evaluate(architecture, *rest, **options)  # type: ignore[arg-type]

    asked: list[lts.Architecture] = []
    dying = FleetDevice("dying", evaluator=Dying(function("pi"), name="pi", provenance="measured"))
    every = [FleetDevice(name, evaluator=function(name)) for name in ("phone", "laptop")]
    fleet = Fleet(SPACE, [dying, *every], tmp_path, seed=1)
    found = fleet.run(10)
    assert [(each.device, each.reason) for each in fleet.failures] == [("dying", "the board does not answer")]
    assert [len(found.studies[name].trials) for name in ("phone", "laptop")] == [10, 10]
    before = {name: found.studies[name].trials for name in ("phone", "laptop")}
    dead = False
    found = fleet.run(10)
    assert fleet.failures == []
    assert {name: found.studies[name].trials for name in before} == before
    assert [t.state for t in found.studies["dying"].trials] == ["complete"] * 10
    assert len(asked) == 10  # nothing twice


def test_wrong_fleets(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="two devices are called 'A'"):
        Fleet(SPACE, [FleetDevice("a"), FleetDevice("A")], tmp_path)
    with pytest.raises(UsageError, match="the fleet has no devices"):
        Fleet(SPACE, [], tmp_path)
    with pytest.raises(UsageError, match="'x' is no objective"):
        Fleet(SPACE, [FleetDevice("a", prefer={"x": 1})], tmp_path)
    with pytest.raises(UsageError, match="device 'a': unknown target"):
        Fleet(SPACE, [FleetDevice("a", "no-such", "local")], tmp_path / "b").run(3)
    with pytest.raises(InfeasibleError, match="no front yet"):
        Fleet(SPACE, [FleetDevice("a")], tmp_path / "c").run(3).common(1)


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no folder of a fleet"):
        read_stored_fleet(tmp_path)
    (tmp_path / "fleet.json").write_text('{"schema": 9}', encoding="utf-8")
    with pytest.raises(UsageError, match=r"fleet\.json is damaged \(its schema is 9; expected 1\)"):
        read_stored_fleet(tmp_path)
