"""GitLab's code quality report, a subset of Code Climate's: https://docs.gitlab.com/ci/testing/code_quality."""

from __future__ import annotations

import hashlib
import json
import posixpath
from collections.abc import Sequence
from pathlib import Path

from lts.measure.compare import Answer
from lts.report.ci.compared import Compared

_SEVERITIES = {Answer.regression: "major", Answer.inconclusive: "minor"}


def findings(rows: Sequence[Compared]) -> str:
    """A finding for each regression, and for what is inconclusive; a list without elements when there is neither.

    The fingerprint is of the model, the metric and the verdict, not of the values: GitLab compares the fingerprints of
    two branches to say what is new and what is resolved.
    """
    found = [
        {
            "description": f"{row.model}: {row.text}",
            "check_name": f"lts-engine/{row.metric}",
            "fingerprint": _fingerprint(row.model, row.metric, row.verdict.value),
            "severity": "major" if row.fails else _SEVERITIES[row.verdict],
            "location": {"path": _path(row.given), "lines": {"begin": 1}},
        }
        for row in rows
        if row.verdict in _SEVERITIES
    ]
    return json.dumps(found, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _fingerprint(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def _path(given: str) -> str:
    """The file or folder that the contender is, relative to the working directory; the last part of one outside."""
    path = given.partition("#")[0] or given
    if path.startswith("/"):
        path = posixpath.relpath(path, Path.cwd())
    path = posixpath.normpath(path)
    inside = not path.startswith("../") and path not in ("..", ".")
    return path if inside else posixpath.basename(path.rstrip("./")) or "contender"
