"""Another machine's sensors of energy: files like those of /sys, and a clock that moves them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

RANGE = 262_143_328_850


def put(file: Path, content: object) -> Path:
    """Write a file as the kernel shows it, whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_name(f".{file.name}")
    new.write_text(f"{content}\n")
    new.replace(file)
    return file


def package(root: Path, domain: str = "intel-rapl:0", name: str = "package-0", uj: object = 1000) -> Path:
    """A domain of RAPL; returns the file of its counter."""
    folder = root / "sys/class/powercap" / domain
    put(folder / "name", name)
    put(folder / "max_energy_range_uj", RANGE)
    return put(folder / "energy_uj", uj)


def chip(root: Path, number: int = 0, name: str = "ina3221", **files: object) -> Path:
    """A chip of hwmon with these files; returns its folder."""
    folder = root / f"sys/class/hwmon/hwmon{number}"
    put(folder / "name", name)
    for file, content in files.items():
        put(folder / file, content)
    return folder


@contextmanager
def moving(step: Callable[[float], None], pause: float = 0.001) -> Iterator[None]:
    """Call a function again and again with the seconds since the beginning, until the block ends."""
    ended = threading.Event()

    def move() -> None:
        begun = time.perf_counter()
        while not ended.wait(pause):
            step(time.perf_counter() - begun)

    thread = threading.Thread(target=move, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@contextmanager
def taking(counter: Path, watts: float) -> Iterator[None]:
    """A counter of energy that rises by so many watts while the block runs."""

    def rise(seconds: float) -> None:
        put(counter, 1000 + int(1e6 * watts * seconds) % RANGE)

    with moving(rise):
        yield
