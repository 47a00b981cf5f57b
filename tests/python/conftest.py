"""Fixtures of all Python tests."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

# A shell starts background jobs deaf to Ctrl-C, nohup to a terminal that is closed, and so would be every process that
# the tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# Of several workers, each has a processor: threads of all of them would wait for one another, busily.
if "PYTEST_XDIST_WORKER" in os.environ:
    for library in ("OMP", "OPENBLAS", "MKL"):
        os.environ.setdefault(f"{library}_NUM_THREADS", "1")

# Where else something measures on this machine is nothing to the tests; what they start has the same name.
os.environ["LTS_CORE_LOCKS"] = f"tests-{os.getpid()}"

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "benchmarks"))  # what is only needed there and by tests


@pytest.fixture(scope="session")
def root() -> Path:
    """Root of the repository."""
    return ROOT


@pytest.fixture(scope="session")
def golden() -> Path:
    """Folder of the golden files."""
    return ROOT / "tests" / "golden"


@pytest.fixture(scope="session")
def published() -> Path:
    """Folder of the published tables of LiteTransformerSearch: ``$LTS_DATA/lts`` or ``../shared/data/lts``."""
    base = Path(os.environ.get("LTS_DATA", ROOT.parent / "shared" / "data"))
    folder = base if (base / "random_gpt2_wt103.csv").is_file() else base / "lts"
    if not (folder / "random_gpt2_wt103.csv").is_file():
        pytest.skip(f"the published tables are not in {folder}; set LTS_DATA to the folder that holds them")
    return folder
