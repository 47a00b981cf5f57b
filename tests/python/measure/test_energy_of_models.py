"""Energy from a worker to a front: costs, what follows from them, and what is said where there is none."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fake_sensors import package, put, taking

from lts import Architecture
from lts.backends.onnxruntime import OnnxRuntime
from lts.devices.local import LocalDevice
from lts.errors import UsageError
from lts.jobs.job import Job, JobResult
from lts.measure.answer import WrongAnswerError, checked
from lts.measure.candidate import measure
from lts.measure.costs import ENERGY_OF, check_costs, costs_of, default_costs
from lts.measure.evaluator import Evaluator
from lts.measure.outcome import Outcome
from lts.measure.request import derived_from, needed_for, together, with_request
from lts.measure.result import Result, differences
from lts.spaces.space import load_space
from lts.study.calibrate import calibrate_target
from lts.system.energy import ROOT_VARIABLE
from lts.system.environment import environment_hash, fingerprint
from lts.targets.target import detect_target
from lts.targets.workload import Workload

pytestmark = pytest.mark.alone  # a thread of this process is the clock of the counter

COMMAND = str(Path(sys.executable).with_name("lts-engine"))
TARGET = detect_target()
PREFILL, DECODE = "prefill_energy_mj", "decode_energy_mj_per_token"
WATTS = 50
NAN, INFINITY = float("nan"), float("inf")


@pytest.fixture
def counter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """This machine with a package that takes 50 W."""
    root = tmp_path / "root"
    monkeypatch.setenv(ROOT_VARIABLE, str(root))
    file = package(root)
    with taking(file, WATTS):
        yield file


@pytest.fixture
def nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine without any sensor."""
    monkeypatch.setenv(ROOT_VARIABLE, str(tmp_path / "empty"))


def architecture(seed: int = 0) -> Architecture:
    return load_space("gpt2-tiny").sample(1, seed)[0]


# What a request takes


def step(mj: float, cost: str, error: float = 0.1) -> Outcome:
    interval = {cost: (mj * (1 - error), mj * (1 + error))}
    return Outcome(values={cost: mj}, provenance={cost: "measured"}, interval=interval)


def test_the_energy_of_a_request_is_that_of_its_steps() -> None:
    found = with_request(step(100.0, PREFILL) | step(7.0, DECODE, 0.2), Workload(64, n_gen=11, batch=4))
    assert found.values["energy_mj"] == 100 + 10 * 7
    assert found.provenance["energy_mj"] == "measured"
    assert found.interval["energy_mj"] == pytest.approx((90 + 10 * 5.6, 110 + 10 * 8.4))


@pytest.mark.parametrize("n_gen", [0, 1])
def test_without_decode_steps_it_is_that_of_the_prompt(n_gen: int) -> None:
    workload = Workload(64, n_gen=n_gen)
    found = with_request(step(100.0, PREFILL), workload)
    assert found.values["energy_mj"] == 100.0
    assert found.interval["energy_mj"] == pytest.approx((90, 110))
    assert needed_for(["energy_mj"], workload) == [PREFILL]


def test_nothing_follows_from_a_part() -> None:
    workload = Workload(64, n_gen=3)
    assert with_request(step(100.0, PREFILL), workload).values.keys() == {PREFILL}
    assert with_request(step(100.0, DECODE), Workload(64, n_gen=0)).values.keys() == {DECODE}
    assert needed_for(["energy_mj", "request_ms"], workload) == [PREFILL, DECODE, "latency_ms", "decode_ms_per_token"]
    assert derived_from([PREFILL, DECODE]) == ("energy_mj",)


def test_a_decode_step_at_both_ends_is_their_mean() -> None:
    found = together([step(2.0, DECODE), step(4.0, DECODE)])
    assert found.values == {DECODE: 3.0}
    assert found.interval[DECODE] == pytest.approx((2.7, 3.3))
    for halves in ([step(2.0, DECODE), Outcome()], [Outcome(), step(4.0, DECODE)]):
        half = together(halves)
        assert (half.values, half.provenance, half.interval) == ({}, {}, {}), "the energy of one end is not the mean"


# What a device says


def said(**changes: Any) -> dict[str, Any]:
    value = {
        "samples_ns": [2_000_000] * 10,
        "peak_memory_mib": 1.0,
        "energy_mj": 60.0,
        "energy_error": 0.01,
        "meter": "rapl package-0",
    }
    return {key: change for key, change in {**value, **changes}.items() if change != "absent"}


