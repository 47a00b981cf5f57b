"""What a device says about itself: taken over by full match, and never a path on this machine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from stand_in import MARK, StandIn

from lts.devices.description import environment_of
from lts.devices.ssh.facts import machine_of, process_of, processors_of
from lts.devices.ssh.ssh import SshDevice
from lts.errors import MeasurementError, UsageError
from lts.jobs.job import RunnerJob, result_of_line
from lts.jobs.toolchain import cxx
from lts.system.machine import pick_cpus
from lts.targets.target import detect_target


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    (bundle / "lts-runner").write_bytes(b"a program")
    monkeypatch.setattr("lts.jobs.bundle.make_bundle", lambda triple, **_: bundle)
    made = StandIn(tmp_path / "client")
    monkeypatch.setenv("LTS_SSH", made.command)
    return made


@pytest.fixture
def job(tmp_path: Path) -> RunnerJob:
    model = tmp_path / "model"
    model.mkdir()
    (model / "model.json").write_text("{}")
    return RunnerJob(model)


@pytest.fixture
def ssh(stand_in: StandIn) -> Iterator[SshDevice]:
    with SshDevice("board") as opened:
        yield opened


def written_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_the_stand_in_works(ssh: SshDevice, job: RunnerJob) -> None:
    result = ssh.run(job, 10.0)
    assert result.error is None
    assert result.value["samples_ns"] == [10**6] * 10
    assert ssh.environment(1)["cpu"] == "imaginary"


@pytest.mark.parametrize(
    "line",
    [
        "{folder}/stolen:evil",
        "../../../../../../../../../../../../{folder}/stolen:evil",
        "cpu0/../../../../../../../../../../../{folder}/stolen:evil",
        "cpu0/topology/../../../../../../../../../../{folder}/stolen:evil",
        "cpu0/topology/core_id/x:1\ncpu0/topology/core_id:1",
        "cpu0/topology/core_id:\x00\ud83d",
        "cpu0:file\ncpu0/cpu_capacity:1",
        "cpu99999999/topology/core_id:1",
        ":",
    ],
)
def test_an_answer_about_processors_writes_no_file(
    ssh: SshDevice, stand_in: StandIn, job: RunnerJob, tmp_path: Path, line: str
) -> None:
    text = line.format(folder=tmp_path).encode("utf-8", "replace")
    stand_in.say("processors", MARK + b"\t0-3\n" + text + b"\n")
    before = written_below(tmp_path)
    assert ssh.run(job, 10.0).error is None
    assert written_below(tmp_path) == before


@pytest.mark.parametrize("first", ["0-99999999999", "0-99999", "5-2", "a", "-1", "0-3-5", "²", "0x1", "9" * 5000])
def test_a_list_that_is_none_of_processors(ssh: SshDevice, stand_in: StandIn, job: RunnerJob, first: str) -> None:
    stand_in.say("processors", MARK + first.encode() + b"\n")
    with pytest.raises(MeasurementError, match="the device's answer is wrong: it lists the processors"):
        ssh.run(job, 10.0)


def test_processors_are_picked_by_what_is_said() -> None:
    said = "\t0-3,8\n" + "\n".join(
        f"cpu{cpu}/topology/core_id:{cpu % 2}\ncpu{cpu}/topology/physical_package_id:0" for cpu in range(4)
    )
    known = processors_of(f"{said}\ncpu8/cpu_capacity:1024\ncpu9/cpu_capacity:9999\n")
    assert sorted(known) == [0, 1, 2, 3, 8]
    assert pick_cpus(1, known) == [8]
    assert pick_cpus(3, known) == [2, 3, 8]


GOOD = "Linux aarch64 64 gnu 4 /home/pi/.cache/lts-engine"


def test_greetings() -> None:
    found = machine_of(f"{GOOD}\n".encode())
    assert found is not None
    assert (found.triple, found.processors, found.folder) == ("aarch64-linux-gnu", 4, "/home/pi/.cache/lts-engine")
    spaced = machine_of(b"Linux armv7l 32 musl 1 /home/my board/lts-engine\n")
    assert spaced is not None
    assert (spaced.triple, spaced.folder) == ("arm-linux-musleabihf", "/home/my board/lts-engine")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("aarch64", "aarch64/../evil"),
        ("aarch64", "../evil"),
        ("aarch64", "-o"),
        ("aarch64", ""),
        ("Linux", "/tmp/evil"),
        ("gnu", "gnu/evil"),
        ("gnu", "glibc"),
        ("64 gnu", "63 gnu"),
        (" 4 ", " ² "),
        (" 4 ", " -4 "),
        (" 4 ", " 99999999999 "),
        ("/home", "home"),
        ("/home", "/home/.."),
        ("/home", "/home\x1b[2J"),
        ("/home", "/" + "x" * 5000),
    ],
)
def test_greetings_that_are_none(ssh: SshDevice, stand_in: StandIn, old: str, new: str) -> None:
    stand_in.say("greeting", MARK + GOOD.replace(old, new).encode() + b"\n")
    with pytest.raises(MeasurementError, match=r"board is no machine with Linux and a shell: it says '") as raised:
        ssh.check(detect_target())
    assert str(raised.value).isprintable()
    assert len(str(raised.value)) < 500


@pytest.mark.parametrize("line", [b"", b"-1", b"1 2", b"\xff\xfe", b"$(id)", b"1" * 100, b"0", None])
def test_a_process_that_is_no_number(line: bytes | None) -> None:
    assert process_of(line) == ""
    assert process_of(b" 4711\n") == "4711"


@pytest.mark.parametrize("triple", ["aarch64-linux-gnu/evil", "../evil-g", "/bin/sh-x", "-x-y", "a b-c", "", "x"])
def test_no_compiler_is_called_after_what_is_no_triple(triple: str) -> None:
    with pytest.raises(UsageError, match="is not a triple"):
        cxx(triple)


@pytest.mark.parametrize(
    "look", [b"", b"yes", b"yes x y", b"yes\n-5\n0", b"maybe 1 1", b"yes 1" + b"0" * 5000, b"yes\n\xff\n1", b"\0"]
)
def test_wrong_words_about_a_file(ssh: SshDevice, stand_in: StandIn, job: RunnerJob, look: bytes) -> None:
    stand_in.say("look", MARK + look)
    with pytest.raises(MeasurementError, match="the answer of board is wrong: asked for a file, it says '"):
        ssh.run(job, 10.0)


@pytest.mark.parametrize(
    "description",
    [
        None,
        "Linux",
        ["cpu"],
        {"cpu": ["a list"]},
        {"cpu": {"deep": 1}},
        {"cpu": True},
        {"cpu": "x" * 5000},
        {"cpu": 1e300},
        {"cpu": float("nan")},
        {"../../key": 1},
        {"x" * 100: 1},
        {f"key{i}": 1 for i in range(1000)},
    ],
)
def test_descriptions_that_are_none(ssh: SshDevice, stand_in: StandIn, job: RunnerJob, description: object) -> None:
    stand_in.say("environment", stand_in.answer(description))
    with pytest.raises(MeasurementError, match="board: the device's answer is wrong: "):
        ssh.run(job, 10.0)


def test_descriptions_are_made_fit_to_be_shown() -> None:
    found = environment_of({"cpu": "A\x1b[31m\nboard", "cores": 4, "memory_mib": None}, "board")
    assert found == {"cpu": "A [31m board", "cores": 4, "memory_mib": None}


def test_a_meter_is_a_name() -> None:
    assert environment_of({"energy": "rapl\x1b package-0"}, "board") == {"energy": "rapl package-0"}
    for wrong in (None, 5, 0.5):
        with pytest.raises(
            MeasurementError, match=f"board: .*'energy' of its description is {wrong}; expected the name"
        ):
            environment_of({"energy": wrong}, "board")


@pytest.mark.parametrize(
    "line",
    [b"", b"{", b"[]", b"null", b"\xff", b"[" * 100_000, b'{"values": 1}', b"9" * 10_000, b'{"a":' * 100_000],
)
def test_lines_that_are_no_answer(line: bytes) -> None:
    result = result_of_line(line)
    assert result.value is None
    assert (result.error or "").startswith("the device's answer is wrong: ")


def test_errors_of_a_device_are_one_short_line() -> None:
    said = json.dumps({"error": "\x1b]0;title\x07 no\n such operator" + "x" * 10_000})
    error = result_of_line(said).error or ""
    assert error.startswith("]0;title no such operator")
    assert error.isprintable()
    assert len(error) <= 500
    assert result_of_line('{"error": ["a", {"b": 1}]}').error == "['a', {'b': 1}]"
