"""Fixtures of the tests of reports."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from browser import Chromium, launched


# Of a module, not of the session: while playwright runs, no other test could run an event loop.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Chromium]:
    """Chromium, where there is one."""
    with launched() as found:
        yield found
