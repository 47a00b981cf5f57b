"""Rounding to 8 and 4 bits, against its definition and against ONNX Runtime's own quantizer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lts.export import encodings
from lts.export.encodings import (
    BLOCK,
    FLOAT16,
    FLOAT32,
    INT4,
    INT4_SCALES,
    INT8,
    INT8_ROWS,
    INT8_SCALES,
    Encoding,
)
from lts.export.pool import PooledWeights

ALL = [FLOAT32, FLOAT16, INT8, INT8_SCALES, INT4, INT4_SCALES]


def matrix(rows: int, columns: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((rows, columns), dtype=np.float32)


@pytest.mark.parametrize("encoding", [*ALL, INT8_ROWS], ids=lambda e: e.name)
@pytest.mark.parametrize("shape", [(1, 1), (31, 5), (64, 96), (3, 100)])
def test_stored_arrays_have_the_shape_and_type_that_is_said(encoding: Encoding, shape: tuple[int, int]) -> None:
    stored = encoding.encode(matrix(*shape))
    assert stored.shape == encoding.shape(shape)
    assert stored.dtype == np.dtype(encoding.dtype)
    assert stored.itemsize == encoding.item_bytes
    assert stored.flags.c_contiguous
    if encoding.rounded is not None:
        assert encoding.rounded(matrix(*shape)).shape == shape


def test_int8_is_the_nearest_multiple_of_a_columns_scale() -> None:
    array = matrix(50, 7) * np.float32([1e-6, 1, 1e6, 1, 1, 1, 1])
    scales = encodings.int8_scales(array)
    np.testing.assert_allclose(scales, np.abs(array).max(0) / 127, rtol=1e-6)
    values = encodings.int8_values(array)
    assert (np.abs(values).max(0) == 127).all()
    assert (np.abs(INT8.rounded(array) - array) <= 0.5001 * scales).all()
    assert (encodings.int8_row_values(array.T) == values.T).all()
    assert (INT8_ROWS.rounded(array.T) == INT8.rounded(array).T).all()


def test_int4_is_the_nearest_multiple_of_a_blocks_scale() -> None:
    array = matrix(9, 3 * BLOCK)
    scales = encodings.int4_scales(array)
    assert scales.shape == (9, 3)
    np.testing.assert_allclose(np.abs(scales), np.abs(array).reshape(9, 3, BLOCK).max(2) / 8, rtol=1e-6)
    units = array.reshape(9, 3, BLOCK) / scales[:, :, None]
    error = np.abs(INT4.rounded(array).reshape(units.shape) / scales[:, :, None] - units)
    assert (error[units <= 7.5] <= 0.5001).all()
    assert (error <= 1.0001).all(), "8 has no place in four bits"
    assert np.abs(INT4.rounded(array) - array).mean() < 0.08


def test_low_bits_come_first_and_rows_are_filled_with_zeros() -> None:
    array = np.zeros((1, BLOCK + 1), np.float32)
    array[0, :3] = -8, 3, 1
    array[0, BLOCK] = 5
    values = encodings.int4_values(array)
    assert values.shape == (1, 2, BLOCK // 2)
    assert values[0, 0, :3].tolist() == [0 | 11 << 4, 9 | 8 << 4, 8 | 8 << 4]
    assert values[0, 1].tolist() == [0 | 8 << 4] + [8 | 8 << 4] * 15
    assert encodings.int4_scales(array).tolist() == [[1.0, -0.625]]
    assert (INT4.rounded(array) == array).all()


@pytest.mark.parametrize("encoding", [INT8, INT8_ROWS, INT4])
def test_zeros_and_the_tiniest_numbers_stay_finite(encoding: Encoding) -> None:
    assert encoding.rounded is not None
    for value in (0.0, 1e-45, 1e-38, 3e38):
        array = np.full((3, 40), value, np.float32)
        with np.errstate(all="raise", under="ignore"):
            rounded = encoding.rounded(array)
        np.testing.assert_allclose(rounded, array, rtol=0.01, atol=1e-37)


@pytest.mark.parametrize("encoding", [INT8, INT8_ROWS, INT8_SCALES, INT4, INT4_SCALES], ids=lambda e: e.name)
@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_refused(encoding: Encoding, wrong: float) -> None:
    array = matrix(8, 40)
    array[3, 35] = wrong
    with pytest.raises(ValueError, match="it holds numbers that are not finite"):
        encoding.encode(array)


def test_half_precision_has_no_infinity() -> None:
    assert FLOAT16.encode(np.float32([[1e6, -1e6, 0.1]])).tolist() == [[65504, -65504, np.float16(0.1)]]


def test_int8_as_onnx_runtime_quantizes() -> None:
    quantization = pytest.importorskip("onnxruntime.quantization.quant_utils")
    from onnx import TensorProto

    array = matrix(200, 30)
    for column, scale, values in zip(
        array.T, encodings.int8_scales(array), encodings.int8_values(array).T, strict=True
    ):
        zero, expected, quantized = quantization.quantize_data(column, TensorProto.INT8, symmetric=True)[-3:]
        assert zero == 0
        np.testing.assert_allclose(scale, expected, rtol=1e-6)
        assert np.abs(values.astype(int) - quantized).max() <= 1
        assert (values == quantized).mean() > 0.99


@pytest.mark.parametrize(("rows", "n"), [(40, 96), (7, 320)])
def test_int4_as_onnx_runtime_quantizes(rows: int, n: int) -> None:
    state = pytest.importorskip("onnxruntime.capi._pybind_state")
    if not hasattr(state, "quantize_matmul_4bits"):
        pytest.skip("this ONNX Runtime has no quantizer of four bits")
    array = matrix(rows, n)
    values = np.zeros(INT4.shape(array.shape), np.uint8)
    scales = np.zeros(INT4_SCALES.shape(array.shape), np.float32)
    zeros = np.zeros((rows, (n // BLOCK + 1) // 2), np.uint8)
    state.quantize_matmul_4bits(values, np.ascontiguousarray(array.T), scales.reshape(-1), zeros, BLOCK, rows, n, True)
    np.testing.assert_allclose(encodings.int4_scales(array), scales, rtol=1e-6)
    ours = encodings.int4_values(array)
    assert (ours == values).mean() > 0.99
    assert np.abs(encodings.from_int4(values, scales, n) - INT4.rounded(array)).max() <= 1.001 * np.abs(scales).max()


@pytest.mark.parametrize("encoding", ALL, ids=lambda e: e.name)
def test_drawn_numbers_are_as_likely_as_encoded_ones(encoding: Encoding) -> None:
    """Integers and scales together stand for N(0, 0.02^2)."""
    drawn = encoding.draw(np.random.default_rng(1), 20_000)
    assert drawn.shape == (20_000,)
    assert drawn.dtype == np.dtype(encoding.dtype)
    encoded = encoding.encode(matrix(256, 256) * encodings.STD)
    if encoding.name.endswith("scales"):
        assert np.abs(drawn).mean() == pytest.approx(np.abs(encoded).mean(), rel=0.25)
    elif encoding is INT4:
        assert (drawn & 15).astype(float).std() == pytest.approx((encoded & 15).astype(float).std(), rel=0.1)
        assert (drawn >> 4).astype(float).mean() == pytest.approx(8, abs=0.2)
    else:
        assert drawn.astype(float).std() == pytest.approx(encoded.astype(float).std(), rel=0.15)


def test_every_encoding_has_a_pool_of_its_own(tmp_path: Path) -> None:
    pool = PooledWeights(tmp_path / "weights.bin")
    for encoding in ALL:
        pool.reserve(5_000_000, encoding)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "weights.bin",
        "weights.float16.bin",
        "weights.int4.bin",
        "weights.int4.scales.bin",
        "weights.int8.bin",
        "weights.int8.scales.bin",
    ]
    heads = {path.read_bytes()[:64] for path in tmp_path.iterdir()}
    assert len(heads) == 6
    assert all(head.startswith(b"lts-engine weight pool 2: ") for head in heads)
    again = PooledWeights(tmp_path / "other.bin")
    again.reserve(1, INT4)
    assert (tmp_path / "other.int4.bin").read_bytes() == (tmp_path / "weights.int4.bin").read_bytes()[: 1 << 22]
