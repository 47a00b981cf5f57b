"""What raw timings say: the median with its confidence interval, and doubts turned into advice."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

# As in hyperfine: further from the median than this many median absolute deviations, ten standard deviations of a
# normal distribution, is an outlier. (Iglewicz and Hoaglin 1993 suggest 3.5 / 0.6745; timings have longer tails.)
OUTLIER = 14.826

# Below these, advice would be noise itself.
_FEWEST = 10
_UNSURE = 0.05
_DRIFT = 0.1
_OUTLYING = 0.05

# A run whose sample is less than this share of its time on the wall waited for a core.
_UNDISTURBED = 0.98
# Share of runs that waited, from which on a measurement says so.
_MANY_DISTURBED = 0.1


@dataclass(frozen=True)
class Summary:
    """Summary of a sample, in its unit.

    `low` and `high` bound the median with the probability `coverage`, which is at least the one asked for unless
    there are too few samples.
    """

    n: int
    median: float
    mad: float
    minimum: float
    maximum: float
    low: float
    high: float
    coverage: float


def summary(samples: Sequence[float], confidence: float = 0.95) -> Summary:
    """Median, median absolute deviation, range, and a confidence interval of the median.

    The interval lies between two order statistics and holds for every continuous distribution, given independent
    samples (Conover, Practical Nonparametric Statistics, 3rd edition, section 3.2; Le Boudec, Performance Evaluation
    of Computer and Communication Systems, theorem 2.1). Consecutive timings are not quite independent, so that the
    true doubt is somewhat larger.

    Complexity: O(n log n), and that of `median_ranks`.

    Raises
    ------
    ValueError
        Without samples, or when `confidence` is not between 0 and 1.
    """
    if not samples:
        raise ValueError("no samples; a summary needs at least 1")
    ordered = sorted(samples)
    center = float(median(ordered))
    low, high, coverage = median_ranks(len(ordered), confidence)
    return Summary(
        n=len(ordered),
        median=center,
        mad=float(median(abs(x - center) for x in ordered)),
        minimum=float(ordered[0]),
        maximum=float(ordered[-1]),
        low=float(ordered[low]),
        high=float(ordered[high]),
        coverage=coverage,
    )


def median_ranks(n: int, confidence: float = 0.95) -> tuple[int, int, float]:
    """Indices, from 0, of the ordered samples between which the median lies, and with what probability it does.

    The narrowest symmetric pair with at least that confidence, or the first and the last sample when even they have
    less. How many of `n` samples lie below the median is binomial with p = 1/2, whatever their distribution.

    Complexity: O(n) operations on integers of n bits.

    Raises
    ------
    ValueError
        When `n` is below 1, or `confidence` is not between 0 and 1.
    """
    if n < 1:
        raise ValueError(f"n is {n}; it must be at least 1")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}; it must be between 0 and 1")
    numerator, denominator = ((1 - confidence) / 2).as_integer_ratio()
    allowed = (numerator << n) // denominator
    rank, ways, tail = 0, 1, 1  # of 2^n outcomes, `tail` have at most `rank` samples below the median, `ways` exactly
    while True:
        ways = ways * (n - rank) // (rank + 1)
        if tail + ways > allowed:
            break
        rank += 1
        tail += ways
    return rank, n - 1 - rank, 1 - tail / (1 << (n - 1))


def student_quantile(confidence: float, freedom: int) -> float:
    """How many standard errors to both sides hold Student's t with that probability.

    Bisection of the finite sums for whole degrees of freedom (Abramowitz and Stegun, 26.7.3 and 26.7.4).

    Raises
    ------
    ValueError
        When `confidence` is not between 0 and 1, or `freedom` is below 1.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}; it must be between 0 and 1")
    if freedom < 1:
        raise ValueError(f"freedom is {freedom}; it must be at least 1")
    low, high = 0.0, 1.0
    while _student_within(high, freedom) < confidence:
        low, high = high, 2 * high
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _student_within(middle, freedom) < confidence else (low, middle)
    return (low + high) / 2


def _student_within(t: float, freedom: int) -> float:
    """The probability that Student's t is between -t and t."""
    angle = math.atan(t / math.sqrt(freedom))
    cosine, sine = math.cos(angle), math.sin(angle)
    odd = freedom % 2
    term = total = cosine if odd else 1.0
    for k in range(2 + odd, freedom, 2):
        term *= cosine**2 * (k - 1) / k
        total += term
    if not odd:
        return sine * total
    return 2 / math.pi * (angle + sine * total) if freedom > 1 else 2 / math.pi * angle


def advice(samples: Sequence[float]) -> list[str]:
    """One sentence for every doubt that samples give rise to, in the order they were taken; usually none."""
    if len(samples) < _FEWEST:
        return []
    found = summary(samples)
    if found.median <= 0:
        return ["the median time is not above 0: the clock is too coarse"]
    return [sentence for sentence in (_unsure(found), _drift(samples), _outliers(samples, found)) if sentence]


def waited(samples: Sequence[float], wall: Sequence[float]) -> list[bool]:
    """Whether other programs had the core for a part of a run that matters, for every run."""
    return [sample < _UNDISTURBED * time for sample, time in zip(samples, wall, strict=True)]


def shared_core(samples: Sequence[float], wall: Sequence[float]) -> list[str]:
    """A sentence when many runs waited for a core, which their samples leave out."""
    n = sum(waited(samples, wall))
    if n <= _MANY_DISTURBED * len(samples):
        return []
    share = 1 - sum(samples) / sum(wall)
    return [
        f"other programs had the processor during {n} of {len(samples)} samples, {share:.0%} of the time; "
        "what the model waited for it is left out"
    ]


def _unsure(found: Summary) -> str:
    width = (found.high - found.low) / 2 / found.median
    if width <= _UNSURE:
        return ""
    return f"the median is known to ±{width:.0%} only: the machine is noisy; close other programs or measure longer"


def _drift(samples: Sequence[float]) -> str:
    """Whether the first and the last half of the samples have medians that differ for sure, and by enough to matter."""
    half = len(samples) // 2
    before, after = summary(samples[:half], 0.99), summary(samples[-half:], 0.99)
    if after.low > before.high and after.median > before.median * (1 + _DRIFT):
        rise = after.median / before.median - 1
        return f"times rose by {rise:.0%} while measuring: the processor may be getting hot, or another program started"
    if after.high < before.low and after.median < before.median * (1 - _DRIFT):
        fall = 1 - after.median / before.median
        return f"times fell by {fall:.0%} while measuring: more warm-up is needed, or another program ended"
    return ""


def _outliers(samples: Sequence[float], found: Summary) -> str:
    """A few outliers leave the median alone; many do not."""
    limit = found.median + OUTLIER * found.mad if found.mad > 0 else found.median * (1 + _DRIFT)
    n = sum(x > limit for x in samples)
    if n <= _OUTLYING * found.n:
        return ""
    return f"{n} of {found.n} samples are outliers, up to {found.maximum / found.median:.1f} times the median: " + (
        "other programs interfere"
    )
