"""The order of dependence of the C++ tree, that importing stays light, and that what is public is documented."""

from __future__ import annotations

import doctest
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEADERS = ROOT / "cpp" / "include" / "lts"
SOURCES = ROOT / "cpp" / "src"

# What each concept may include, directly or not; its own header is always allowed.
_BASE = {"error", "random"}
_ARCHITECTURE = _BASE | {"family", "architecture"}
_WEIGHTS = _ARCHITECTURE | {"weights"}
_COST = _WEIGHTS | {"cost"}
_SPACE = _COST | {"big_uint", "search_space_options", "search_space"}
_OBJECTIVE = _BASE | {"objective"}
_DOMINANCE = _OBJECTIVE | {"dominance"}
_ARCHIVE = _DOMINANCE | {"sort", "hypervolume", "archive"}
_EVERYTHING = _SPACE | {"proxy", "analytic", "encoding", "variation", "surrogate", "layer_costs"} | _ARCHIVE
_ALGORITHMS = _EVERYTHING | {"algorithms"}
ALLOWED = {
    "error": set(),
    "portable_log": set(),
    "random": {"error"},
    "big_uint": _BASE,
    "family": _BASE,
    "architecture": _BASE | {"family"},
    "weights": _ARCHITECTURE,
    "cost": _WEIGHTS,
    "proxy": _WEIGHTS,
    "correlation": _BASE,
    "analytic": _COST | {"proxy"},
    "search_space_options": _ARCHITECTURE,
    "search_space": _COST | {"big_uint", "search_space_options"},
    "encoding": _SPACE,
    "variation": _SPACE | {"encoding"},
    "objective": _BASE,
    "dominance": _OBJECTIVE,
    "sort": _DOMINANCE,
    "hypervolume": _DOMINANCE | {"sort"},
    "archive": _DOMINANCE | {"sort", "hypervolume"},
    "indicators": _DOMINANCE,
    "attainment": _DOMINANCE,
    "surrogate": _EVERYTHING,
    "layer_costs": _EVERYTHING,
    "pooled": _EVERYTHING,
    "layer_quality": _EVERYTHING,
    "importance": _EVERYTHING,
    "knapsack": _EVERYTHING | {"importance"},
    "algorithms": _EVERYTHING,
    "search": _ALGORITHMS,
    "json": _ALGORITHMS | {"search", "importance", "layer_quality"},
    "c_api": _ALGORITHMS | {"search", "json", "importance", "knapsack", "pooled"},
}

HEAVY = ["onnx", "onnxruntime", "plotly", "rich", "torch", "tvm", "typer"]


def includes(path: Path) -> list[str]:
    """What a C++ file includes, without the brackets."""
    return re.findall(r'^\s*#\s*include\s+[<"]([^>"]+)[>"]', path.read_text(encoding="utf-8"), re.MULTILINE)


def concept_of(include: str) -> str:
    """`lts/algorithms/nsga2.hpp` is algorithms; `lts/cost.hpp` is cost."""
    return Path(include).with_suffix("").parts[1]


def cpp_files() -> Iterator[tuple[str, Path]]:
    """Every header and source of the core with its concept."""
    for path in sorted(HEADERS.rglob("*.hpp")):
        if path.name != "lts.hpp":
            yield concept_of(f"lts/{path.relative_to(HEADERS)}"), path
    for path in sorted(SOURCES.rglob("*.[ch]pp")):
        parts = path.relative_to(SOURCES).with_suffix("").parts
        # json_value.cpp is a part of json.
        known = [c for c in ALLOWED if parts[0] == c or parts[0].startswith(f"{c}_")]
        yield (max(known, key=len) if known else parts[0]), path


CPP_FILES = list(cpp_files())


@pytest.mark.parametrize(("concept", "path"), CPP_FILES, ids=[str(p.relative_to(ROOT)) for _, p in CPP_FILES])
def test_order_of_includes(concept: str, path: Path) -> None:
    assert concept in ALLOWED, f"say in test_dependencies.py what {concept} may include"
    allowed = ALLOWED[concept] | {concept}
    wrong = [i for i in includes(path) if i.startswith("lts/") and i != "lts/lts.h" and concept_of(i) not in allowed]
    assert not wrong, f"{path.relative_to(ROOT)} may include only {', '.join(sorted(allowed))}"


