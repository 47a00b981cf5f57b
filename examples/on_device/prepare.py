"""Prepares a folder for the program `on_device`: models of layers compiled for a target, and the program itself.

    python prepare.py SPACE TARGET FOLDER

SPACE and TARGET are names or TOML files, as for `lts-engine search`. FOLDER is all that the device needs: copy it there
and run `FOLDER/on_device FOLDER`.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lts import Architecture, SearchSpace
from lts.backends.backend import Backend, BuildError, load_backend
from lts.errors import LtsError, MeasurementError, UsageError
from lts.export import PooledWeights, onnx_model
from lts.jobs.bundle import make_bundle
from lts.jobs.job import MANIFEST
from lts.jobs.toolchain import cxx
from lts.spaces.space import load_space
from lts.system import machine
from lts.targets.target import Target, load_target
from lts.targets.workload import Step

INDEX = "shapes.json"
PROGRAM = "on_device"
MODELS = "models"
WEIGHTS = "weights.bin"
LIBRARIES = ("libtvm_ffi.so", "libtvm_runtime.so")
HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
TIMEOUT = 600.0  # seconds for a model


def main() -> int:
    parser = argparse.ArgumentParser(description="Prepare a folder for on_device.")
    parser.add_argument("space", help="name of a search space, or a TOML file")
    parser.add_argument("target", help="name of a target such as host or arm64, or a TOML file")
    parser.add_argument("folder", type=Path, help="where everything goes")
    parser.add_argument("--n-prompt", type=int, default=64, help="tokens of the prompt pass that is timed (64)")
    parser.add_argument("--no-program", action="store_true", help="only the models and TVM's runtime")
    arguments = parser.parse_args()
    try:
        prepare(
            load_space(arguments.space),
            load_target(arguments.target),
            arguments.folder,
            arguments.n_prompt,
            program=not arguments.no_program,
        )
    except LtsError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(f"error: cannot write {error.filename or arguments.folder}: {error.strerror}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return 0


def prepare(space: SearchSpace, target: Target, folder: Path, n_prompt: int, *, program: bool = True) -> None:
    """Compile the models that measure the layers of a space, and the program; the index is written last."""
    if (folder / INDEX).exists():
        raise UsageError(f"{folder} is prepared already; choose another folder, or remove it")
    if target.kind != "cpu":
        raise UsageError(f"target '{target.name}' is a {target.kind}; lts-runner runs models on processors")
    options = without_bounds(space)
    positions = options["n_positions"]
    if not 1 <= n_prompt <= positions:
        raise UsageError(f"--n-prompt is {n_prompt}; the architectures of the space have {positions} positions")
    compiler = load_backend("tvm")
    compiler.check(target)
    models = list(models_of(options))
    libraries = make_bundle(target.triple, fetch=True)
    folder.mkdir(parents=True, exist_ok=True)
    for name in LIBRARIES:
        shutil.copy(libraries / name, folder / name)
    if program:
        shutil.copy(build_program(target), folder / PROGRAM)
    with ThreadPoolExecutor(len(machine.allowed_cpus())) as pool:
        try:
            jobs = [
                pool.submit(build, compiler, target, n_prompt, folder, name, architecture)
                for name, _, architecture in models
            ]
            for i, job in enumerate(jobs):
                job.result()
                print(f"compiled {i + 1} of {len(jobs)} models", file=sys.stderr)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            compiler.close()
    index = {
        "schema": 1,
        "triple": target.triple,
        "tvm": metadata.version("apache-tvm"),
        "threads": target.threads,
        "n_prompt": n_prompt,
        "weights": WEIGHTS,
        "space": json.loads(space.to_json()),
        "models": [
            {"use": use, "model": f"{MODELS}/{name}/{MANIFEST}", "architecture": json.loads(architecture.to_json())}
            for name, use, architecture in models
        ],
    }
    temporary = folder / f".{INDEX}"
    temporary.write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")
    temporary.replace(folder / INDEX)


def without_bounds(space: SearchSpace) -> dict[str, Any]:
    """The options of the space without the rules that exclude a model of a single layer."""
    options = dict(space.options)
    for name in ("d_embed", "div_val"):
        if len(options[name]) > 1:
            raise UsageError(f"the space has several choices of {name}; this example measures one output per d_model")
    return {key: value for key, value in options.items() if key not in ("decoder_params", "total_params")}


def models_of(options: Mapping[str, Any]) -> Iterator[tuple[str, str, Architecture]]:
    """Name, use and architecture of each model that is compiled.

    Every shape of a layer as often as the deepest architectures have layers, and for each d_model one of the shapes as
    often as the shallowest have: what a layer takes depends on how much of all weights the caches hold, so costs are
    interpolated between the depths of the space. And mixtures of layers to check sums with.
    """
    shallow, deep = min(options["n_layer"]), max(options["n_layer"])
    other = shallow if shallow < deep else deep - 1 or 2
    for d_model in options["d_model"]:
        shapes = list(SearchSpace(**{**options, "d_model": [d_model], "n_layer": [1]}))
        for shape in shapes:
            name = f"{d_model}-{shape.n_head[0]}-{shape.n_kv_head[0]}-{shape.d_ff[0]}"
            yield f"{name}x{deep}", "layer", repeated(shape, deep)
        yield f"{d_model}-rest", "rest", repeated(shapes[len(shapes) // 2], other)
        for depth in dict.fromkeys((shallow, deep)):
            mixtures = SearchSpace(**{**options, "d_model": [d_model], "n_layer": [depth]})
            yield f"{d_model}-mixedx{depth}", "check", mixtures.sample(1, seed=d_model)[0]


def repeated(architecture: Architecture, n_layer: int) -> Architecture:
    """An architecture of one layer with that layer several times."""
    record = json.loads(architecture.to_json())
    layer = {key: record[key][0] for key in ("n_head", "n_kv_head", "d_ff")}
    return Architecture.from_json(json.dumps({**record, **layer, "n_layer": n_layer}))


def build(
    compiler: Backend, target: Target, n_prompt: int, folder: Path, name: str, architecture: Architecture
) -> None:
    """Compile the prompt pass of an architecture, up to the first token; the weights of all lie in one file."""
    import onnx

    place = folder / MODELS / name
    file = folder / f"{name}.onnx"
    onnx.save(onnx_model(architecture, "prefill", logits="last", weights=PooledWeights(folder / WEIGHTS)), file)
    try:
        built = compiler.build(file, target, Step.of(architecture, "prefill", n_prompt), TIMEOUT)
    except BuildError as error:
        raise MeasurementError(f"{name} cannot be compiled: {error}") from None
    finally:
        file.unlink()
    place.parent.mkdir(exist_ok=True)
    shutil.rmtree(place, ignore_errors=True)  # left by a preparation that was interrupted
    built.rename(place)
    place.chmod(0o755)  # a temporary folder is for its owner alone


def build_program(target: Target) -> Path:
    """Compile the program for the target with CMake; a second time, only what has changed."""
    folder = ROOT / "build" / f"on_device-{target.triple}"
    ffi = find_spec("tvm_ffi")
    assert ffi is not None
    assert ffi.origin is not None
    options = [f"-DLTS_TVM_FFI_INCLUDE={Path(ffi.origin).parent / 'include'}"]
    environment = dict(os.environ)
    compiler = cxx(target.triple)
    if machine.same_architecture(target.triple, machine.triple()):
        environment["CXX"] = compiler
    else:
        toolchain = ROOT / "cmake" / f"{target.triple}.cmake"
        if not toolchain.is_file():
            raise UsageError(f"there is no {toolchain} to compile for {target.triple} with; use --no-program")
        options.append(f"-DCMAKE_TOOLCHAIN_FILE={toolchain}")
    for command in (["cmake", "-S", str(HERE), "-B", str(folder), *options], ["cmake", "--build", str(folder), "-j"]):
        print(" ".join(command), file=sys.stderr)
        try:
            done = subprocess.run(command, stdout=sys.stderr, env=environment, check=False)
        except FileNotFoundError:
            raise MeasurementError("cmake is not installed; on Debian: apt-get install cmake") from None
        if done.returncode != 0:
            raise MeasurementError(f"the program cannot be compiled for {target.triple}: cmake says why above")
    return folder / PROGRAM


if __name__ == "__main__":
    sys.exit(main())
