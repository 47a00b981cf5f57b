"""`python -m lts` is the command `lts-engine`."""

from __future__ import annotations

from lts.cli import main

if __name__ == "__main__":
    main()
