"""The fingerprint and its hash, and what makes a machine unfit for measuring."""

from __future__ import annotations

import hashlib
import json
import platform
from importlib.metadata import version
from pathlib import Path

import pytest

from lts.system import machine
from lts.system.environment import environment_hash, fingerprint, fitness_warnings


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return root


def test_it_says_what_times_depend_on() -> None:
    found = fingerprint(threads=3)
    assert found["threads"] == 3
    assert found["python"] == platform.python_version()
    assert found["kernel"] == platform.release()
    for package in ("numpy", "onnxruntime"):
        assert found[package] == version(package)
    assert found["lts"] == version("lts-engine")
    assert set(found) >= {"cpu", "cores", "governor", "memory_mib", "triple"}
    assert json.loads(json.dumps(found)) == found


def test_nothing_in_it_changes_from_minute_to_minute() -> None:
    assert fingerprint(1) == fingerprint(1)


def test_the_hash_is_that_of_canonical_json() -> None:
    value = {"b": 1, "a": "ä"}
    expected = hashlib.sha256('{"a":"ä","b":1}'.encode()).hexdigest()[:8]
    assert environment_hash(value) == environment_hash(dict(reversed(value.items()))) == expected
    assert environment_hash({"b": 2, "a": "ä"}) != expected
    assert environment_hash(fingerprint(1)) != environment_hash(fingerprint(2))


def test_a_missing_package_has_no_version(monkeypatch: pytest.MonkeyPatch) -> None:
    from lts.system import environment as module

    module._versions.cache_clear()
    monkeypatch.setitem(module._PACKAGES, "onnxruntime", "no-such-distribution-of-anything")
    try:
        assert fingerprint(1)["onnxruntime"] == ""
    finally:
        module._versions.cache_clear()


def test_warnings_of_this_machine_are_sentences() -> None:
    for sentence in fitness_warnings():
        assert "\n" not in sentence
        assert len(sentence) > 20


def test_a_quiet_machine_has_none(tmp_path: Path) -> None:
    assert fitness_warnings(tmp_path) == []
    cpu = machine.allowed_cpus()[0]
    files = {
        "proc/loadavg": "0.01 0.5 9.9 1/100 1234\n",
        f"sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_governor": "performance\n",
        "sys/class/thermal/cooling_device0/type": "Processor\n",
        "sys/class/thermal/cooling_device0/cur_state": "0\n",
        "sys/class/thermal/cooling_device1/type": "Fan\n",
        "sys/class/thermal/cooling_device1/cur_state": "3\n",
        "sys/devices/platform/soc/soc:firmware/get_throttled": "50000\n",
        "sys/class/power_supply/BAT0/type": "Battery\n",
        "sys/class/power_supply/BAT0/status": "Charging\n",
        "sys/class/power_supply/mouse/type": "Battery\n",
        "sys/class/power_supply/mouse/scope": "Device\n",
        "sys/class/power_supply/mouse/status": "Discharging\n",
        "proc/meminfo": "SwapTotal: 1000000 kB\nSwapFree: 999000 kB\n",
    }
    assert fitness_warnings(write(tmp_path, files)) == []


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({"proc/loadavg": "9999.5 0.5 9.9 1/100 1234\n"}, "the load average is 9999.5 on"),
        ({"GOVERNOR": "powersave\n"}, "the frequency governor is 'powersave'"),
        (
            {
                "sys/class/thermal/cooling_device2/type": "Processor\n",
                "sys/class/thermal/cooling_device2/cur_state": "1\n",
            },
            "hot",
        ),
        ({"sys/devices/platform/soc/soc:firmware/get_throttled": "50005\n"}, "under-voltage"),
        ({"sys/devices/platform/soc/soc:firmware/get_throttled": "4\n"}, "hot"),
        (
            {"sys/class/power_supply/BAT0/type": "Battery\n", "sys/class/power_supply/BAT0/status": "Discharging\n"},
            "battery",
        ),
        ({"proc/meminfo": "SwapTotal: 1000000 kB\nSwapFree: 500000 kB\n"}, "488 MiB of swap"),
    ],
)
def test_every_doubt_is_one_sentence(tmp_path: Path, files: dict[str, str], sentence: str) -> None:
    governor = f"sys/devices/system/cpu/cpu{machine.allowed_cpus()[0]}/cpufreq/scaling_governor"
    root = write(tmp_path, {governor if name == "GOVERNOR" else name: text for name, text in files.items()})
    (warning,) = fitness_warnings(root)
    assert sentence in warning
    assert "\n" not in warning


def test_files_with_nonsense_are_no_doubt(tmp_path: Path) -> None:
    files = {
        "proc/loadavg": "nonsense\n",
        "proc/meminfo": "SwapTotal: much\n:\n",
        "sys/devices/platform/soc/soc:firmware/get_throttled": "hot\n",
        "sys/class/thermal/cooling_device0/type": "Processor\n",
        "sys/class/thermal/cooling_device0/cur_state": "?\n",
    }
    assert fitness_warnings(write(tmp_path, files)) == []
