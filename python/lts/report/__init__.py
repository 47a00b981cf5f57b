"""One HTML file about a study, to be read without a network, and its charts as figures. Needs plotly."""

from __future__ import annotations

from pathlib import Path

from lts.errors import UsageError
from lts.report.figures import plot_front, plot_hypervolume, plot_predictions
from lts.system.files import replace_file

__all__ = ["plot_front", "plot_hypervolume", "plot_predictions", "write_report"]


def write_report(store_path: Path, out: Path) -> None:
    """Write the report of a study; the file appears at once and whole.

    Parameters
    ----------
    store_path
        The store of the study. It is only read; a search may be writing it.
    out
        The HTML file to write.

    Raises
    ------
    UsageError
        When the store cannot be read, the file cannot be written, or plotly is not installed.
    """
    from lts.report.contents import read
    from lts.report.page import document

    contents = read(Path(store_path))
    _write(Path(out), document(contents, _plotly_js()))


def _plotly_js() -> str:
    try:
        from plotly.offline import get_plotlyjs
    except ImportError:
        raise UsageError("the report needs plotly: pip install 'lts-engine[report]'") from None
    return str(get_plotlyjs())


def _write(out: Path, text: str) -> None:
    """Replace the file in one step; what is not a file, such as a pipe, is written to."""
    try:
        replace_file(out, text)
    except OSError as error:
        raise UsageError(f"cannot write the report {out}: {error.strerror or error}") from None