def test_a_right_answer() -> None:
    answer = checked(json.loads(json.dumps(said())), [PREFILL])
    assert (answer["energy_mj"], answer["energy_error"], answer["meter"]) == (60.0, 0.01, "rapl package-0")
    assert "energy_mj" not in checked(said(energy_mj="absent"), [PREFILL]), "a warning says why"
    assert "energy_mj" not in checked(said(), ["latency_ms"]), "nobody has asked"
    assert checked(said(meter="\x1b[2Jx\n" + "y" * 999), [DECODE])["meter"].isprintable()
    assert checked({"energy_mj": 5, "meter": "x"}, [DECODE]) == {
        **checked({}),
        "energy_mj": 5.0,
        "meter": "x",
    }


@pytest.mark.parametrize(
    "changes",
    [
        *({"energy_mj": value} for value in (0, 0.0, -1, True, "60", NAN, INFINITY, 10**5000, [60], {})),
        *({"energy_error": value} for value in (-0.1, 1.5, True, "0.1", NAN, [0.1])),
        *({"meter": value} for value in ("absent", None, 3, "", "\x00", ["rapl"])),
        {"energy_mj": 20_001.0},  # 10 kW for 2 ms
        {"energy_mj": 20_001.0, "wall_ns": [1_900_000] * 9 + [2_000_000]},
    ],
)
def test_a_wrong_answer(changes: dict[str, Any]) -> None:
    with pytest.raises(WrongAnswerError) as raised:
        checked(said(**changes), [PREFILL], seconds=10.0)
    assert str(raised.value).isprintable()
    assert len(str(raised.value)) < 300


def test_as_much_as_the_largest_machine() -> None:
    assert checked(said(energy_mj=19_999.0), [PREFILL])["energy_mj"] == 19_999.0
    with pytest.raises(WrongAnswerError, match="which no machine takes"):
        checked(said(energy_mj=50_001.0, samples_ns=[]), [PREFILL], seconds=5e-3)


class Metered(LocalDevice):
    """A device with a meter that answers every job with the next value."""

    costs = (*LocalDevice.costs, PREFILL, DECODE)

    def __init__(self, *values: dict[str, Any]) -> None:
        super().__init__()
        self.values = list(values)
        self.jobs: list[Job] = []

    def run(self, job: Any, timeout: float) -> JobResult:
        self.jobs.append(job)
        return JobResult({**said(), "warnings": [], **self.values.pop(0)})


def faked(device: LocalDevice, costs: list[str], n_gen: int = 2) -> Outcome:
    workload = Workload(16, n_gen=n_gen)
    return measure(architecture(), TARGET, device, OnnxRuntime(), costs=costs, workload=workload, min_time=0.02)


def test_only_who_asks_gets_it(nothing: None) -> None:
    with Metered({}, {}) as device:
        found = faked(device, ["latency_ms", "decode_ms_per_token"])
        assert all("energy_time" not in job.arguments for job in device.jobs)
        assert "energy_mj" not in found.values
    with Metered({}, {}) as device:
        faked(device, ["latency_ms", "energy_mj"], n_gen=0)
        (job,) = device.jobs
        assert (job.arguments["phase"], job.arguments["energy_time"]) == ("prefill", 0.02)
    assert default_costs(device) == LocalDevice.costs


def test_a_meter_that_gave_nothing_is_a_warning(nothing: None) -> None:
    silent = {"energy_mj": None, "warnings": ["no energy: it stood still"]}
    with Metered({}, silent) as device:
        found = faked(device, ["energy_mj"])
    assert found.error is None
    assert found.values.keys() == {PREFILL}
    assert found.warnings == ["decode: no energy: it stood still"]
    with Metered({"energy_mj": None}) as device:
        assert faked(device, [PREFILL]).warnings == [f"{PREFILL}: no energy: the device has given none"]


def test_a_lie_is_a_failed_run(nothing: None) -> None:
    with Metered({"energy_mj": 1e9}) as device:
        assert "which no machine takes" in (faked(device, ["energy_mj"]).error or "")


# On this machine


def test_a_machine_with_a_meter(counter: Path, tmp_path: Path) -> None:
    with LocalDevice() as device:
        assert device.costs == (*LocalDevice.costs, PREFILL, DECODE)
        assert device.no_energy == ""
        found = measure(
            architecture(),
            TARGET,
            device,
            OnnxRuntime(),
            costs=["energy_mj", "latency_ms"],
            workload=Workload(16, n_gen=4),
            min_time=0.02,
            workdir=tmp_path,
        )
        assert device.environment(1)["energy"] == "rapl package-0"
    assert found.error is None
    assert found.values["energy_mj"] == pytest.approx(found.values[PREFILL] + 3 * found.values[DECODE])
    assert {found.provenance[name] for name in (PREFILL, DECODE, "energy_mj")} == {"measured"}
    for name in (PREFILL, DECODE, "energy_mj"):
        low, high = found.interval[name]
        assert 0 < low < found.values[name] < high
    # A call takes no less than the shortest one, at 50 W; half of that allows for a clock that comes late.
    assert found.values[PREFILL] > 0.5 * WATTS * min(found.samples_ns["latency"]) / 1e6


