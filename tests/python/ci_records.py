"""Records of comparisons that are made up, as `lts-engine compare -o json` prints them, with nasty names."""

from __future__ import annotations

from typing import Any

NASTY = (
    "a%b:c,d=e",
    "::error title=x::y",
    "##[error]z",
    "line\nbreak\r\nand\ttab",
    "<script>alert(1)</script>&amp;",
    "a|b\\|c",
    "`code` *bold* _it_ [link](http://x.y) ![i](j) @everyone www.x.y",
    "]]>\"quoted' 'x",
    "\0\x01\x1b[31m\x7f\u2028\u202e\ufffe\ud800",
    "study.db#3",
    "ünïcode 模型 🤖",
    "--- # }{$HOME $(id) `id`",
    "",
    " ",
    "x" * 1000,
)


def record(
    metric: str = "request_ms",
    verdict: str = "regression",
    *,
    name: str = "new.json",
    values: tuple[float, float] = (1.085, 1.455),
    half: float = 0.037,
    **more: Any,
) -> dict[str, Any]:
    """One metric of one model, four processes per side."""
    processes = 1 if half == 0 else 4

    def side(value: float, given: str) -> dict[str, Any]:
        return {
            "name": given,
            "value": value,
            "interval": [value - half, value + half],
            "coverage": 0.0 if half == 0 else 0.875,
            "processes": processes,
        }

    change = values[1] / values[0] - 1
    return {
        "metric": metric,
        "verdict": verdict,
        "provenance": "measured",
        "baseline": side(values[0], "shipped.json"),
        "contender": side(values[1], name),
        "change": change,
        "change_interval": [change - 0.02, change + 0.03] if half else [change, change],
        "p_value": 0.029,
        "max_regression": 0.05,
        "enough": None,
        "measured_again": verdict == "regression",
        "not_seen_again": False,
        "processes": [],
        "samples_ns": [{"prefill": [1_000_000_000, 500_000_000]}, {"prefill": [250_000_000]}],
        "target": "host",
        "n_prompt": 64,
        "n_gen": 4,
        "threads": 1,
        "device": "local",
        "backend": "onnxruntime",
        "environment": "c0ffee12",
        **more,
    }


def instructions(verdict: str = "regression", **more: Any) -> dict[str, Any]:
    """What an emulated processor counts: the same every time, one process per side."""
    return record(
        "instructions",
        verdict,
        values=(182728.0, 197924.0),
        half=0,
        provenance="emulated",
        max_regression=0.0,
        p_value=None,
        target="arm64",
        device="emulated",
        backend="tvm",
        **more,
    )


def several() -> list[dict[str, Any]]:
    """Two models, every verdict, both directions and both provenances."""
    return [
        record(model="small"),
        record("peak_memory_mib", "same", values=(6.883, 6.9), half=0.012, model="small"),
        record("tokens_per_second", "improvement", values=(100.0, 150.0), half=2.0, model="small"),
        record("latency_ms", "inconclusive", values=(2.0, 2.1), half=0.3, model="large", not_seen_again=True),
        instructions(model="large"),
    ]