@pytest.mark.parametrize("path", sorted(HEADERS.rglob("*.h*")), ids=lambda p: str(p.relative_to(HEADERS)))
def test_public_headers_include_only_the_standard_library(path: Path) -> None:
    for include in includes(path):
        standard = re.fullmatch(r"[a-z_0-9]+(\.h)?", include) is not None
        assert standard or include.startswith("lts/"), f"{path.name} includes {include}"


def test_lts_hpp_includes_every_header() -> None:
    every = {f"lts/{p.relative_to(HEADERS)}" for p in HEADERS.rglob("*.hpp")} - {"lts/lts.hpp"}
    assert set(includes(HEADERS / "lts.hpp")) == every


def test_the_json_library_stays_inside() -> None:
    users = {p.name for _, p in CPP_FILES if any("nlohmann" in i for i in includes(p))}
    users |= {p.name for p in (ROOT / "bindings").glob("*.[ch]pp") if any("nlohmann" in i for i in includes(p))}
    assert all(name.startswith("json") for name in users), users


def test_the_core_rounds_alike_everywhere() -> None:
    # What C libraries round differently from machine to machine; square roots and scaling by powers of two are exact.
    inexact = re.compile(
        r"\bstd::(log|log2|log10|log1p|exp|exp2|expm1|pow|hypot|cbrt|fma|a?(sin|cos|tan)h?|[lt]gamma|erfc?)\("
    )
    found = {p.name: inexact.findall(p.read_text(encoding="utf-8")) for _, p in CPP_FILES}
    assert not {name: calls for name, calls in found.items() if calls}


def test_bindings_include_no_private_header() -> None:
    own = {p.name for p in (ROOT / "bindings").glob("*.hpp")}
    for path in (ROOT / "bindings").glob("*.[ch]pp"):
        for include in includes(path):
            private = "/" not in include and include.endswith((".h", ".hpp")) and include not in own
            assert not private or include == "Python.h", f"{path.name} includes {include}"


def modules_after(code: str) -> set[str]:
    """Top-level names and dotted names of all modules that are loaded when the code has run."""
    code += "\nimport sys; sys.stdout.write('\\n' + ' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.rsplit("\n", 1)[1].split())


def test_import_is_light() -> None:
    loaded = modules_after("import lts; lts.families(); dir(lts)")
    assert not loaded & {*HEAVY, "lts.study", "lts.measure", "lts.export", "lts.spaces"}


def test_loading_a_space_is_light() -> None:
    loaded = modules_after("import lts; lts.SearchSpace.load('gpt2-tiny').sample(3)")
    assert not loaded & set(HEAVY)


@pytest.mark.skipif(find_spec("lts.cli") is None, reason="lts.cli does not exist yet")
def test_help_is_light() -> None:
    code = """
import sys
sys.argv = ["lts-engine", "--help"]
from lts.cli import main
try:
    code = main()
except SystemExit as stop:
    code = stop.code
assert code in (0, None), code
"""
    assert not modules_after(code) & {"onnx", "onnxruntime", "plotly", "torch", "tvm"}


def test_public_names_exist() -> None:
    import lts

    assert sorted(lts.__all__) == lts.__all__
    assert set(lts.__all__) <= set(dir(lts))
    for name in lts.__all__:
        if name not in lts._LAZY:
            assert getattr(lts, name) is not None
    with pytest.raises(AttributeError, match="module 'lts' has no attribute 'nothing'"):
        _ = lts.nothing


def documented() -> Iterator[tuple[str, object]]:
    """Everything public in the core, with the members of its classes."""
    import lts._core

    for name, value in vars(lts._core).items():
        if name.startswith("_"):
            continue
        yield name, value
        if isinstance(value, type):
            yield from ((f"{name}.{n}", v) for n, v in vars(value).items() if not n.startswith("_"))


def test_everything_public_is_documented() -> None:
    missing = []
    for name, value in documented():
        # The first line of what pybind11 makes for a function is its signature.
        lines = (getattr(value, "__doc__", None) or "").strip().splitlines()
        if not lines or (lines[0].startswith(f"{name.split('.')[-1]}(") and len(lines) == 1):
            missing.append(name)
    assert not missing


def test_examples_in_docstrings_hold() -> None:
    runner = doctest.DocTestRunner()
    for name, value in documented():
        text = getattr(value, "__doc__", None) or ""
        runner.run(doctest.DocTestParser().get_doctest(text, {}, name, None, None))
    assert runner.summarize(verbose=False).failed == 0
    assert runner.tries > 0
