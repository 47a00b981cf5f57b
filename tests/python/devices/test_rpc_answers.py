"""What a tracker and its devices say, without either: each is checked, and a model for another processor refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lts.devices import rpc_worker
from lts.devices.rpc import RpcDevice
from lts.devices.rpc_worker import listed_keys, times_of
from lts.errors import MeasurementError, UsageError
from lts.jobs.job import JobResult
from lts.system.machine import same_architecture
from lts.targets.target import detect_target, load_target

NAN, INFINITY = float("nan"), float("inf")


class Remote:
    """A session whose device says that it is this."""

    def __init__(self, triple: Any) -> None:
        self.triple = triple

    def get_function(self, name: str) -> Any:
        if self.triple is None:
            raise AttributeError(name)
        return lambda: self.triple


@pytest.mark.parametrize("triple", [None, "", 5, "x86_64", "../x-y", "a" * 1000 + "-b", "x-\x1b", b"x-y"])
def test_a_device_that_does_not_say_what_it_is(triple: Any) -> None:
    assert rpc_worker._triple_of(Remote(triple)) == ""


@pytest.mark.parametrize(
    ("built_for", "there"),
    [
        ("aarch64-linux-gnu", "x86_64-pc-linux-gnu"),
        ("x86_64-linux-gnu", "aarch64-unknown-linux-gnu"),
        ("arm-linux-gnueabihf", "aarch64-linux-gnu"),
    ],
)
def test_a_model_for_another_processor_is_not_sent(built_for: str, there: str, tmp_path: Path) -> None:
    pytest.importorskip("tvm", reason="tvm is not installed")
    (tmp_path / "model.json").write_text(json.dumps({"triple": built_for, "library": "model.so"}))
    with pytest.raises(MeasurementError, match=f"the model is compiled for {built_for}; the device is a {there} proc"):
        rpc_worker._run(Remote(there), tmp_path, {}, {}, 1)


def device_that_is(triple: str, monkeypatch: pytest.MonkeyPatch) -> RpcDevice:
    opened = object.__new__(RpcDevice)
    opened.__dict__.update(_host="farm", _port=9190, _key="pi", _there=None)
    asked = JobResult(triple) if triple else JobResult(error="no result within 10 s")
    worker = type("Worker", (), {"run": lambda *_: asked, "__enter__": lambda w: w, "__exit__": lambda *_: None})
    monkeypatch.setattr(opened, "_local", worker)
    return opened


@pytest.mark.parametrize(
    ("target", "there"),
    [("arm64", "x86_64-pc-linux-gnu"), ("arm64", "armv7l-linux-gnueabihf"), ("arm64", "riscv64-x-y")],
)
def test_a_target_for_another_processor_is_refused(target: str, there: str, monkeypatch: pytest.MonkeyPatch) -> None:
    message = f"target '{target}' is for cpu aarch64-linux-gnu; 'pi' of the tracker at farm:9190 is a {there} processor"
    with pytest.raises(UsageError, match=message):
        device_that_is(there, monkeypatch).check(load_target(target))


def test_a_target_for_such_a_processor_is_not_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    device_that_is("arm64-apple-darwin21", monkeypatch).check(load_target("arm64"))
    device_that_is("", monkeypatch).check(load_target("arm64"))
    device_that_is(detect_target().triple, monkeypatch).check(detect_target())


def test_names_of_one_architecture() -> None:
    assert same_architecture("arm-linux-gnueabihf", "armv7l-unknown-linux-gnueabihf")
    assert same_architecture("i686-linux-gnu", "i386-pc-linux-gnu")
    assert not same_architecture("arm-linux-gnueabihf", "arm64-linux-gnu")


@pytest.mark.parametrize(
    "results",
    [
        *(None, 1.0, "12", [], [1.0], [1.0] * 3, {0: 1.0, 1: 1.0}),
        *([each, 1.0] for each in (NAN, INFINITY, -1.0, "1", True, 1e300, None, [1.0], 10**5000)),
    ],
)
def test_times_that_are_none(results: Any) -> None:
    with pytest.raises(MeasurementError, match="the device's answer is wrong: "):
        times_of(results, 2)
    assert times_of((0.5, 1e-12), 2) == [500_000_000, 1]


@pytest.mark.parametrize("summary", [None, [], "x", {}, {"server_info": None}, {"server_info": {}}, {"server_info": 3}])
def test_a_tracker_that_is_none(summary: Any) -> None:
    with pytest.raises(MeasurementError, match="the tracker's answer is wrong"):
        listed_keys(summary)


def test_keys_are_names() -> None:
    said = [{"key": key} for key in ("server:pi", "client:x", "server:../x", "server:\x1b[2J", 5, None, "server:pi")]
    assert listed_keys({"server_info": [*said, None, [], "server:pi", {}]}) == ["pi", "pi"]
    assert len(listed_keys({"server_info": [{"key": "server:pi"}] * 10**5})) == 256
