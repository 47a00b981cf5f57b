"""examples/python: each is run as its README says, and what comes out is compared with what is counted another way."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import EntryPoint
from importlib.util import find_spec
from pathlib import Path

import pytest

import lts
from lts.export import export
from lts.study.stored import read_study
from lts.system.machine import allowed_cpus

ROOT = Path(__file__).resolve().parents[3]
EXAMPLES = ROOT / "examples" / "python"
PROJECT = tomllib.loads((EXAMPLES / "plugins" / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def run(*words: object, folder: Path, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    """A command of Python; with `path`, what is installed there is importable."""
    environment = {**os.environ, **({} if path is None else {"PYTHONPATH": str(path)})}
    done = subprocess.run(
        [sys.executable, *map(str, words)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=550,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    return done


def test_an_evaluator_of_ones_own(tmp_path: Path) -> None:
    script, store = EXAMPLES / "own_evaluator.py", tmp_path / "download.db"
    first = run(script, "--trials", 12, "--store", store, folder=tmp_path)
    assert run(script, "--trials", 12, "--store", store, folder=tmp_path).stdout == first.stdout, "it resumes"
    found = read_study(store)
    assert len(found.trials) == 12
    assert first.stdout.count("\n") == len(found.front) >= 2
    for trial in found.front:
        assert trial.provenance["download_mib"] == "exact"
        assert trial.values["decoder_params"] == lts.decoder_params(trial.architecture)
        stored = lts.weight_bytes(trial.architecture, precision="int8") / 2**20
        graphs = [path for path in export(trial.architecture, tmp_path / "again", ["onnx"]) if path.suffix == ".onnx"]
        size = sum(path.stat().st_size for path in graphs) / 2**20
        assert stored < trial.values["download_mib"] < stored + 4 * size, "weights and graphs"


def test_many_studies_are_one_table(tmp_path: Path) -> None:
    pytest.importorskip("pandas")
    arguments = [tmp_path / "out", "--trials", 300, "--spaces", "gpt2-tiny", "--targets", "arm64"]
    printed = run(EXAMPLES / "many_studies.py", *arguments, folder=tmp_path).stdout
    with (tmp_path / "out" / "front.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {(row["space"], row["target"], row["precision"]) for row in rows} == {
        ("gpt2-tiny", "arm64", precision) for precision in ("float32", "int8")
    }
    for precision in ("float32", "int8"):
        of_case = [row for row in rows if row["precision"] == precision]
        front = read_study(tmp_path / "out" / f"gpt2-tiny-arm64-{precision}.db").front
        assert [int(row["trial"]) for row in of_case] == [trial.id for trial in front]
        assert [float(row["request_ms"]) for row in of_case] == pytest.approx([t.values["request_ms"] for t in front])
        assert [int(row["trial"]) for row in of_case if row["knee"] == "True"] == [front.knee().id]
        assert f"{len(of_case)}" in printed


# --- The package of plug-ins ---


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package and the metadata that an installer makes of its pyproject.toml."""
    site = tmp_path_factory.mktemp("site")
    shutil.copytree(
        EXAMPLES / "plugins" / "lts_example", site / "lts_example", ignore=shutil.ignore_patterns("__pycache__")
    )
    metadata = site / "lts_example-0.1.dist-info"
    metadata.mkdir()
    head = f"Metadata-Version: 2.1\nName: {PROJECT['name']}\nVersion: {PROJECT['version']}\n"
    (metadata / "METADATA").write_text(head, encoding="utf-8")
    lines = []
    for group, entries in PROJECT["entry-points"].items():
        lines += [f"[{group}]", *(f"{name} = {value}" for name, value in entries.items()), ""]
    (metadata / "entry_points.txt").write_text("\n".join(lines), encoding="utf-8")
    return site


def test_there_is_a_plug_in_for_every_group() -> None:
    code = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "python" / "lts").rglob("*.py"))
    groups = set(PROJECT["entry-points"])
    assert groups == {"lts.samplers", "lts.backends", "lts.devices"}
    assert all(f'"{group}"' in code for group in groups)
    readme = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    assert all(f"`{group}`" in readme for group in groups)


def test_the_package_can_be_installed(tmp_path: Path) -> None:
    if find_spec("setuptools") is None or find_spec("pip") is None:
        pytest.skip("setuptools, which builds the package, is not installed")
    shutil.copytree(EXAMPLES / "plugins", tmp_path / "plugins")  # building leaves folders beside it
    options = ["--no-index", "--no-deps", "--no-build-isolation", "--quiet", "--target", tmp_path / "site"]
    run("-m", "pip", "install", *options, tmp_path / "plugins", folder=tmp_path)
    (text,) = (tmp_path / "site").glob("*.dist-info/entry_points.txt")
    found = [line for line in text.read_text(encoding="utf-8").splitlines() if "=" in line]
    assert len(found) == 3
    code = """
import sys
from lts.backends.backend import backend_names
from lts.study.sampler import sampler_names
print(backend_names(), sampler_names())
"""
    printed = run("-c", code, folder=tmp_path, path=tmp_path / "site").stdout
    assert "'onnx-reference'] ['even']" in printed


@pytest.mark.slow
def test_the_plug_ins_pass_the_conformance_suites(installed: Path, tmp_path: Path) -> None:
    shutil.copy(EXAMPLES / "plugins" / "test_plugins.py", tmp_path)
    done = run("-m", "pytest", "-q", "-p", "no:cacheprovider", "test_plugins.py", folder=tmp_path, path=installed)
    assert "skipped" not in done.stdout
    assert "failed" not in done.stdout


@pytest.mark.alone
def test_a_search_uses_all_three_of_them(installed: Path, tmp_path: Path) -> None:
    """The command of the README, on a processor that this process may use."""
    (line,) = (
        line
        for line in (EXAMPLES / "README.md").read_text(encoding="utf-8").splitlines()
        if line.startswith("$ lts-engine search")
    )
    words = line.removeprefix("$ lts-engine ").replace("cores:0", f"cores:{allowed_cpus()[-1]}").split()
    out = tmp_path / "out"
    done = run("-m", "lts", *words, "-O", out, "--export", "none", folder=tmp_path, path=installed)
    assert "Pareto front" in done.stdout
    study = read_study(out / "study.db")
    complete = [trial for trial in study.trials if trial.state == "complete"]
    assert len(complete) == len(study.trials) == 6
    assert {trial.origin for trial in complete} == {"even"}
    assert {trial.backend for trial in complete} == {"onnx-reference"}
    assert {trial.device for trial in complete} == {f"cores:{allowed_cpus()[-1]}"}
    sizes = sorted(lts.decoder_params(trial.architecture) for trial in complete)
    random = lts.SearchSpace.load("gpt2-tiny").sample(6, seed=0)
    assert sizes[-1] / sizes[0] > max(map(lts.decoder_params, random)) / min(map(lts.decoder_params, random))


def test_the_entry_points_name_what_is_there(installed: Path) -> None:
    code = "import json, sys; sys.path.insert(0, sys.argv[1])\n"
    code += "from importlib.metadata import EntryPoint\n"
    code += "print(json.dumps([EntryPoint(*each).load().__name__ for each in json.loads(sys.argv[2])]))"
    points = [
        EntryPoint(name, value, group)
        for group, entries in PROJECT["entry-points"].items()
        for name, value in entries.items()
    ]
    given = json.dumps([[each.name, each.value, each.group] for each in points])
    printed = run("-c", code, installed, given, folder=installed).stdout
    assert json.loads(printed) == ["Even", "OnnxReference", "Cores"]
