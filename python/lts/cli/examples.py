"""Commands that work, shown in the help of each command, and the page that says more.

In the order of this table, in an empty directory, each finds what the ones before have written.
"""

from __future__ import annotations

from collections.abc import Mapping

EXAMPLES: Mapping[str, tuple[str, ...]] = {
    "": (
        "lts-engine search gpt2-tiny --timeout 1m",
        "lts-engine front gpt2-tiny-host",
        "lts-engine export gpt2-tiny-host --pick best -O models",
    ),
    "search": (
        "lts-engine search gpt2-tiny --timeout 1m",
        "lts-engine search gpt2-tiny --timeout 1m --constraint 'request_ms<=300' -O below-300",
        "lts-engine search --target arm64 --device ssh://pi@raspberrypi --constraint 'request_ms<=300'",
    ),
    "compress": (
        "lts-engine compress SmolLM2-135M --text handbook.txt --precision int8 --timeout 30m",
        "lts-engine compress SmolLM2-135M --text handbook.txt --eval-text faq.txt --constraint 'decoder_params<=80e6'",
    ),
    "front": (
        "lts-engine front gpt2-tiny-host --where 'request_ms<=300' --sort request_ms",
        "lts-engine front gpt2-tiny-host --again --pick best --processes 2",
    ),
    "export": (
        "lts-engine export gpt2-tiny-host --pick best --precision int8 -O models",
        "lts-engine export gpt2-tiny-host --pick all --format onnx -O front",
    ),
    "verify": ("lts-engine verify models",),
    "export-optuna": ("lts-engine export-optuna gpt2-tiny-host -O optuna.db",),
    "report": ("lts-engine report gpt2-tiny-host -f report.html",),
    "count": ("lts-engine count gpt2-tiny-host#0 --n-prompt 256",),
    "estimate": ("lts-engine estimate gpt2-tiny-host#0 --target cortex-a72",),
    "bench": (
        "lts-engine bench gpt2-tiny-host#0 --metric latency,memory --save main",
        "lts-engine bench gpt2-tiny-host#0 -p 32,64 -n 0 -o csv",
    ),
    "compare": (
        "lts-engine compare gpt2-tiny-host#0 gpt2-tiny-host#0 --max-regression 10%",
        "lts-engine compare gpt2-tiny-host#0 --against main --metric latency --max-regression 50%",
    ),
    "gate": (
        "lts-engine gate lts-gate.toml --only small --report junit=gate.xml",
        "lts-engine gate -o md",
    ),
    "doctor": ("lts-engine doctor",),
    "columns": ("lts-engine columns", "lts-engine columns -o csv"),
    "history": ("lts-engine history", "lts-engine history merge lts-history.jsonl -O all.jsonl"),
    "history show": ("lts-engine history show --metric latency_ms --html history.html",),
    "history merge": ("lts-engine history merge lts-history.jsonl -O all.jsonl",),
    "space": ("lts-engine space list", "lts-engine space show gpt2-tiny"),
    "space list": ("lts-engine space list",),
    "space show": ("lts-engine space show gpt2-tiny",),
    "space sample": ("lts-engine space sample gpt2-tiny -n 3", "lts-engine space sample gpt2-tiny > architecture.json"),
    "space check": ("lts-engine space check gpt2-tiny architecture.json",),
    "target": ("lts-engine target list", "lts-engine target detect -f mine.toml"),
    "target list": ("lts-engine target list",),
    "target show": ("lts-engine target show cortex-a72",),
    "target detect": ("lts-engine target detect -f mine.toml",),
    "target calibrate": (
        "lts-engine target calibrate -f calibrated.toml --trials 8 --timeout 3m",
        "lts-engine target calibrate arm64 --device ssh://pi@raspberrypi -f my-pi.toml",
    ),
    "target bundle": ("lts-engine target bundle arm64 -O runner",),
    "proxy": (
        "lts-engine proxy list",
        "lts-engine search gpt2-tiny --objective zerolm:max --objective request_ms:min --timeout 1m -O by-zerolm",
    ),
    "proxy list": ("lts-engine proxy list",),
    "proxy validate": ("lts-engine proxy validate gpt2-tiny --text book.txt --models 4 --timeout 1m",),
    "proxy evaluate": ("lts-engine proxy evaluate gpt2-tiny-validation/table.csv --quality valid_loss:min",),
    "proxy alpha": ("lts-engine proxy alpha gpt2-tiny-validation/table.csv --sample 4",),
    "benchmark": (
        "lts-engine benchmark gpt2-tiny-validation/table.csv --pool --objective valid_loss:min "
        "--objective decoder_params:min --seeds 3 --evaluations 30",
        "lts-engine benchmark gpt2-tiny-validation/table.csv --pool --objective valid_loss:min "
        "--objective decoder_params:min --algorithm random --algorithm nsga2 --seeds 3 --evaluations 30 -O few -o csv",
    ),
    "proxy capacity": ("lts-engine proxy capacity gpt2-tiny-host#0",),
}

# A group's page is that of its commands, where they have none of their own.
PAGES: Mapping[str, str] = {
    "": "README.md, docs/measuring.md, docs/devices.md",
    "search": "docs/measuring.md, docs/devices.md, docs/surrogate.md; every column: lts-engine columns",
    "compress": "docs/compress.md; every column: lts-engine columns",
    "front": "docs/measuring.md",
    "export": "docs/formats.md",
    "verify": "docs/formats.md",
    "export-optuna": "docs/notebooks.md",
    "report": "README.md",
    "count": "docs/counting.md",
    "estimate": "docs/estimates.md",
    "bench": "docs/ci-gates.md; every column: lts-engine columns",
    "compare": "docs/ci-gates.md",
    "gate": "docs/ci-gates.md",
    "benchmark": "docs/benchmark.md",
    "doctor": "docs/devices.md",
    "columns": "docs/measuring.md, docs/counting.md",
    "history": "docs/ci-gates.md",
    "space": "docs/spaces.md",
    "target": "docs/estimates.md",
    "target calibrate": "docs/surrogate.md",
    "target bundle": "docs/runner.md",
    "proxy": "docs/proxies.md",
}
