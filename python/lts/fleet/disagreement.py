"""Devices and measurements that disagree with all others, after what devices share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from lts._core import Pooled
from lts.fleet.shared import Samples, pool

# A measurement so many robust standard deviations from what the other devices make of it, and off by this share.
_OUTLIER, _LEAST_OUTLIER = 6.0, 0.25
# A device whose mean error is so many times the median of the others', and at least this: its architectures rank by
# other rules. It takes three devices to say which one it is.
_ODD, _LEAST_ODD, _LEAST_DEVICES = 3.0, 0.1, 3
# A change of the unit within a device, first half against second half, for which throttling or a governor is named.
_DRIFT = 0.1
_LEAST_SAMPLES = 6


def disagreements(column: str, samples: Mapping[str, Samples]) -> list[str]:
    """Sentences for people about one measured column, by the name of the device."""
    known = {name: each for name, each in samples.items() if len(each) >= _LEAST_SAMPLES}
    if len(known) < _LEAST_DEVICES:
        return []
    pooled = pool(list(known.values()))
    assert pooled is not None
    odd = _odd_device(list(known), list(known.values()), pooled)
    notes = []
    if odd is not None:
        error = pooled.errors_from_others[list(known).index(odd)]
        notes.append(
            f"{odd}: {column} disagrees with all other devices, by {error:.0%} in the mean; is it throttled, or is its "
            "governor another one?"
        )
        # It is part of what all others are compared with.
        known.pop(odd)
        if len(known) < _LEAST_DEVICES - 1:
            return notes
        pooled = pool(list(known.values()))
        assert pooled is not None
    for (name, each), others in zip(known.items(), pooled.from_others, strict=True):
        notes += _odd_measurements(column, name, each, np.asarray(others))
    return notes


def _odd_device(names: Sequence[str], samples: Sequence[Samples], pooled: Pooled) -> str | None:
    """The device without which all others agree best, if it is far from them."""
    errors = np.asarray(pooled.errors_from_others)
    worst = int(np.argmax(errors))
    rest = pool([each for i, each in enumerate(samples) if i != worst])
    if rest is None:
        return None
    usual = float(np.median(rest.errors_from_others))
    return names[worst] if errors[worst] > max(_LEAST_ODD, _ODD * usual) else None


def _odd_measurements(column: str, device: str, samples: Samples, others: np.ndarray) -> list[str]:
    if len(others) != len(samples) or not (others > 0).all():
        return []
    logs = np.log(np.asarray(samples.values) / others)
    logs -= np.median(logs)
    limit = max(float(np.log1p(_LEAST_OUTLIER)), _OUTLIER * float(np.median(np.abs(logs))) / 0.6745)
    notes = [
        f"{device}: {column} of trial {samples.ids[i]} is {np.exp(logs[i]):.2g} times what the other devices make of "
        "it; measure it again"
        for i in np.flatnonzero(np.abs(logs) > limit).tolist()
    ]
    halves = [0, len(logs) // 2, len(logs)]
    first, second = (float(np.median(logs[a:b])) for a, b in pairwise(halves))
    if not notes and abs(second - first) > np.log1p(_DRIFT) and _separate(logs, halves[1]):
        notes.append(
            f"{device}: {column} of the later measurements is {np.exp(second - first):.2g} times that of the earlier "
            "ones, beside all other devices; is it throttled?"
        )
    return notes


def _separate(logs: np.ndarray, at: int) -> bool:
    """Whether two parts differ by more than their own spreads."""
    spreads = [float(np.median(np.abs(part - np.median(part)))) for part in (logs[:at], logs[at:])]
    change = abs(float(np.median(logs[at:]) - np.median(logs[:at])))
    return change > 3 * max(spreads) / 0.6745
