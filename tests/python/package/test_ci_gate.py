"""The example examples/ci_gate: its action, workflow and GitLab job are valid, and their shell steps do what they say.

What installs packages is not executed, because lts-engine and the compilers are here: its text is compared. All other
steps run as the runners run them, in a copy of the example.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from emulation import emulation_is_missing
from sshd import Sshd

ROOT = Path(__file__).resolve().parents[3]
EXAMPLE = ROOT / "examples" / "ci_gate"
SCHEMAS = {"action.yml": "github-actions", "workflow.yml": "github-workflows", "gitlab-ci.yml": "gitlab-ci"}
# As the runner starts a step with `shell: bash`, and GitLab's shell runner a job.
GITHUB_SHELL = ("bash", "--noprofile", "--norc", "-e", "-o", "pipefail")
GITLAB_SHELL = ("bash", "-e", "-o", "pipefail")
LARGER = {
    "family": "gpt2",
    "vocab_size": 512,
    "n_positions": 128,
    "d_model": 64,
    "n_layer": 4,
    "n_head": 4,
    "d_ff": 1024,
}
INSTALLS = {
    "Install lts-engine": 'python -m pip install --quiet "$REQUIREMENT"',
    "Install what compiles for arm64 and emulates it": (
        "root=()\n"
        "[[ $EUID -eq 0 ]] || root=(sudo)\n"
        '"${root[@]}" apt-get update -qq\n'
        '"${root[@]}" apt-get install -y -qq --no-install-recommends '
        "g++ g++-aarch64-linux-gnu qemu-user openssh-client"
    ),
}

if not EXAMPLE.is_dir():
    pytest.skip("the examples are not part of a wheel", allow_module_level=True)


def read(name: str) -> dict[str, Any]:
    yaml = pytest.importorskip("ruamel.yaml", reason="check-jsonschema, which brings it, is not installed")
    document = yaml.YAML(typ="safe").load(EXAMPLE / name)
    assert isinstance(document, dict)
    return document


def scripts() -> Iterator[tuple[str, str]]:
    """Every script of the three files, with what it is for."""
    for step in read("action.yml")["runs"]["steps"]:
        yield f"action: {step['name']}", step["run"]
    for name, job in read("workflow.yml")["jobs"].items():
        yield from ((f"workflow: {name}", step["run"]) for step in job["steps"] if "run" in step)
    job = read("gitlab-ci.yml")["lts-gate"]
    yield "gitlab", "\n".join([*job["before_script"], *job["script"]])


def checked(*command: str | Path, **more: Any) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, **more)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_files_follow_their_schemas(name: str) -> None:
    if find_spec("check_jsonschema") is None:
        pytest.skip("check-jsonschema is not installed (install.sh --dev)")
    checked(sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{SCHEMAS[name]}", EXAMPLE / name)


def test_nothing_of_a_pull_request_becomes_a_command(tmp_path: Path) -> None:
    """By the linter zizmor, without a network, and by hand: expressions are in `env`, `with` and `if` alone."""
    assert all("${{" not in script for _, script in scripts())
    assert "pull_request_target" not in (EXAMPLE / "workflow.yml").read_text(encoding="utf-8")
    assert read("workflow.yml")["permissions"] == {"contents": "read"}
    zizmor = Path(sys.executable).with_name("zizmor")
    if not zizmor.exists():
        pytest.skip("zizmor is not installed (install.sh --dev)")
    rules = {
        "unpinned-uses": {"config": {"policies": {"*": "ref-pin"}}},  # versions, as in this repository's workflows
        "self-repository": {"disable": True},  # the action is in the checkout
    }
    (tmp_path / "zizmor.yml").write_text(json.dumps({"rules": rules}))
    files = (EXAMPLE / "action.yml", EXAMPLE / "workflow.yml")
    checked(zizmor, "--offline", "--no-progress", "--config", tmp_path / "zizmor.yml", *files)


def test_the_linters_of_workflows_and_of_shells_find_nothing(tmp_path: Path) -> None:
    found = [name for name in ("shellcheck", "actionlint") if shutil.which(name)]
    if not found:
        pytest.skip("neither shellcheck nor actionlint is installed")
    if "actionlint" in found:
        checked("actionlint", EXAMPLE / "workflow.yml")
    if "shellcheck" in found:
        for i, (name, script) in enumerate(scripts()):
            path = tmp_path / f"{i}.sh"
            path.write_text(f"# {name}\n{script}")
            checked("shellcheck", "--shell=bash", path)


def test_every_input_is_used_and_every_use_is_an_input() -> None:
    action = read("action.yml")
    used = set(re.findall(r"inputs\.([\w-]+)", str(action["runs"])))
    assert used == set(action["inputs"])
    for name, job in read("workflow.yml")["jobs"].items():
        (step,) = [step for step in job["steps"] if step.get("uses") == "./ci_gate"]
        needed = {key for key, value in action["inputs"].items() if value.get("required")}
        assert needed <= set(step["with"]) <= set(action["inputs"]), name


def test_what_is_installed() -> None:
    """The text of the steps that no test executes."""
    steps = {step["name"]: step["run"].rstrip() for step in read("action.yml")["runs"]["steps"]}
    assert {name: text for name, text in steps.items() if name.startswith("Install")} == INSTALLS
    assert read("gitlab-ci.yml")["lts-gate"]["before_script"] == [
        "apt-get update -qq",
        "apt-get install -y -qq --no-install-recommends g++ g++-aarch64-linux-gnu qemu-user",
        'python -m pip install --quiet "lts-engine[tvm]"',
    ]


@dataclass
class Checkout:
    """A repository with the example in it, and what runs jobs there."""

    folder: Path
    output: str = ""
    values: dict[str, str] = field(default_factory=dict)

    def set_contender(self, architecture: dict[str, Any]) -> None:
        (self.folder / "ci_gate" / "new.json").write_text(json.dumps(architecture))

    def environment(self, **more: str) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("GITHUB_", "RUNNER_", "CI_"))}
        return {**kept, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", **more}

    def shell(self, command: tuple[str, ...], script: str, environment: dict[str, str]) -> int:
        path = self.folder.parent / "step.sh"
        path.write_text(script)
        done = subprocess.run(
            [*command, path],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=500,
            stdin=subprocess.DEVNULL,
        )
        self.output += done.stdout + done.stderr
        return done.returncode

    def action(self, given: dict[str, str], **more: str) -> int:
        """The exit code of the action with these inputs: of the first step that fails, or 0."""
        action = read("action.yml")
        assert set(given) <= set(action["inputs"])
        inputs = {name: str(given.get(name, value.get("default", ""))) for name, value in action["inputs"].items()}
        temporary = self.folder.parent
        for step in action["runs"]["steps"]:
            assert step["shell"] == "bash"
            if not holds(step.get("if"), inputs) or step["name"] in INSTALLS:
                continue
            files = {"GITHUB_OUTPUT": temporary / "output", "GITHUB_STEP_SUMMARY": temporary / "summary.md"}
            environment = self.environment(
                GITHUB_ACTIONS="true",
                RUNNER_TEMP=str(temporary),
                **{key: str(path) for key, path in files.items()},
                **{key: filled(value, inputs) for key, value in step.get("env", {}).items()},
                **more,
            )
            code = self.shell(GITHUB_SHELL, step["run"], environment)
            if files["GITHUB_OUTPUT"].exists():
                self.values = dict(line.split("=", 1) for line in files["GITHUB_OUTPUT"].read_text().splitlines())
            if code:
                return code
        return 0

    @property
    def annotations(self) -> list[str]:
        return [line for line in self.output.splitlines() if re.match(r"::(error|warning|notice) ", line)]


def filled(text: str, inputs: dict[str, str]) -> str:
    """A value of `env`, which is one input."""
    match = re.fullmatch(r"\$\{\{ inputs\.([\w-]+) \}\}", text)
    assert match is not None, text
    return inputs[match[1]]


def holds(condition: str | None, inputs: dict[str, str]) -> bool:
    """Whether a step is run: comparisons of inputs, and of the kind of the runner, with text."""
    known = {**{f"inputs.{name}": value for name, value in inputs.items()}}
    known["runner.arch"] = {"x86_64": "X64", "aarch64": "ARM64"}.get(platform.machine(), "other")
    for each in (condition or "").split(" && ") if condition else ():
        match = re.fullmatch(r"([\w.-]+) (==|!=) '([^']*)'", each)
        assert match is not None, each
        if (known[match[1]] == match[3]) != (match[2] == "=="):
            return False
    return True


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    folder = tmp_path / "repository"
    shutil.copytree(EXAMPLE, folder / "ci_gate")
    return Checkout(folder)


def inputs_of(job: str) -> dict[str, str]:
    """What the workflow gives the action in a job."""
    (step,) = [step for step in read("workflow.yml")["jobs"][job]["steps"] if step.get("uses") == "./ci_gate"]
    return {name: str(value) for name, value in step["with"].items()}


def check_regression(checkout: Checkout, metric: str, provenance: str, bound: str) -> None:
    """The annotation names the model, the metric, both values with ±, and the bound; and the files are there."""
    errors = [line for line in checkout.annotations if f"::{metric} (" in line]
    assert len(errors) == 1, checkout.output
    plain = errors[0].replace("%3A", ":").replace("%25", "%")
    assert plain.startswith(f"::error title=lts-engine: regression of ci_gate/new.json::{metric} ({provenance}): ")
    value = r"[\d.\u202f]+ ±[\d.]+ \S+"
    assert re.search(
        rf": regression, baseline {value}, contender {value}, change \+.* %.*, bound {bound} %, for ", plain
    )
    reports = Path(checkout.values["reports"])
    assert checkout.values["verdict"] == "regression"
    suite = ET.parse(reports / "gate.xml").getroot()[0]
    assert int(suite.get("failures", "0")) >= 1
    assert "**regression**" in (reports / "gate.md").read_text(encoding="utf-8")
    assert "**regression**" in (checkout.folder.parent / "summary.md").read_text(encoding="utf-8")
    entries = json.loads((reports / "benchmark-action.json").read_text(encoding="utf-8"))
    assert f"ci_gate/new.json: {metric} ({provenance})" in [each["name"] for each in entries]
    measures = json.loads((reports / "bencher.json").read_text(encoding="utf-8"))["ci_gate/new.json"]
    assert f"{metric.replace('_', '-')}-{provenance}" in measures


def check_passed(checkout: Checkout) -> None:
    assert checkout.values["verdict"] == "passed"
    assert not [line for line in checkout.annotations if line.startswith("::error")]
    assert ET.parse(Path(checkout.values["reports"]) / "gate.xml").getroot()[0].get("failures") == "0"


def test_wrong_arguments_are_said(checkout: Checkout) -> None:
    assert checkout.action({"baseline": "absent.json", "contender": "ci_gate/new.json"}) == 2
    assert checkout.values["verdict"] == "wrong-arguments"
    assert "error: cannot read absent.json" in checkout.output
    assert checkout.annotations == [
        "::error title=lts-engine::wrong-arguments, exit code 2: the log of this step says why"
    ]


@pytest.mark.parametrize(
    "name",
    [
        *("contender", "target", "metric", "max-regression", "arguments"),
        pytest.param("device", marks=pytest.mark.slow),  # for which lts-runner is compiled
    ],
)
def test_inputs_are_never_commands(checkout: Checkout, name: str) -> None:
    hostile = "$(touch pwned) `touch pwned` \"; touch pwned; ' && touch pwned #"
    given = {"baseline": "ci_gate/shipped.json", "contender": "ci_gate/new.json", name: hostile}
    assert checkout.action(given) == 2
    assert [path.name for path in checkout.folder.iterdir()] == ["ci_gate"]
    assert "pwned" in checkout.output  # it is named in the error


def test_a_baseline_that_looks_like_an_option_is_a_file(checkout: Checkout) -> None:
    assert checkout.action({"baseline": "--help", "contender": "ci_gate/new.json"}) == 2
    assert "error: cannot read --help" in checkout.output


def test_the_key_of_the_board_is_for_its_user_alone(checkout: Checkout) -> None:
    (step,) = [step for step in read("workflow.yml")["jobs"]["board"]["steps"] if "run" in step]
    home = checkout.folder.parent / "home"
    home.mkdir()
    given = {
        "BOARD_KEY": "-----BEGIN $(id) KEY-----\nabc\n-----END-----",
        "BOARD_KNOWN_HOSTS": "board ssh-rsa AAAA",
    }
    assert set(step["env"]) == set(given)
    assert checkout.shell(GITHUB_SHELL, step["run"], checkout.environment(HOME=str(home), **given)) == 0
    key = home / ".ssh" / "id_ed25519"
    assert key.read_text() == given["BOARD_KEY"] + "\n"
    assert key.stat().st_mode & 0o777 == 0o600
    assert (home / ".ssh").stat().st_mode & 0o777 == 0o700
    assert (home / ".ssh" / "known_hosts").read_text() == "board ssh-rsa AAAA\n"


@pytest.mark.slow
@pytest.mark.parametrize("injected", [True, False])
def test_instructions_under_emulation(checkout: Checkout, injected: bool) -> None:
    if reason := emulation_is_missing():
        pytest.skip(reason)
    given = inputs_of("instructions")
    assert (given["target"], given["device"], given["metric"]) == ("arm64", "emulated", "instructions")
    if injected:
        checkout.set_contender(LARGER)
        assert checkout.action(given) == 1, checkout.output
        check_regression(checkout, "instructions", "emulated", "0")
    else:
        assert checkout.action(given) == 0, checkout.output
        check_passed(checkout)
        assert "::notice title=lts-engine%3A improvement of ci_gate/new.json::instructions" in checkout.output


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.parametrize("injected", [True, False])
def test_time_on_the_runner(checkout: Checkout, injected: bool) -> None:
    """Here on this machine; the workflow's has an Arm processor."""
    given = inputs_of("time")
    assert "target" not in given
    assert "device" not in given
    if injected:
        checkout.set_contender(LARGER)
        assert checkout.action(given) == 1, checkout.output
        check_regression(checkout, "request_ms", "measured", "10")
    else:
        assert checkout.action(given) == 0, checkout.output
        check_passed(checkout)


