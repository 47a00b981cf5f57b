"""The rooms of the Python package: the order of dependence that HACKING.md states, sizes, and what runs on a device."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "python" / "lts"

# What each room may import besides itself and `errors`.
GROUND = {"system"}
LOWER = GROUND | {"spaces", "targets", "export"}
DEVICES = GROUND | {"targets", "jobs", "devices"}
MEASURE = LOWER | DEVICES | {"backends", "measure"}
EVERYTHING = MEASURE | {"study", "networks", "proxies"}
ALLOWED = {
    "errors": set(),
    "system": set(),
    "spaces": GROUND,
    "targets": GROUND,
    "export": GROUND,
    "networks": LOWER,
    "jobs": GROUND | {"targets"},
    "devices": GROUND | {"targets", "jobs"},
    "backends": DEVICES,
    "measure": LOWER | DEVICES | {"backends"},
    "study": MEASURE,
    "proxies": LOWER | {"networks"},
    "benchmarks": MEASURE | {"study"},
    "testing": MEASURE | {"study"},
    "compress": EVERYTHING,
    "fleet": MEASURE | {"study"},
    "report": EVERYTHING | {"compress", "benchmarks", "fleet"},
    "cli": EVERYTHING | {"compress", "benchmarks", "fleet", "report"},
    "__main__": {"cli"},
    "__init__": EVERYTHING | {"compress", "fleet", "report"},
}
# What a device gets a copy of: it has no core, which is compiled.
ON_DEVICE = ("errors", "system", "targets", "jobs", "devices", "backends")

# Lines of the files beyond the size that HACKING.md is uneasy above. Lift a concept out, then lower or remove the row.
LONGER = {
    "cpp/include/lts/lts.h": 440,  # the whole C interface: as long as that has functions
    "cpp/include/lts/weights.hpp": 231,
    "python/lts/export/remote/modeling_lts.py": 429,  # one file for all families, that stands beside a model
    "python/lts/networks/training.py": 321,
}
SIZES = (
    ("cpp/include", 200, (".hpp", ".h")),
    ("cpp/src", 400, (".cpp", ".hpp")),
    ("cpp/runner", 400, (".cpp", ".hpp")),
    ("bindings", 200, (".cpp", ".hpp")),
    ("python/lts", 300, (".py",)),
)


# Copied beside exported models and run by transformers alone: no part of the package.
REMOTE = PACKAGE / "export" / "remote"


def module_files() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py") if path.parent != REMOTE)


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(("lts", *parts)).removesuffix(".__init__")


MODULES = {name_of(path): path for path in module_files()}


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imports(path: Path) -> Iterator[str]:
    """Modules of lts that a file imports, wherever in it, also for type checkers only."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in MODULES)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path.relative_to(ROOT)}:{node.lineno} imports relatively"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                if whole in MODULES:
                    yield whole
                elif node.module in MODULES and whole != "lts._core":
                    yield node.module


@pytest.mark.parametrize("path", module_files(), ids=lambda p: str(p.relative_to(PACKAGE)))
def test_order_of_rooms(path: Path) -> None:
    room = room_of(path)
    assert room in ALLOWED, f"say in test_rooms.py what {room} may import"
    allowed = ALLOWED[room] | {room, "errors"}
    for name in imports(path):
        imported = name.split(".")[1] if "." in name else "__init__"
        if imported == "__init__" and room == "cli":
            continue  # the version
        assert imported in allowed, f"{path.relative_to(ROOT)} may not import {name}"


@pytest.mark.parametrize("path", sorted(REMOTE.glob("*.py")), ids=lambda p: p.name)
def test_what_stands_beside_models_needs_only_transformers(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            beside = f"{node.module}.py" if node.level == 1 else None
            assert beside is None or (REMOTE / beside).is_file(), f"{path.name}:{node.lineno}"
            names = [] if beside else [node.module or ""]
        for name in names:
            top = name.split(".")[0]
            assert top in {"torch", "transformers"} or top in sys.stdlib_module_names, f"{path.name} imports {name}"


def test_no_circle() -> None:
    """Not within a room either, nor one that only a type checker sees."""
    edges = {name: {other for other in imports(path) if other not in (name, "lts")} for name, path in MODULES.items()}
    done: set[str] = set()

    def visit(name: str, above: tuple[str, ...]) -> None:
        assert name not in above, f"a circle of imports: {' -> '.join((*above[above.index(name) :], name))}"
        if name not in done:
            for other in sorted(edges[name]):
                visit(other, (*above, name))
            done.add(name)

    for name in sorted(edges):
        visit(name, ())


@pytest.mark.parametrize("room", ON_DEVICE)
def test_what_runs_on_a_device_needs_no_core(room: str) -> None:
    files = [path for path in module_files() if room_of(path) == room]
    for path in files:
        if path.name == "__init__.py":
            assert not path.read_text(encoding="utf-8").strip(), f"{path.relative_to(ROOT)} must be empty"
    skipped = ("lts.targets.estimate", "lts.backends.tvm", "lts.devices.ssh.agent")
    names = [name for name in map(name_of, files) if not name.startswith(skipped)]
    code = f"""
import sys, types
sys.modules["lts._core"] = None
package = types.ModuleType("lts")
package.__path__ = [{str(PACKAGE)!r}]
sys.modules["lts"] = package
import importlib
for name in {names!r}:
    importlib.import_module(name)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr


def files_with_sizes() -> Iterator[tuple[str, int, int]]:
    for folder, limit, suffixes in SIZES:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in suffixes:
                name = path.relative_to(ROOT).as_posix()
                yield name, path.read_text(encoding="utf-8").count("\n"), limit


def test_files_stay_small() -> None:
    too_long = [
        f"{name} has {lines} lines; {LONGER.get(name, limit)} are allowed"
        for name, lines, limit in files_with_sizes()
        if lines > LONGER.get(name, limit)
    ]
    assert not too_long, "; ".join(too_long)


def test_the_list_of_longer_files_only_shrinks() -> None:
    sizes = {name: (lines, limit) for name, lines, limit in files_with_sizes()}
    for name, allowed in LONGER.items():
        assert name in sizes, f"{name} is gone: remove its row"
        lines, limit = sizes[name]
        assert lines == allowed or lines > limit, f"{name} has {lines} lines now: remove its row"
        assert lines >= allowed, f"{name} has {lines} lines now: lower its row"


def test_the_map_names_what_exists() -> None:
    """Every room and module in the map of HACKING.md is there, and every room and module that is there is in it."""
    text = (ROOT / "HACKING.md").read_text(encoding="utf-8")
    named = {"errors", "report", "cli", "testing"}
    room = None
    for line in text[text.index("python/lts/  ") : text.index("tests/cpp tests/python")].splitlines()[1:]:
        if match := re.fullmatch(r"    (\w+)/", line):
            room = match[1]
        elif room and (match := re.match(r"        ((?:\w+ )+)", line)):
            named |= {f"{room}/{name}" for name in match[1].split()}
    for name in named:
        path = PACKAGE / name
        assert path.with_suffix(".py").is_file() or path.is_dir(), f"HACKING.md's map names {name}"
    inside = {"__init__", "__main__", "_core"}
    there = {"/".join(path.relative_to(PACKAGE).with_suffix("").parts[:2]) for path in module_files()}
    there = {name for name in there if name.split("/")[-1] not in inside}
    missing = {name for name in there if name not in named and name.split("/")[0] not in named}
    assert not missing, f"HACKING.md's map lacks {', '.join(sorted(missing))}"
