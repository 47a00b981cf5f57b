"""The factors by which Llama 3 lengthens the wavelengths of rotary positions, and what rule given factors follow."""

from __future__ import annotations

from collections.abc import Mapping
from math import pi
from typing import Any

import numpy as np
import numpy.typing as npt

# What Llama 3.1 and 3.2 were trained with; their factors are 8 and 32 (Grattafiori et al. 2024).
_LLAMA_3 = {"low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_positions": 8192}
_CLOSE = 1e-5  # relative; factors are float32


def rotary_factors(scaling: Mapping[str, Any], theta: float, width: int) -> npt.NDArray[np.float64]:
    """By what each wavelength is longer, (width / 2,).

    Llama 3 (Grattafiori et al. 2024) has `factor` for those of which fewer than `low_freq_factor` fit into the
    `original_positions`, 1 where more than `high_freq_factor` do, and goes linearly in the frequency in between.

    Parameters
    ----------
    scaling
        `rotary_scaling` of an architecture.
    theta, width
        Base of the wavelengths, and how many channels of a head are rotated.
    """
    periods = scaling["original_positions"] / _wavelengths(theta, width)
    low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
    kept = np.clip((periods - low) / (high - low), 0, 1)
    factors: npt.NDArray[np.float64] = 1 / ((1 - kept) / scaling["factor"] + kept)
    return factors


def scaling_of(factors: npt.NDArray[Any], theta: float, original_positions: int | None = None) -> dict[str, Any] | None:
    """The `rotary_scaling` that gives these factors, float32 (width / 2,); None when Llama 3's rule gives no such.

    Parameters
    ----------
    original_positions
        The longest context of the first training, where it is known. The rule is the same with all three of it and
        both frequency factors multiplied; without it they are Llama 3's own, or those with a low one of 1.
    """
    factors = np.asarray(factors, np.float64)
    factor, width = float(str(np.float32(factors[-1]))), 2 * len(factors)
    guesses: list[dict[str, Any]] = [{"factor": factor, **_LLAMA_3}]
    between = (factors > 1 + _CLOSE) & (factors < factor * (1 - _CLOSE))
    if factor > 1 and between.sum() >= 2:
        # Of 1 / factor' = (1 - kept) / factor + kept, kept is linear in the number of periods.
        kept = (1 / factors[between] - 1 / factor) / (1 - 1 / factor)
        slope, offset = np.polyfit(1 / _wavelengths(theta, width)[between], kept, 1)
        if slope > 0 > offset:
            low = -offset * original_positions / slope if original_positions else 1.0
            positions = original_positions or round(-slope / offset)
            high = low + positions / slope
            for digits in (4, 15):  # people write round numbers
                fitted = {"low_freq_factor": round(float(low), digits), "high_freq_factor": round(float(high), digits)}
                guesses.append({"factor": factor, **fitted, "original_positions": positions})
    if factor < 1 or not np.isfinite(factor):
        return None
    for guess in guesses:
        if np.allclose(rotary_factors(guess, theta, width), factors, rtol=10 * _CLOSE, atol=0):
            return guess
    return None


def _wavelengths(theta: float, width: int) -> npt.NDArray[np.float64]:
    """Positions per turn of each pair of channels."""
    lengths: npt.NDArray[np.float64] = 2 * pi * float(theta) ** (np.arange(0, width, 2) / width)
    return lengths