@pytest.mark.slow
@pytest.mark.alone
def test_time_on_a_board(checkout: Checkout, tmp_path: Path) -> None:
    """The board is this machine behind an ssh server, and the target is this machine's.

    The steps are those above, so a regression is enough, of a prompt pass alone: every process compiles the model.
    """
    if find_spec("tvm") is None:
        pytest.skip("tvm is not installed")
    given = inputs_of("board")
    assert given["device"] == "ssh://${{ vars.BOARD }}"
    checkout.set_contender(LARGER)
    board = Sshd(tmp_path / "sshd")
    try:
        device = given["device"].replace("ssh://${{ vars.BOARD }}", board.uri)
        here = {"target": "host", "device": device, "arguments": "--n-prompt 16 --n-gen 0"}
        code = checkout.action({**given, **here}, LTS_SSH=board.command)
    finally:
        board.stop()
    assert code == 1, checkout.output
    check_regression(checkout, "latency_ms", "measured", "5")


@pytest.mark.slow
@pytest.mark.parametrize("injected", [True, False])
def test_the_job_of_gitlab(checkout: Checkout, injected: bool) -> None:
    if reason := emulation_is_missing():
        pytest.skip(reason)
    job = read("gitlab-ci.yml")["lts-gate"]
    if injected:
        checkout.set_contender(LARGER)
    environment = checkout.environment(GITLAB_CI="true", CI="true", **job["variables"])
    assert checkout.shell(GITLAB_SHELL, "\n".join(job["script"]), environment) == int(injected), checkout.output
    assert not checkout.annotations
    assert job["artifacts"]["when"] == "always"
    files = {kind: checkout.folder / name for kind, name in job["artifacts"]["reports"].items()}
    failures = ET.parse(files["junit"]).getroot()[0].findall("testcase/failure")
    findings = json.loads(files["codequality"].read_text(encoding="utf-8"))
    assert len(failures) == len(findings) == int(injected)
    assert all("instructions (emulated): regression, baseline " in (each.text or "") for each in failures)
    assert [each["location"]["path"] for each in findings] == ["ci_gate/new.json"] * int(injected)
    metrics = files["metrics"].read_text(encoding="utf-8")
    assert re.search(
        r'^lts_instructions\{model="ci_gate/new.json",provenance="emulated",.*\} \d+$', metrics, re.MULTILINE
    )
