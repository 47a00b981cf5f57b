"""The signs of our own text where a terminal or a file has ASCII alone: "1 175" with a plain space, "1.26 x 10^15"."""

from __future__ import annotations

import codecs
import os
import re
from collections.abc import Mapping

_UNKNOWN, _AS_UTF8 = "lts-plain", "lts-plain-utf8"
_SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹"
_SIGNS = {
    "\u00a0": " ",
    "\u202f": " ",
    "\u2009": " ",
    "×": "x",
    "±": "+/-",
    "µ": "u",
    "≤": "<=",
    "≥": ">=",
    "…": "~",  # one column, as what it stands for: a line that was cut stays as long as it may be
    "–": "-",
    "─": "-",
    "━": "#",
    "╸": "#",
    "→": "->",
    "•": "*",
    "’": "'",
    "“": '"',
    "”": '"',
}


def form_of(encoding: str, environment: Mapping[str, str] = os.environ) -> tuple[str, str]:
    """Encoding and error handler for a stream to which Python writes in `encoding`.

    Under the locale C that somebody asks for, Python writes UTF-8 all the same, and a terminal shows question marks:
    there our own signs are ASCII. What users have named themselves is written as Python would.
    """
    told = next((environment[name] for name in ("LC_ALL", "LC_CTYPE", "LANG") if environment.get(name)), "")
    if told in ("C", "POSIX") and codecs.lookup(encoding).name == "utf-8" and "PYTHONIOENCODING" not in environment:
        return "ascii", _AS_UTF8
    return encoding, _UNKNOWN


def plain(text: str) -> str:
    """The text with our own signs in ASCII, and everything else as it is."""
    text = re.sub(f"[{_SUPERSCRIPTS}]+", lambda found: f"^{_digits(found[0])}", text)
    return text.translate(_TABLE)


def readable(text: str, encoding: str | None) -> str:
    """The text as a stream of this encoding shows it: before it is laid out, for signs in ASCII are wider."""
    try:
        text.encode(encoding or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return plain(text)
    return text


_TABLE = str.maketrans(_SIGNS)


def _digits(superscripts: str) -> str:
    return "".join(str(_SUPERSCRIPTS.index(each)) for each in superscripts)


def _replaced(error: UnicodeError) -> tuple[str, int]:
    """A question mark for a sign that has no form in ASCII: it is better than a lost result."""
    text, end = _ours(error)
    return "".join(each if each.isascii() else "?" for each in text), end


def _as_utf8(error: UnicodeError) -> tuple[bytes, int]:
    text, end = _ours(error)
    return text.encode("utf-8", errors="replace"), end


def _ours(error: UnicodeError) -> tuple[str, int]:
    """What replaces the signs that cannot be encoded, and where they end."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = plain(error.object[error.start : error.end])
    if error.start and error.object[error.start - 1] in _SUPERSCRIPTS:  # one sign was asked for at a time
        text = text.removeprefix("^")
    return text, error.end


codecs.register_error(_UNKNOWN, _replaced)
codecs.register_error(_AS_UTF8, _as_utf8)
