"""lts-engine search --fleet and what reads its folder, with tables as devices, and with ONNX Runtime for real."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from command_line import run
from fleet_devices import write_tables
from typer.testing import CliRunner, Result

from lts.cli import app

FLEET = """
[[device]]
name = "pi"
target = "cortex-a72"
device = "table:pi.jsonl"
constraints = ["latency_ms<=400"]
prefer = { decoder_params = 2, latency_ms = 1 }

[[device]]
name = "phone"
device = "table:phone.jsonl"

[[device]]
name = "laptop"
device = "table:laptop.jsonl"

[[device]]
name = "next-year"
"""
DEVICES = ["pi", "phone", "laptop", "next-year"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a fleet was searched."""
    path = tmp_path_factory.mktemp("fleet_command")
    write_tables(path)
    (path / "fleet.toml").write_text(FLEET, encoding="utf-8")
    done = run("search", "gpt2-small", "--fleet", "fleet.toml", "--trials", 12, "-o", "jsonl", cwd=path)
    assert done.returncode == 0, done.stderr
    assert "searching gpt2-small for 4 devices, measuring on pi, phone, laptop" in done.stderr
    (path / "out.jsonl").write_text(done.stdout, encoding="utf-8")
    return path


def records(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def here(*arguments: object, code: int = 0) -> Result:
    """lts-engine in this process."""
    result = CliRunner().invoke(app, [str(each) for each in arguments])
    assert result.exit_code == code, result.output
    return result


def shown(folder: Path, *options: object) -> list[dict[str, Any]]:
    return records(here("front", folder / "gpt2-small-fleet", *options, "-o", "jsonl").stdout)


def test_a_search_says_what_was_measured_and_what_is_predicted(folder: Path) -> None:
    rows = records((folder / "out.jsonl").read_text(encoding="utf-8"))
    assert list(dict.fromkeys(row["device"] for row in rows)) == DEVICES
    for row in rows:
        assert "decoder_params" in row["exact"]
        later = row["device"] == "next-year"
        assert ("latency_ms" in row["measured"], "latency_ms" in row["predicted"]) == (not later, later)
        assert row["relative"] == (["latency_ms"] if later else [])
    assert all(row["measured"]["latency_ms"] <= 400 for row in rows if row["device"] == "pi")
    page = (folder / "gpt2-small-fleet" / "report.html").read_text(encoding="utf-8")
    assert all(f"<h3>{name}</h3>" in page for name in DEVICES)


def test_a_front_with_columns_of_their_own(folder: Path) -> None:
    front = ("front", folder / "gpt2-small-fleet", "--device", "pi", "-o")
    head = here(*front, "csv").stdout.splitlines()[0].split(",")
    assert {"measured.latency_ms", "predicted.latency_ms", "exact.decoder_params"} <= set(head)
    assert "latency_ms (measured) | latency_ms (predicted)" in here(*front, "md").stdout


def test_a_preference(folder: Path) -> None:
    (row,) = shown(folder, "--device", "pi", "--prefer", "decoder_params=2,latency_ms=1")
    front = [each for each in shown(folder, "--device", "pi") if each["measured"]]
    assert row in front
    points = [(each["exact"]["decoder_params"], each["measured"]["latency_ms"]) for each in front]
    (most, least), (fewest, longest) = (
        (max(p for p, _ in points), min(t for _, t in points)),
        (min(p for p, _ in points), max(t for _, t in points)),
    )
    far = [max(2 * (most - p) / (most - fewest), (t - least) / (longest - least)) for p, t in points]
    assert front.index(row) == far.index(min(far))
    # The study of the device alone says the same.
    study = folder / "gpt2-small-fleet" / "pi"
    done = here("front", study, "--prefer", "decoder_params=2,latency_ms=1", "-o", "json")
    assert json.loads(done.stdout)[0]["architecture"] == row["architecture"]


def test_common_models(folder: Path) -> None:
    rows = shown(folder, "--common", 2)
    assert [row["device"] for row in rows] == DEVICES
    assert len({json.dumps(row["architecture"]) for row in rows}) <= 2
    assert all(("latency_ms" in row["measured"]) != ("latency_ms" in row["predicted"]) for row in rows)


def test_the_report_is_written_again(folder: Path) -> None:
    here("report", folder / "gpt2-small-fleet", "-f", folder / "again.html")
    assert "gpt2-small on 4 devices" in (folder / "again.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--device", "nope"], "unknown device 'nope'; expected one of the fleet: pi, phone, laptop, next-year"),
        (["--common", "2", "--device", "pi"], "--common is for all devices and their preferences"),
        (["--common", "0"], "the number of common models is 0; it must be at least 1"),
        (["--prefer", "latency"], "preference 'latency': expected weights such as decoder_params=2,latency_ms=1"),
        (["--pick", "knee"], "--pick is for the study of one device"),
    ],
)
def test_fronts_that_there_are_not(folder: Path, arguments: list[str], sentence: str) -> None:
    assert here("front", folder / "gpt2-small-fleet", *arguments, code=2).stderr.startswith(f"error: {sentence}")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "fleet.toml has no devices; expected [[device]] with a name, for each of them"),
        (
            '[[device]]\nname = "a"\n[[device]]\nname = "a"\n',
            "fleet.toml: two devices are called 'a'; names must differ",
        ),
        (
            '[[device]]\nname = "a"\ndevise = "x"\n',
            "fleet.toml, device 1: unknown key 'devise'; allowed: name, target,",
        ),
        ('[[devices]]\nname = "a"\n', "fleet.toml: unknown key 'devices'; allowed: device"),
        ('[[device]]\ntarget = "host"\n', "fleet.toml, device 1: 'name' is missing"),
        ('[[device]]\nname = "../a"\n', "fleet.toml: the name of a device is '../a'"),
        ("[[device]]\nname = 3\n", "fleet.toml, device 1: 'name' is 3; expected text"),
        ('[[device]]\nname = "a"\ntrials = 0\n', "fleet.toml, device 1: 'trials' is 0; it must be at least 1"),
        ('[[device]]\nname = "a"\nconstraints = ["x<3"]\n', "fleet.toml, device 'a': constraint 'x<3'"),
        (
            '[[device]]\nname = "a"\nprefer = { b = 1 }\n',
            "the preference for 'a': 'b' is no objective; expected some of",
        ),
        ("device = 3\n", "fleet.toml: 'device' must be tables, [[device]]"),
    ],
)
def test_files_that_are_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, sentence: str) -> None:
    (tmp_path / "fleet.toml").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    done = here("search", "gpt2-small", "--fleet", "fleet.toml", code=2)
    assert done.stderr.startswith(f"error: {sentence}"), done.stderr
    assert done.stderr.count("\n") == 1