def test_the_meter_is_described_but_not_hashed(counter: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_meter = fingerprint(1)
    assert with_meter["energy"] == "rapl package-0"
    monkeypatch.setenv(ROOT_VARIABLE, str(counter.parents[4] / "elsewhere"))
    assert environment_hash(with_meter) == environment_hash(fingerprint(1))
    assert "energy" not in fingerprint(1)


def test_an_evaluator_of_a_machine_with_a_meter(counter: Path, tmp_path: Path) -> None:
    with Evaluator(n_prompt=16, n_gen=3, min_time=0.02, workdir=tmp_path) as evaluator:
        assert set(evaluator.costs) > {PREFILL, DECODE, "energy_mj"}
        assert evaluator.default_objectives == ("decoder_params:max", "request_ms:min", "peak_memory_mib:min")
        assert evaluator.no_energy == ""
        evaluator.check(load_space("gpt2-tiny"), ["energy_mj"])
        found = evaluator.evaluate(architecture(), ["energy_mj"])
        assert found.problem(["energy_mj"]) is None
        assert "latency_ms" not in found.values
    with Evaluator(n_prompt=256, n_gen=0) as evaluator:
        evaluator.check(load_space("gpt2-tiny"), ["energy_mj"])
    with Evaluator(n_prompt=256) as evaluator, pytest.raises(UsageError, match="needs n_positions 287"):
        evaluator.check(load_space("gpt2-tiny"), ["energy_mj"])


def test_a_trial_fails_for_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ROOT_VARIABLE, str(tmp_path))
    package(tmp_path)
    with Evaluator(n_prompt=16, n_gen=2, min_time=0.02) as evaluator:
        found = evaluator.evaluate(architecture(), ["energy_mj", "decoder_params"])
    assert found.problem(["energy_mj"]) == (
        f"prefill: no energy: the counter {tmp_path}/sys/class/powercap/intel-rapl:0/energy_uj stood still"
    )


def test_a_machine_without_a_meter_says_why(nothing: None, tmp_path: Path) -> None:
    with LocalDevice() as device:
        assert device.costs == LocalDevice.costs
        assert "energy" not in device.environment(1)
        with pytest.raises(UsageError, match=r"no energy: .*/empty/sys/class/powercap has no package of RAPL, and .*"):
            faked(device, ["energy_mj"])
    with Evaluator(n_prompt=16) as evaluator:
        for name in ("energy_mj", PREFILL):
            with pytest.raises(UsageError, match=r"no energy: .*has no package.* the costs on .* are latency_ms, "):
                evaluator.check(load_space("gpt2-tiny"), [name])


class Compiler:
    """A backend whose models lts-runner runs."""

    name, needs = "compiler", "runner"


def test_compiled_models_have_none(counter: Path) -> None:
    with LocalDevice() as device:
        backend: Any = Compiler()
        assert costs_of(device, backend) == LocalDevice.costs
        assert costs_of(device, OnnxRuntime()) == device.costs
        message = (
            "no energy: lts-runner, which runs compiled models, reads no meter; --backend onnxruntime does; the device "
            "gives the costs latency_ms, decode_ms_per_token, peak_memory_mib"
        )
        with pytest.raises(UsageError, match=message):
            check_costs(device, backend, [ENERGY_OF["decode"]])


def test_estimates_and_tables_have_none(tmp_path: Path) -> None:
    space = load_space("gpt2-tiny")
    with (
        Evaluator("arm64", device="none") as evaluator,
        pytest.raises(UsageError, match="no energy: costs are estimated from a profile"),
    ):
        evaluator.check(space, ["energy_mj"])
    record = {"architecture": architecture().to_dict(), "values": {"latency_ms": 1.0}}
    table = put(tmp_path / "table.jsonl", json.dumps(record))
    with (
        Evaluator(device=f"table:{table}") as evaluator,
        pytest.raises(UsageError, match=r"no energy: not every line of .*table.jsonl has it"),
    ):
        evaluator.check(space, ["energy_mj"])
    put(table, json.dumps({**record, "values": {"energy_mj": 5.0}}))
    with Evaluator(device=f"table:{table}") as evaluator:
        evaluator.check(space, ["energy_mj"])
        assert evaluator.evaluate(architecture(), ["energy_mj"]).values["energy_mj"] == 5.0


def test_a_calibration_takes_no_energy(counter: Path, tmp_path: Path) -> None:
    with Evaluator(n_prompt=8, n_gen=0, min_time=0.005, workdir=tmp_path) as evaluator:
        found = calibrate_target(load_space("gpt2-tiny"), evaluator, trials=8)
    assert set(found.models) == {"latency_ms", "decode_ms_per_token", "request_ms", "peak_memory_mib"}


