"""A program in the place of llama-bench, which answers as that does, or as tests want it."""

from __future__ import annotations

import sys
from pathlib import Path

ANSWER = "print(json.dumps([test]))"


def stand_in(folder: Path, code: str = ANSWER) -> Path:
    """The program. In its code, `option` has what it was given, and `test` the answer that is right."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "llama-bench"
    path.write_text(
        f"#!{sys.executable} -SE\nimport json, os, sys, time\n"
        "if '--version' in sys.argv: sys.exit(print('version: 4711 (abc)'))\n"
        "option = dict(zip(sys.argv[1::2], sys.argv[2::2]))\n"
        "test = {'model_filename': option['-m'], 'n_threads': int(option['-t']), 'n_prompt': int(option['-p']),\n"
        "        'n_gen': int(option['-n']), 'n_depth': int(option.get('-d', 0)),\n"
        "        'samples_ns': [10_000_000] * int(option['-r'])}\n"
        "if '-pg' in option: test['n_prompt'], test['n_gen'] = map(int, option['-pg'].split(','))\n"
        f"{code}\n"
    )
    path.chmod(0o755)
    return path
