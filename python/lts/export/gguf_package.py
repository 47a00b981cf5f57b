"""The package gguf, where it is installed."""

from __future__ import annotations

from typing import Any

from lts.errors import UsageError


def package() -> Any:
    """The package gguf. Raises `UsageError` when it is not installed."""
    try:
        import gguf
    except ImportError:
        raise UsageError(
            "GGUF files need the package gguf, which is not installed: pip install 'lts-engine[gguf]'"
        ) from None
    return gguf
