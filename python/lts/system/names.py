"""The one rule for names that files and folders are called after."""

from __future__ import annotations

from lts.errors import UsageError

MOST = 100
_MARKS = " ._-+,()"
RULE = (
    f"files and folders are called after it, so it must have 1 to {MOST} letters, digits, inner spaces "
    "and . _ - + , ( ) (so no '/'), and begin with a letter, a digit or _"
)


def is_name(text: str) -> bool:
    """Whether files and folders may be called so: in one folder, on any file system, and never an option."""
    return (
        0 < len(text) <= MOST
        and len(text.encode("utf-8", "replace")) <= 2 * MOST
        and all(character.isalnum() or character in _MARKS for character in text)
        and (text[0].isalnum() or text[0] == "_")
        and text[-1] != " "
    )


def check_name(text: str, where: str) -> str:
    """`text` when files and folders may be called so. Raises `UsageError`, with `where` in front, otherwise."""
    if not is_name(text):
        shown = repr(text if len(text) <= MOST else text[:MOST] + "...")
        raise UsageError(f"{where} is {shown}; {RULE}")
    return text
