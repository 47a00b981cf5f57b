"""Numbers, units and lists as text for people."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

_UNITS = {
    "ns": "ns",
    "us": "µs",
    "ms": "ms",
    "s": "s",
    "bytes": "bytes",
    "kib": "KiB",
    "mib": "MiB",
    "gib": "GiB",
    "mb": "MB",
    "gb": "GB",
    "mj": "mJ",
    "j": "J",
    "mw": "mW",
    "w": "W",
    "params": "parameters",
    "flops": "operations",
    "token": "token",
    "tokens": "tokens",
    "percent": "%",
}
_SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
_THIN = "\u202f"  # narrow no-break space between groups of digits


def unit(name: str) -> str:
    """The unit that the name of a column ends with: "ms" of ``latency_ms``; empty when it names none."""
    parts = name.lower().split("_")
    if "per" in parts[1:-1]:
        middle = parts.index("per", 1)
        over, under = _UNITS.get(parts[middle - 1]), _UNITS.get(parts[middle + 1], parts[middle + 1])
        return f"{over} per {under}" if over else ""
    if len(parts) == 1:
        return ""
    return _UNITS.get(parts[-1]) or ("operations" if parts[0] == "flops" else "")


def number(value: float) -> str:
    """Whole numbers with their digits grouped, others to four significant digits."""
    if float(value).is_integer() and abs(value) < 1e10:
        return grouped(int(value))
    if 1e4 <= abs(value) < 1e10:
        return grouped(round(value))
    return f"{value:#.4g}".rstrip(".")


def with_bounds(value: float, bounds: tuple[float, float] | None) -> str:
    """A number with how far the ends of its interval are from it, at most: "81.20 ±1.2"."""
    half = 0.0 if bounds is None else max(value - bounds[0], bounds[1] - value)
    if half <= 0:
        return number(value)
    return f"{number(value)} ±{number(half) if half >= 100 else format(Decimal(f'{half:.2g}'), 'f')}"


def extent(values: Sequence[float]) -> str:
    """The least and the greatest value as text; empty when there are none."""
    if not values:
        return ""
    low, high = number(min(values)), number(max(values))
    return low if low == high else f"{low} to {high}"


def percent(change: float | None) -> str:
    """A relative change with its sign: "+3.1 %"; empty for None."""
    return "" if change is None else f"{100 * change:+.3g} %"


def grouped(value: int) -> str:
    """A whole number with its digits in groups of three."""
    return f"{value:,}".replace(",", _THIN)


def magnitude(value: int) -> str:
    """A size as text: exact below 10^12, as a power of ten above."""
    if value < 10**12:
        return grouped(value)
    exponent = int(math.log10(value))
    exponent -= value < 10**exponent  # the logarithm of a number just below a power of ten is rounded up to it
    leading = value // 10 ** (exponent - 2)
    return f"{leading // 100}.{leading % 100:02}\u00a0×\u00a010{str(exponent).translate(_SUPERSCRIPTS)}"


def runs(values: Iterable[object]) -> str:
    """Values per layer with repetitions counted: [2, 2, 2, 8] is "3×2 8"."""
    counted: list[tuple[int, object]] = []
    for value in values:
        if counted and counted[-1][1] == value:
            counted[-1] = (counted[-1][0] + 1, value)
        else:
            counted.append((1, value))
    return " ".join(str(value) if n == 1 else f"{n}×{value}" for n, value in counted)


def spelled_duration(seconds: float) -> str:
    """Seconds as "0.42 s", "12.3 s", "6 min 4 s" or "1 h 2 min"."""
    if seconds < 1:
        return f"{seconds:.2g} s"
    if seconds < 59.95:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def time_each(seconds: float) -> str:
    """A time that may be very short: "3.1 µs", "42 ms", or as `duration`."""
    if seconds < 9.995e-4:  # below, three digits are no more than 999
        return f"{seconds * 1e6:.3g} µs"
    return f"{seconds * 1e3:.3g} ms" if seconds < 0.9995 else spelled_duration(seconds)


def plural(n: int, noun: str) -> str:
    """The number with its noun: "1 trial", "2 trials"."""
    return f"{grouped(n)} {noun}" if n == 1 else f"{grouped(n)} {noun}s"


def listed(values: Iterable[object], most: int = 12) -> str:
    """The values separated by commas: the first `most`, and how many more there are."""
    texts = [str(value) for value in values]
    return ", ".join(texts[:most]) + (f" and {len(texts) - most} more" if len(texts) > most else "")


def flattened(description: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested JSON as rows of a dotted name and a value."""
    rows: list[tuple[str, str]] = []
    for key, value in description.items():
        if isinstance(value, Mapping):
            rows += flattened(value, f"{prefix}{key}.")
        elif isinstance(value, list):
            rows.append((prefix + key, ", ".join(map(str, value)) or "none"))
        elif isinstance(value, bool):
            rows.append((prefix + key, "yes" if value else "no"))
        else:
            rows.append((prefix + key, "unknown" if value is None else str(value)))
    return rows


_MOST_DIGITS = 40


def shortened(message: str) -> str:
    """The message with numbers of more than 40 digits as their first ones and how many there are."""
    return re.sub(rf"\d{{{_MOST_DIGITS + 1},}}", lambda m: f"{m[0][:10]}... ({len(m[0])} digits)", message)