def test_no_device_can_be_reached(tmp_path: Path) -> None:
    device = '[[device]]\nname = "{}"\ntarget = "arm64"\ndevice = "rpc://127.0.0.1:9/{}"\n'
    (tmp_path / "fleet.toml").write_text(device.format("a", "x") + device.format("b", "y"), encoding="utf-8")
    done = run("search", "gpt2-small", "--fleet", "fleet.toml", cwd=tmp_path)
    assert done.returncode == 3
    assert "error: no device of the fleet can be reached: a: " in done.stderr


def test_options_that_each_device_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "fleet.toml").write_text(FLEET, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    done = here("search", "gpt2-small", "--fleet", "fleet.toml", "--device", "local", code=2)
    assert done.stderr.startswith("error: --device does not go with --fleet: each device of fleet.toml has its own")


@pytest.mark.slow
def test_two_configurations_of_onnx_runtime(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    text = '[[device]]\nname = "{0}"\ndevice = "local"\nthreads = 1\nprecision = "{0}"\n'
    later = '[[device]]\nname = "later"\ntarget = "arm64"\n'
    (tmp_path / "fleet.toml").write_text(text.format("float32") + text.format("int8") + later, encoding="utf-8")
    command = ["search", "gpt2-tiny", "--fleet", "fleet.toml", "--trials", 7, "--n-prompt", 16, "--n-gen", 0]
    done = run(*command, "-o", "jsonl", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = records(done.stdout)
    measured = {row["device"] for row in rows if row["measured"]}
    assert measured == {"float32", "int8"}
    assert [row["trial"] for row in rows if row["device"] == "later"] == [None] * sum(
        row["device"] == "later" for row in rows
    )
    again = run(*command, "-o", "jsonl", cwd=tmp_path)
    assert records(again.stdout) == rows  # nothing was measured again
