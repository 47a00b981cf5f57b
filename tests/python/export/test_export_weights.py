"""Where the numbers of exported models come from: random, given, shared, or none."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from export_runner import arrays, run, session

import lts
from lts.errors import UsageError
from lts.export import PooledWeights, RandomWeights, StructureOnly, export, onnx_model

SMALL = lts.Architecture("gpt2", 131, 40, 32, n_head=[4, 2], d_ff=[48, 20])
FAMILIES = [
    lts.Architecture("gpt2", 512, 64, 64, n_head=[4, 2], d_ff=[128, 64]),
    lts.Architecture("llama", 512, 64, 64, n_head=[4, 2], n_kv_head=[2, 1], d_ff=[128, 64]),
    lts.Architecture("transformer_xl", 512, 64, 64, n_head=[4, 2], d_ff=[128, 64], cutoffs=[100, 512], div_val=2),
]


def contents(model: Any) -> dict[str, np.ndarray]:
    from onnx import numpy_helper

    return {i.name: numpy_helper.to_array(i) for i in model.graph.initializer if not i.name.startswith("const.")}


def prompt(batch: int = 1, length: int = 8) -> dict[str, np.ndarray]:
    return {"input_ids": np.ones((batch, length), np.int64), "attention_mask": np.ones((batch, length), np.int64)}


def test_random_weights_are_deterministic_by_name() -> None:
    one, same, other = (contents(onnx_model(SMALL, weights=RandomWeights(seed))) for seed in (1, 1, 2))
    default = contents(onnx_model(SMALL))
    for name, values in one.items():
        assert (values == same[name]).all()
        assert values.ndim == 1 or (values != other[name]).all()
        assert (default[name] == contents(onnx_model(SMALL, "decode", weights=RandomWeights(0)))[name]).all()
    deeper = lts.Architecture("gpt2", 131, 40, 32, n_head=[4, 2, 1], d_ff=[48, 20, 8])
    more = contents(onnx_model(deeper, weights=RandomWeights(1)))
    for name, values in one.items():
        assert (more[name] == values).all(), "a weight does not depend on what else there is"


def test_random_weights_are_distributed_as_documented() -> None:
    architecture = FAMILIES[0]
    for weight in lts.weights(architecture):
        values = RandomWeights(3).array(weight)
        assert values.shape == weight.shape
        assert values.dtype == np.float32
        if weight.kind == "scale":
            assert (values == 1).all()
        elif weight.kind == "bias":
            assert (values == 0).all()
        else:
            assert abs(values.mean()) < 5 * 0.02 / np.sqrt(weight.size)
            assert abs(values.std() / 0.02 - 1) < 5 / np.sqrt(2 * weight.size)
    assert RandomWeights(3, std=1.0).array(lts.weights(architecture)[0]).std() == pytest.approx(1, rel=0.05)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((-1,), "the seed of random weights is -1"), ((0, -1.0), "standard deviation"), ((0, float("nan")), "is nan")],
)
def test_wrong_random_weights(arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        RandomWeights(*arguments)


def test_given_weights_arrive_where_they_belong() -> None:
    given = arrays(SMALL)
    got = contents(onnx_model(SMALL, weights=given))
    parts = [given[f"layers.1.{name}.weight"] for name in ("query", "key", "value")]
    assert (got["layers.1.query_key_value.weight"] == np.concatenate(parts, 1)).all()
    assert (got["layers.0.up.weight"] == given["layers.0.up.weight"]).all()
    converted = {name: array.astype(np.float64).tolist() for name, array in given.items()}
    again = contents(onnx_model(SMALL, weights=converted))
    assert all((again[name] == values).all() for name, values in got.items())


def test_wrong_given_weights_give_one_clear_sentence() -> None:
    def message(change: dict[str, Any], remove: tuple[str, ...] = ()) -> str:
        given = {**arrays(SMALL), **change}
        with pytest.raises(UsageError) as error:
            onnx_model(SMALL, weights={name: array for name, array in given.items() if name not in remove})
        return str(error.value)

    assert message({}, ("final_norm.bias",)) == "the given weights lack 'final_norm.bias'"
    names = [weight.name for weight in lts.weights(SMALL)]
    listed = ", ".join(f"'{name}'" for name in names[:3])
    assert message({}, tuple(names)) == f"the given weights lack {listed} and {len(names) - 3} more"
    assert message({"layers.2.up.weight": np.zeros(3)}) == (
        "the given weights hold 'layers.2.up.weight', which this architecture does not have"
    )
    assert message({"layers.1.up.weight": np.zeros((20, 32))}) == (
        "the given weight 'layers.1.up.weight' has shape (20, 32); it must be (32, 20)"
    )
    assert message({"final_norm.bias": "none"}).startswith("the given weight 'final_norm.bias' is no array of numbers")


def test_weights_that_are_computed_are_asked_for_once(tmp_path: Path) -> None:
    architecture = lts.Architecture("llama", 64, 16, 32, n_head=2, d_ff=20, n_layer=2)
    shapes = {weight.name: weight.shape for weight in lts.weights(architecture)}
    asked: list[str] = []

    class Computed(Mapping[str, Any]):
        def __iter__(self) -> Iterator[str]:
            return iter(shapes)

        def __len__(self) -> int:
            return len(shapes)

        def __getitem__(self, name: str) -> Any:
            asked.append(name)
            return np.ones(shapes[name], np.float32)

    export(architecture, tmp_path, ["hf"], weights=Computed())
    assert sorted(asked) == sorted(shapes)
    shapes["layers.1.up.weight"] = (20, 32)
    with pytest.raises(UsageError, match=r"the given weight 'layers.1.up.weight' has shape \(20, 32\)"):
        export(architecture, tmp_path / "other", ["hf"], weights=Computed())
    assert not [*(tmp_path / "other").iterdir()]


def test_weights_above_two_gib_are_refused_without_being_made() -> None:
    huge = lts.Architecture("llama", 50000, 1024, 4096, n_head=32, d_ff=16384, n_layer=4)
    with pytest.raises(UsageError, match=r"the weights take .* GiB, more than the 2 GiB of one ONNX file; use lts"):
        onnx_model(huge)
    assert onnx_model(huge, weights=StructureOnly()).graph.node


@pytest.mark.parametrize("architecture", FAMILIES, ids=lambda a: a.family)
@pytest.mark.parametrize("phase", ["prefill", "decode"])
def test_pooled_weights(architecture: lts.Architecture, phase: str, tmp_path: Path) -> None:
    pool = tmp_path / "weights.pool"
    model = onnx_model(architecture, phase, weights=PooledWeights(pool), n_prompt=8, batch=1)
    outside = {i.name: {e.key: e.value for e in i.external_data} for i in model.graph.initializer if i.external_data}
    shapes = {i.name: tuple(i.dims) for i in model.graph.initializer}
    assert "layers.0.up.weight" in outside
    ranges = sorted((int(p["offset"]), int(p["offset"]) + int(p["length"])) for p in outside.values())
    for (_, end), (begin, _) in pairwise(ranges):
        assert end <= begin
    assert all(begin % 4096 == 0 for begin, _ in ranges)
    assert ranges[0][0] >= 4096
    assert ranges[-1][1] <= pool.stat().st_size
    assert {place["location"] for place in outside.values()} == {"weights.pool"}
    for name, place in outside.items():
        assert int(place["length"]) == 4 * np.prod(shapes[name])
    inside = contents(type(model)(graph={"initializer": [i for i in model.graph.initializer if not i.external_data]}))
    assert all(
        values.ndim == 1 and set(np.unique(values)) <= {0, 1} for values in inside.values() if values.nbytes >= 1024
    )

    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    assert (tmp_path / "model.onnx").stat().st_size < 100_000
    loaded = session(tmp_path / "model.onnx")
    feeds = {i.name: np.ones(i.shape, np.int64 if "int64" in i.type else np.float32) for i in loaded.get_inputs()}
    logits = run(loaded, feeds)["logits"]
    assert np.isfinite(logits).all()
    assert logits.std() > 1e-3


def test_models_in_memory_find_the_pool_by_its_folder(tmp_path: Path) -> None:
    import onnxruntime

    if tuple(map(int, onnxruntime.__version__.split(".")[:2])) < (1, 20):
        pytest.skip("older versions of ONNX Runtime load external data of files only")
    model = onnx_model(FAMILIES[0], "prefill", weights=PooledWeights(tmp_path / "weights.pool"))
    loaded = session(model, model_external_initializers_file_folder_path=str(tmp_path))
    assert np.isfinite(run(loaded, prompt())["logits"]).all()


def test_onnx_runtime_maps_the_pool_into_memory(tmp_path: Path) -> None:
    if not Path("/proc/self/maps").exists():
        pytest.skip("needs /proc")
    pool = tmp_path / "weights.pool"
    model = onnx_model(FAMILIES[0], "prefill", weights=PooledWeights(pool))
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    loaded = session(tmp_path / "model.onnx", disable_prepacking="1")
    assert run(loaded, prompt())["logits"].shape == (1, 8, 512)
    assert str(pool) in Path("/proc/self/maps").read_text()


def test_the_pool_grows_and_never_changes(tmp_path: Path) -> None:
    pool = tmp_path / "weights.pool"
    first = PooledWeights(pool)
    first.reserve(100)
    small = pool.read_bytes()
    first.reserve(len(small) - 1)
    assert pool.read_bytes() == small
    PooledWeights(pool).reserve(len(small) + 1)
    big = pool.read_bytes()
    assert len(big) > len(small)
    assert big.startswith(small)
    numbers = np.frombuffer(big, "<f4", offset=4096)
    assert abs(numbers.std() / 0.02 - 1) < 0.01
    assert abs(numbers.mean()) < 1e-4
    # Killed while growing, at whatever byte:
    for size in (0, 7, 4096, 5001, len(small) - 1, len(small) + 4099):
        pool.write_bytes(big[:size])
        PooledWeights(pool).reserve(len(big))
        assert pool.read_bytes() == big


def test_processes_may_make_the_same_pool_at_the_same_time(tmp_path: Path) -> None:
    script = (
        "import sys; from lts.export import PooledWeights\n"
        "for size in range(1 << 20, 80 << 20, 6 << 20): PooledWeights(sys.argv[1]).reserve(size)"
    )
    processes = [subprocess.Popen([sys.executable, "-c", script, tmp_path / "shared"]) for _ in range(3)]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    PooledWeights(tmp_path / "alone").reserve(79 << 20)
    data = (tmp_path / "alone").read_bytes()
    assert (tmp_path / "shared").read_bytes() == data


def test_no_two_weights_of_a_pool_are_equal(tmp_path: Path) -> None:
    """ONNX Runtime keeps equal weights once, and the memory of a model would be too small."""
    pool = PooledWeights(tmp_path / "weights.pool")
    pool.reserve(200 << 20)
    data = (tmp_path / "weights.pool").read_bytes()
    assert len({data[begin : begin + 4096] for begin in range(0, len(data), 4096)}) == len(data) // 4096


def test_a_pool_that_cannot_be_written_gives_one_clear_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a pool")
    with pytest.raises(UsageError, match="file is not a pool of weights; remove it or choose another path"):
        onnx_model(SMALL, weights=PooledWeights(tmp_path / "file"))
    assert (tmp_path / "file").read_text() == "not a pool"
    with pytest.raises(UsageError, match=r"cannot write the pool of weights .*: Not a directory"):
        PooledWeights(tmp_path / "file" / "pool").reserve(1)
    with pytest.raises(UsageError, match=r"cannot write the pool of weights .*: No such file or directory"):
        PooledWeights(tmp_path / "absent" / "pool").reserve(1)
    script = (
        "import resource, sys; from lts.export import PooledWeights; from lts.errors import UsageError\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))\n"
        "try: PooledWeights(sys.argv[1]).reserve(2 << 20)\n"
        "except UsageError as error: print(error)"
    )
    command = [sys.executable, "-c", script, os.fspath(tmp_path / "limited")]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stdout == f"cannot write the pool of weights {tmp_path / 'limited'}: File too large\n"
