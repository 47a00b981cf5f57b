"""Which precisions ONNX Runtime runs."""

from __future__ import annotations

import pytest

from lts.backends import precisions
from lts.backends.precisions import check_runtime
from lts.errors import UsageError


def test_an_unknown_precision() -> None:
    with pytest.raises(UsageError, match="unknown precision 'int2'; expected one of float32, float16, int8, int4"):
        check_runtime("int2")


def test_what_the_runtime_lacks_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    import onnxruntime

    for machine in ("x86_64", "aarch64"):
        for precision in ("float32", "int8"):
            check_runtime(precision, machine=machine)
    with pytest.raises(UsageError) as caught:
        check_runtime("float16", machine="x86_64")
    assert str(caught.value) == (
        "ONNX Runtime emulates float16 with float32 on x86_64 processors; choose float32, int8 or int4"
    )
    check_runtime("float16", machine="aarch64")
    check_runtime("float16", device="cuda", machine="x86_64")
    monkeypatch.setattr(precisions, "_has_int4", lambda: False)
    monkeypatch.setattr(onnxruntime, "__version__", "1.18.1")
    with pytest.raises(UsageError) as caught:
        check_runtime("int4")
    assert str(caught.value) == "precision int4 needs ONNX Runtime 1.19 or newer; version 1.18.1 is installed"


def test_int4_is_looked_for_in_the_installed_runtime() -> None:
    import onnxruntime

    version = tuple(map(int, onnxruntime.__version__.split(".")[:2]))
    assert precisions._has_int4() == (version >= (1, 19))
