"""Exponential and trigonometric functions as float32 polynomials that run in vector registers, unlike a library's.

The errors are a few units in the last place. NaN stays NaN.
"""

from __future__ import annotations

from typing import Any

# Coefficients, the highest power first, of Cephes' expf, and of Eigen's tanh and erf, ratios of polynomials.
_EXP = (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1)
_TANH_OVER = (
    -2.76076847742355e-16,
    2.00018790482477e-13,
    -8.60467152213735e-11,
    5.12229709037114e-08,
    1.48572235717979e-05,
    6.37261928875436e-04,
    4.89352455891786e-03,
)
_TANH_UNDER = (1.19825839466702e-06, 1.18534705686654e-04, 2.26843463243900e-03, 4.89352518554385e-03)
_ERF_OVER = (
    -2.72614225801306e-10,
    2.77068142495902e-08,
    -2.10102402082508e-06,
    -5.69250639462346e-05,
    -7.34990630326855e-04,
    -2.95459980854025e-03,
    -1.60960333262415e-02,
)
_ERF_UNDER = (
    -1.45660718464996e-05,
    -2.13374055278905e-04,
    -1.68282697438203e-03,
    -7.37332916720468e-03,
    -1.42647390514189e-02,
)
_SIN = (-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1)
_COS = (2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2)
# Beyond these, exponentials are not normal numbers.
_LEAST = -87.33654
_GREATEST = 88.72283
# Half of pi in three parts, of which the first two have few bits, so that their multiples are exact.
_HALF_PI = (1.5703125, 4.837512969970703125e-4, 7.54978995489188216e-8)


def _number(value: float) -> Any:
    from tvm import tirx

    return tirx.const(value, "float32")


def _polynomial(x: Any, coefficients: tuple[float, ...]) -> Any:
    result = _number(coefficients[0])
    for coefficient in coefficients[1:]:
        result = result * x + _number(coefficient)
    return result


def exp(x: Any) -> Any:
    """The exponential; results below 1.2e-38 are 1.2e-38, those above 3.4e38 are infinite."""
    from tvm import te, tirx

    # A comparison with NaN is false, which picks the second argument.
    value, power = _exp_parts(te.max(_number(_LEAST), te.min(_number(_GREATEST), x)))
    # Multiplied by the power of two in two halves, because the largest does not fit into the exponent of one number.
    half = power >> 1
    return tirx.Select(x > _number(_GREATEST), _number(float("inf")), value * _two_to(half) * _two_to(power - half))


def exp_of_negative(x: Any) -> Any:
    """The exponential of a number that is not positive."""
    from tvm import te

    value, power = _exp_parts(te.max(_number(_LEAST), x))
    return value * _two_to(power)


def sigmoid(x: Any) -> Any:
    """``1 / (1 + exp(-x))``."""
    from tvm import te

    # Beyond these bounds the result is 0 or 1 to all digits.
    value, power = _exp_parts(te.max(_number(-87.0), te.min(_number(87.0), _number(0.0) - x)))
    return _number(1.0) / (_number(1.0) + value * _two_to(power))


def _exp_parts(x: Any) -> tuple[Any, Any]:
    """A number from 0.7 to 1.5, and an int32: the exponential of x is the number times two to that power."""
    from tvm import te, tirx

    power = te.floor(x * _number(1.44269504088896341) + _number(0.5))
    # The logarithm of two in two parts, of which the first has few bits, so that its multiples are exact.
    rest = x - power * _number(0.693359375) + power * _number(2.12194440e-4)
    return _polynomial(rest, _EXP) * rest * rest + rest + _number(1.0), tirx.Cast("int32", power)


def _two_to(power: Any) -> Any:
    """Two to an integer power from -126 to 127, made from its bits."""
    from tvm import tirx

    return tirx.reinterpret("float32", (power + 127) << 23)


def tanh(x: Any) -> Any:
    """The hyperbolic tangent."""
    from tvm import te

    # Beyond these bounds the result is 1 to all digits.
    bounded = te.max(_number(-7.90531110763549805), te.min(_number(7.90531110763549805), x))
    square = bounded * bounded
    return bounded * _polynomial(square, _TANH_OVER) / _polynomial(square, _TANH_UNDER)


def erf(x: Any) -> Any:
    """The error function."""
    from tvm import te

    # Beyond these bounds the result is 1 to all digits.
    bounded = te.max(_number(-4.0), te.min(_number(4.0), x))
    square = bounded * bounded
    return bounded * _polynomial(square, _ERF_OVER) / _polynomial(square, _ERF_UNDER)


def sin(x: Any) -> Any:
    """The sine, for numbers up to some thousands."""
    return _sine(x, 0)


def cos(x: Any) -> Any:
    """The cosine, for numbers up to some thousands."""
    return _sine(x, 1)


def _sine(x: Any, quarters: int) -> Any:
    """Sine of x plus `quarters` quarters of a full turn."""
    from tvm import te, tirx

    turns = te.floor(x * _number(0.63661977236758134) + _number(0.5))
    rest = x
    for part in _HALF_PI:
        rest = rest - turns * _number(part)
    square = rest * rest
    sine = _polynomial(square, _SIN) * square * rest + rest
    cosine = _polynomial(square, _COS) * square * square - _number(0.5) * square + _number(1.0)
    quadrant = tirx.Cast("int32", turns) + quarters
    value = tirx.Select((quadrant & 1) == 1, cosine, sine)
    return tirx.Select((quadrant & 2) == 2, _number(0.0) - value, value)
