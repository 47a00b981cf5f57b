"""The workflows and the configuration of cibuildwheel: valid, with the rights they need, for the Pythons we name."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

if not WORKFLOWS:
    pytest.skip("the workflows are not part of a source distribution", allow_module_level=True)


def run(*command: str | Path) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CIBW_")}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(map(str, command))}:\n{(done.stdout + done.stderr)[-4000:]}"
    return done.stdout


def read(name: str) -> dict[str, Any]:
    yaml = pytest.importorskip("ruamel.yaml", reason="check-jsonschema, which brings it, is not installed")
    document = yaml.YAML(typ="safe").load(ROOT / ".github" / "workflows" / name)
    assert isinstance(document, dict)
    return document


def pythons() -> list[str]:
    """Versions of Python that the classifiers name."""
    prefix = "Programming Language :: Python :: 3."
    return [f"3.{c.removeprefix(prefix)}" for c in PYPROJECT["project"]["classifiers"] if c.startswith(prefix)]


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_follow_the_schema(workflow: Path) -> None:
    if find_spec("check_jsonschema") is None:
        pytest.skip("check-jsonschema is not installed (install.sh --dev)")
    run(sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", workflow)


def test_wheels_are_built_for_the_pythons_that_the_classifiers_name() -> None:
    if find_spec("cibuildwheel") is None:
        pytest.skip("cibuildwheel is not installed (install.sh --dev)")
    printed = run(
        *(sys.executable, "-m", "cibuildwheel", "--print-build-identifiers"),
        *("--platform", "linux", "--archs", "x86_64,aarch64"),
    )
    machines = ("x86_64", "aarch64")
    assert pythons() == ["3.11", "3.12", "3.13", "3.14"]
    expected = {f"cp{p.replace('.', '')}-manylinux_{machine}" for p in pythons() for machine in machines}
    assert sorted(printed.split()) == sorted(expected)


def test_the_newer_pythons_are_tested() -> None:
    tested = read("ci.yml")["jobs"]["python"]["strategy"]["matrix"]["python"]
    assert tested == pythons()[1:]  # the oldest is the one that every check runs with


def test_what_the_workflows_run_is_there() -> None:
    steps = [step for w in WORKFLOWS for job in read(w.name)["jobs"].values() for step in job["steps"]]
    ours = {
        found for step in steps for found in re.findall(r"(?:scripts/)?[\w.]+\.sh|scripts/\w+", step.get("run", ""))
    }
    ours |= set(re.findall(r"scripts/\w+", PYPROJECT["tool"]["cibuildwheel"]["test-command"]))
    assert ours == {"test.sh", "scripts/check_wheel", "scripts/api_reference"}
    for file in ours:
        assert os.access(ROOT / file, os.X_OK)


def test_the_jobs_together_run_every_step() -> None:
    """What .ci/run does in one go."""
    job = read("ci.yml")["jobs"]["checks"]
    assert "./test.sh --only ${{ matrix.steps }}" in [step.get("run") for step in job["steps"] if "if" not in step]
    run_by_jobs = [step for each in job["strategy"]["matrix"]["include"] for step in each["steps"].split(",")]
    steps = re.findall(r"^  (\w+)  +\w", run(ROOT / "test.sh", "--help").partition("Steps:\n")[2], re.MULTILINE)
    assert sorted(run_by_jobs) == sorted(steps)
    assert len(steps) >= 6


def test_what_is_fetched_or_compiled_is_cached() -> None:
    for job in read("ci.yml")["jobs"].values():
        cached = " ".join(str(step["with"]) for step in job["steps"] if step.get("uses", "").startswith("actions/"))
        assert "pip" in cached
        assert "ccache" in cached or "matrix.python" in cached


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_have_no_more_rights_than_they_need(workflow: Path) -> None:
    content = read(workflow.name)
    assert content["permissions"] == {"contents": "read"}
    for name, job in content["jobs"].items():
        assert job.get("permissions") == ({"id-token": "write"} if name == "publish" else None)
        for step in job["steps"]:
            if "uses" in step:
                assert re.search(r"@(v\d+|release/v\d+)$", step["uses"])
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False
    assert "secrets." not in workflow.read_text(encoding="utf-8")


def test_only_a_pushed_tag_is_published() -> None:
    content = read("wheels.yml")
    publish = content["jobs"]["publish"]
    assert publish["if"] == "github.event_name == 'push' && startsWith(github.ref, 'refs/tags/v')"
    assert content["on"]["push"] == {"tags": ["v*"]}
    assert sorted(publish["needs"]) == ["sdist", "wheels"]
    assert publish["environment"] == "release"
