"""What a precision changes in a model, on stderr: errors of its matrices, and perplexity on a text."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from lts.cli.log import say
from lts.system.text import listed

if TYPE_CHECKING:
    from lts._core import Architecture
    from lts.measure.tokens import Ids
    from lts.study.exportable import Exportable

_WORST = 5


def say_errors(model: Exportable, precision: str) -> None:
    """The matrices that rounding moves most."""
    from lts.export import error_report, quantization_errors

    errors = quantization_errors(model.architecture, precision, model.weights)
    say(f"errors of {precision}, exact: norm of the difference relative to the matrix, and largest difference")
    say("\n".join(f"  {line}" for line in error_report(errors, _WORST).splitlines()))


def say_not_quantized(architectures: Iterable[Architecture], precision: str) -> None:
    """Which matrices of GGUF files stay float16, because their rows fit no blocks of int8 and int4."""
    from lts.export.gguf_tensors import TYPES, not_quantized

    found = [not_quantized(architecture, precision) for architecture in architectures]
    if names := list(dict.fromkeys(name for each in found for name in each)):
        say(
            f"note: float16 in place of {TYPES[precision]}, as llama.cpp does it, are matrices whose rows are no "
            f"multiple of 32 numbers: {listed(names, 3)}"
        )


def read_windows(model: Exportable, precision: str, text: Path) -> Ids:
    """The windows of a text that count, (n_windows, length), for a precision that can be run here."""
    from lts.backends.precisions import check_runtime
    from lts.measure.perplexity import LONGEST_WINDOW, MOST_WINDOWS, windows_of
    from lts.measure.tokens import read_tokens

    check_runtime(precision)
    n_positions, vocab_size = model.architecture.n_positions, model.architecture.vocab_size
    most = MOST_WINDOWS * min(n_positions, LONGEST_WINDOW)
    ids = read_tokens(text, vocab_size, most + 1, model.tokenizer)
    windows = windows_of(ids, n_positions)
    if len(ids) > windows.size:
        say(f"note: of {text}, the first {windows.size} tokens count")
    return windows


def say_perplexity(model: Exportable, precision: str, windows: Ids, text: Path) -> None:
    """The perplexity on windows of a text in float32 and in the precision."""
    from lts.measure.perplexity import perplexities, sentences

    found = perplexities(model.architecture, model.weights, windows, ("float32", precision))
    for line in sentences(found, windows, str(text)):
        say(line)
