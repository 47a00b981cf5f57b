"""How fast the pairs of a head turn with the position, where positions are rotary (Su et al. 2021)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lts._core import Architecture


def rotary_frequencies(architecture: Architecture, width: int) -> npt.NDArray[np.float32]:
    """Radians per position of the pairs of a head that is `width` wide, [rotated numbers / 2].

    ``theta ** (-2 i / rotated numbers)``, in float32 as transformers computes them. Llama 3 (Grattafiori et al. 2024)
    divides by `factor` those that turn less than `low_freq_factor` times in the `original_positions`, leaves those that
    turn more than `high_freq_factor` times, and goes linearly from the one to the other in between.
    """
    rotated = architecture.rotary_dim or width
    exponents = np.arange(0, rotated, 2, dtype=np.float32) / np.float32(rotated)
    frequencies = 1 / np.float32(architecture.rotary_theta) ** exponents
    if (scaling := architecture.rotary_scaling) is not None:
        turns = scaling["original_positions"] * frequencies.astype(np.float64) / (2 * np.pi)
        low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
        kept = np.clip((turns - low) / (high - low), 0, 1)
        frequencies = frequencies * (kept + (1 - kept) / scaling["factor"])
    return np.asarray(frequencies, np.float32)
