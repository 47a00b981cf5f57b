"""examples/notebook/front.ipynb, and the Python of docs/notebooks.md, run as they are written."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import lts
from lts.study.stored import stored_front

ROOT = Path(__file__).resolve().parents[3]
NOTEBOOK = ROOT / "examples" / "notebook" / "front.ipynb"
PAGE = ROOT / "docs" / "notebooks.md"
OTHERS = ("mlflow", "wandb")  # which are not installed for tests; the page says so

# Runs cells as Jupyter does: in one namespace, showing what the last expression of each evaluates to.
RUN = """
import ast, json, sys
shown, names = [], {"__name__": "__main__"}
for source in json.loads(sys.stdin.read()):
    tree = ast.parse(source)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), names)
    value = eval(compile(ast.Expression(last.value), "cell", "eval"), names) if last is not None else None
    html = getattr(value, "_repr_html_", None)
    shown.append([type(value).__name__, html() if html is not None else repr(value)])
print("\\n" + json.dumps(shown))
"""


def cells() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    return found


def run(sources: list[str], folder: Path) -> list[tuple[str, str]]:
    """Type and text of what every cell shows."""
    done = subprocess.run(
        [sys.executable, "-c", RUN],
        input=json.dumps(sources),
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=550,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return [(kind, text) for kind, text in json.loads(done.stdout.splitlines()[-1])]


def test_the_notebook_is_committed_as_it_is_written() -> None:
    whole = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert (whole["nbformat"], whole["nbformat_minor"]) == (4, 5)
    assert len({cell["id"] for cell in whole["cells"]}) == len(whole["cells"])
    for cell in cells():
        assert cell["cell_type"] in ("markdown", "code")
        if cell["cell_type"] == "code":
            assert (cell["outputs"], cell["execution_count"]) == ([], None)
            ast.parse("".join(cell["source"]))
    text = "".join("".join(cell["source"]) for cell in cells() if cell["cell_type"] == "markdown")
    for link in re.findall(r"\]\(([^)]+)\)", text):
        assert (NOTEBOOK.parent / link).is_file(), link


@pytest.mark.slow
def test_the_notebook_runs(tmp_path: Path) -> None:
    for name in ("pandas", "optuna", "plotly", "onnxruntime"):
        pytest.importorskip(name)
    shown = run(["".join(cell["source"]) for cell in cells() if cell["cell_type"] == "code"], tmp_path)
    by_kind = dict(shown)
    assert [kind for kind, _ in shown][:3] == ["Architecture", "Study", "Trial"]
    assert [kind for kind, _ in shown].count("Figure") == 2
    assert re.search(r"\b8 trials \(8 complete, 0 failed\)", by_kind["Study"]), by_kind["Study"][:500]
    assert "request_ms (measured)" in by_kind["Study"]
    assert by_kind["DataFrame"].count("<tr") == 1 + 8
    # Optuna's front has ours, and what the intervals cannot tell from it.
    assert set(json.loads(by_kind["list"])) >= {trial.id for trial in stored_front(tmp_path / "front.db")} > set()


def blocks(text: str) -> list[str]:
    """Python of the page that needs nothing that is not installed for tests."""
    found = re.findall(r"^```python\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    return [block for block in found if not any(f"import {name}" in block for name in OTHERS)]


def costs(architecture: lts.Architecture) -> dict[str, float]:
    """In place of measurements."""
    return {
        "request_ms": lts.flops_prefill(architecture) / 1e6,
        "peak_memory_mib": lts.peak_memory_bytes(architecture) / 2**20,
    }


def test_the_python_of_the_page_runs(tmp_path: Path) -> None:
    for name in ("pandas", "optuna", "plotly"):
        pytest.importorskip(name)
    text = PAGE.read_text(encoding="utf-8")
    for name in OTHERS:
        assert f"import {name}" in text
    store = tmp_path / "gpt2-small-host" / "study.db"
    goals = ["decoder_params:max", "request_ms:min", "peak_memory_mib:min"]
    with lts.Study(
        lts.SearchSpace.load("gpt2-tiny"), costs, objectives=goals, algorithm="random", store=store
    ) as study:
        study.run(trials=12)
    shown = run(blocks(text), tmp_path)
    assert len(shown) >= 3
    assert (tmp_path / "optuna.db").is_file()
