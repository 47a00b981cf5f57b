"""How fast the pairs of a head turn with the position, where positions are rotary (Su et al. 2021)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lts._core import Architecture
from lts.export.rotary_factors import rotary_factors


def rotary_frequencies(architecture: Architecture, width: int) -> npt.NDArray[np.float32]:
    """Radians per position of the pairs of a head that is `width` wide, [rotated numbers / 2].

    ``theta ** (-2 i / rotated numbers)``, in float32 as transformers computes them, over `rotary_factors` where they
    are scaled.
    """
    rotated = architecture.rotary_dim or width
    exponents = np.arange(0, rotated, 2, dtype=np.float32) / np.float32(rotated)
    frequencies = 1 / np.float32(architecture.rotary_theta) ** exponents
    if (scaling := architecture.rotary_scaling) is not None:
        frequencies = frequencies / rotary_factors(scaling, architecture.rotary_theta, rotated)
    return np.asarray(frequencies, np.float32)