# On the command line


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([COMMAND, *arguments], cwd=cwd, capture_output=True, text=True, timeout=300, check=False)


SEARCH = ("search", "gpt2-tiny", "--n-prompt", "16", "--export", "none", "-O", "out", "-o", "json")
OBJECTIVES = ("--objective", "decoder_params:max", "--objective", "energy_mj:min")


@pytest.mark.slow
@pytest.mark.parametrize(("n_gen", "trials"), [("3", "14"), ("0", "5")])
def test_a_search_for_the_least_energy(counter: Path, tmp_path: Path, n_gen: str, trials: str) -> None:
    bound = ("--constraint", "energy_mj<=100000")
    done = run(*SEARCH, "--n-gen", n_gen, "--trials", trials, *OBJECTIVES, *bound, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "energy: that of rapl package-0 as a whole, with idle power and what other programs take" in done.stderr
    front = json.loads(done.stdout)
    assert front
    for record in front:
        values, provenance = record["values"], record["provenance"]
        assert provenance["energy_mj"] == provenance[PREFILL] == "measured"
        low, high = record["interval"]["energy_mj"]
        assert 0 < low <= values["energy_mj"] <= high
        assert (DECODE in values) == (n_gen != "0")
        assert "latency_ms" not in values, "nothing is run that nobody has asked for"
    again = run("front", "out", "--again", "--processes", "2", "--pick", "best", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert "energy_mj" in again.stdout
    report = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "rapl package-0" in report
    assert "energy_mj" in report
    if int(trials) > 10:
        with closing(sqlite3.connect(tmp_path / "out" / "study.db")) as connection:
            records = [json.loads(text) for (text,) in connection.execute("SELECT record FROM trial")]
        assert any("energy_mj" in record["predicted"] for record in records) or "do not rank" in done.stderr


def test_a_search_on_a_machine_without_a_meter(nothing: None, tmp_path: Path) -> None:
    for more in (OBJECTIVES, ("--constraint", "energy_mj<=5")):
        done = run(*SEARCH, *more, cwd=tmp_path)
        assert done.returncode == 2
        assert done.stdout == ""
        assert done.stderr.startswith("error: no energy: ")
        assert "sys/class/powercap has no package of RAPL" in done.stderr
        assert done.stderr.count("\n") == 1


def test_detecting_a_target_says_what_reads_energy(counter: Path, tmp_path: Path) -> None:
    done = run("target", "detect", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stdout.startswith("# energy: rapl package-0\n")
    assert tomllib.loads(done.stdout)["name"] == "host"


def test_detecting_a_target_says_why_nothing_does(nothing: None, tmp_path: Path) -> None:
    done = run("target", "detect", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stdout.startswith("# no energy: ")


def written(folder: Path) -> None:
    """An architecture as a file, and its prompt pass as a model."""
    from lts.export import onnx_model

    put(folder / "small.json", architecture().to_json())
    (folder / "prefill.onnx").write_bytes(onnx_model(architecture(), "prefill", logits="last").SerializeToString())


def test_models_of_a_users_own(counter: Path, tmp_path: Path) -> None:
    written(tmp_path)
    asked = ("-p", "16", "-n", "0", "-r", "2", "-o", "json")
    done = run("bench", "small.json", "--metric", "energy", *asked, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (result,) = json.loads(done.stdout)
    assert result["provenance"]["energy_mj"] == "measured"
    assert len(result["rounds"]["energy_mj"]) == 2
    assert result["fingerprint"]["energy"] == "rapl package-0"
    done = run("bench", "prefill.onnx", "--metric", PREFILL, *asked, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (result,) = json.loads(done.stdout)
    assert result["values"][PREFILL] > 0
    done = run("bench", "prefill.onnx", *asked, cwd=tmp_path)
    assert not {PREFILL, "energy_mj"} & set(json.loads(done.stdout)[0]["values"]), "nobody has asked"


def test_models_of_a_users_own_without_a_meter(nothing: None, tmp_path: Path) -> None:
    written(tmp_path)
    for model in ("small.json", "prefill.onnx"):
        done = run("bench", model, "--metric", "energy", "-p", "16", cwd=tmp_path)
        assert done.returncode == 2
        assert done.stderr.startswith("error: no energy: ")
        assert f"the metrics of {model.partition('.')[0]}" in done.stderr


def test_two_meters_are_two_conditions() -> None:
    one = Result(model="a", kind="architecture", rounds={"energy_mj": [5.0]}, fingerprint={"energy": "rapl package-0"})
    assert differences(one, one) == []
    other = replace(one, fingerprint={"energy": "hwmon ina226 power1"})
    assert differences(one, other) == ["energy rapl package-0 and hwmon ina226 power1"]
    timed = replace(other, rounds={"latency_ms": [5.0]})
    assert differences(replace(one, rounds={}), timed) == [], "times do not depend on it"
