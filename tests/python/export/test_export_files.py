"""`lts.export.export`: files that load elsewhere, appear whole or not at all, and say honestly what they are."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from export_runner import Runner, arrays, export_pair, exported, tokens

import lts
from lts.errors import UsageError
from lts.export import PooledWeights, RandomWeights, StructureOnly, export
from lts.export.checkpoint import read_checkpoint
from lts.export.phases import one_phase

GPT2 = lts.Architecture("gpt2", 512, 64, 64, n_head=[4, 2], d_ff=[128, 64])
LLAMA = lts.Architecture("llama", 512, 64, 64, n_head=[4, 2], n_kv_head=[2, 1], d_ff=[128, 64])
XL = lts.Architecture("transformer_xl", 512, 64, 64, n_head=[4, 2], d_ff=[128, 64], cutoffs=[100, 512], div_val=2)
UNIFORM = lts.Architecture("gpt2", 512, 64, 64, n_head=4, d_ff=128, n_layer=2)
CODE = ["attention_lts.py", "configuration_lts.py", "modeling_lts.py"]
ONNX = ["model.onnx", "weights.bin", "config.json", "genai_config.json"]
FILES = [*ONNX, "model.safetensors", "architecture.json"]


def safetensors(path: Path) -> dict[str, np.ndarray]:
    """The format's own description, read without its library."""
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    assert length % 8 == 0
    header = json.loads(data[8 : 8 + length])
    assert header.pop("__metadata__") == {"format": "pt"}
    result, place = {}, 0
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        assert (entry["dtype"], begin) == ("F32", place), "no gaps"
        result[name] = np.frombuffer(data[8 + length + begin : 8 + length + end], "<f4").reshape(entry["shape"])
        place = end
    assert 8 + length + place == len(data)
    return result


@pytest.mark.parametrize("architecture", [GPT2, LLAMA, XL], ids=lambda a: a.family)
def test_exported_files_run(architecture: lts.Architecture, tmp_path: Path) -> None:
    weights = arrays(architecture)
    paths = export(architecture, tmp_path / "new" / "folder", weights=weights)
    files = [*CODE, *(name for name in FILES if name != "genai_config.json" or architecture is not XL)]
    assert sorted(path.name for path in paths) == sorted(files)
    there = sorted((tmp_path / "new" / "folder").iterdir())
    assert sorted([*paths, paths[0].parent / "manifest.json"]) == there, "no temporary file is left"
    named = {path.name: path for path in paths}
    ids = tokens(architecture, 2, 8)
    got = Runner(named["model.onnx"])(ids, 6)
    for one, other in zip(got, exported(architecture, weights)(ids, 6), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)
    assert lts.Architecture.from_json(named["architecture.json"].read_text()) == architecture


@pytest.mark.parametrize("architecture", [GPT2, LLAMA, XL], ids=lambda a: a.family)
def test_the_model_and_its_phases_share_their_weights(architecture: lts.Architecture, tmp_path: Path) -> None:
    import onnx

    export(architecture, tmp_path, ["onnx"])
    assert {path.name for path in tmp_path.iterdir()} == {*ONNX, *CODE, "manifest.json"} - (
        {"genai_config.json"} if architecture is XL else set()
    )
    places = []
    for phase in (None, "prefill", "decode"):
        path = tmp_path / "model.onnx"
        if phase is not None:
            alone = one_phase(path, phase)
            assert alone is not None
            assert one_phase(alone, phase) is None, "it is of one phase already"
            path = alone
        onnx.checker.check_model(str(path), full_check=True)
        model = onnx.load(path, load_external_data=False)
        kept = [i for i in model.graph.initializer if not i.name.startswith("const.")]
        assert sum(int(np.prod(i.dims)) for i in kept) == lts.total_params(architecture)
        places.append({i.name: [(e.key, e.value) for e in i.external_data] for i in kept if i.external_data})
        assert path.stat().st_size < 60_000
    assert places[0] == places[1] == places[2]
    assert 4 * lts.total_params(architecture) <= (tmp_path / "weights.bin").stat().st_size + 20_000


def test_models_of_earlier_versions_go_with_their_weights(tmp_path: Path) -> None:
    export_pair(GPT2, tmp_path)
    export(GPT2, tmp_path, ["hf"])
    assert (tmp_path / "prefill.onnx").exists()
    export(GPT2, tmp_path, ["onnx"], precision="int8")
    assert {path.name for path in tmp_path.iterdir()} == {*ONNX, *CODE, "model.safetensors", "manifest.json"}


def test_a_model_that_was_changed_is_not_taken_apart(tmp_path: Path) -> None:
    import onnx

    export(GPT2, tmp_path, ["onnx"])
    path = tmp_path / "model.onnx"
    model = onnx.load(path, load_external_data=False)
    model.graph.initializer[0].name = "other"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(UsageError, match=r"model.onnx lacks the weights 'token_embedding.0.weight', as it was changed"):
        one_phase(path, "decode")


def test_random_weights_follow_the_seed(tmp_path: Path) -> None:
    for folder, options in (("a", {"seed": 3}), ("b", {"weights": RandomWeights(3)}), ("c", {"seed": 4})):
        export(GPT2, tmp_path / folder, **options)
    for name in FILES:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    for name in ("weights.bin", "model.safetensors"):
        assert (tmp_path / "a" / name).read_bytes() != (tmp_path / "c" / name).read_bytes()


@pytest.mark.parametrize("architecture", [GPT2, LLAMA, XL], ids=lambda a: a.family)
def test_per_layer_form(architecture: lts.Architecture, tmp_path: Path) -> None:
    weights = arrays(architecture)
    config_path, *code, tensors_path = export(architecture, tmp_path, ["hf"], weights=weights)
    assert [path.name for path in code] == CODE
    for path in code:
        assert path.read_bytes() == (Path(lts.export.__file__).parent / "remote" / path.name).read_bytes()
    config = json.loads(config_path.read_text())
    assert config["architectures"] == ["LtsForCausalLM"]
    assert config["model_type"] == "lts"
    assert [layer["n_head"] for layer in config["layers"]] == architecture.n_head
    assert [layer["d_ff"] for layer in config["layers"]] == architecture.d_ff
    fields = architecture.to_dict()
    for name in ("family", "vocab_size", "n_positions", "d_model", "n_layer", "div_val", "tie_embedding"):
        assert config[name] == fields[name]
    for name in ("attention", "feed_forward", "norm", "norm_placement", "final_norm", "position", "parallel"):
        assert config[name] == getattr(architecture.traits, name)
    for name in (
        "qkv_bias",
        "attention_output_bias",
        "feed_forward_bias",
        "norm_epsilon",
        "rotary_theta",
        "rotary_dim",
    ):
        assert config[name] == getattr(architecture, name)
    stored = safetensors(tensors_path)
    query = stored["model.layers.1.attention.query.weight"]
    assert (query == weights["layers.1.query.weight"].T).all(), "as torch.nn.Linear has it"
    assert sum(array.size for array in stored.values()) == lts.total_params(architecture)
    read = read_checkpoint(architecture, tensors_path)
    assert read.keys() == weights.keys()
    assert all((read[name] == weights[name]).all() for name in weights)


def test_which_form_an_architecture_gets(tmp_path: Path) -> None:
    llama = {"n_head": 4, "d_ff": 128, "n_layer": 2}
    for architecture, expected in (
        (UNIFORM, "gpt2"),
        (lts.Architecture("gpt2", 512, 64, 64, n_head=[4, 4], d_ff=[128, 128]), "gpt2"),
        (lts.Architecture("gpt2", 512, 64, 64, n_head=4, d_ff=128, n_layer=2, head_dim=16), "gpt2"),
        (lts.Architecture("gpt2", 512, 64, 64, n_head=4, d_ff=128, n_layer=2, head_dim=8), "lts"),
        (lts.Architecture("gpt2", 512, 64, 64, n_head=4, d_ff=128, n_layer=2, d_embed=32), "lts"),
        (lts.Architecture("gpt2", 512, 64, 64, n_head=4, d_ff=128, n_layer=2, cutoffs=[9, 512]), "lts"),
        (lts.Architecture("llama", 512, 64, 64, head_dim=8, n_kv_head=2, **llama), "llama"),
        (lts.Architecture("llama", 512, 64, 66, head_dim=8, n_kv_head=2, **llama), "mistral"),
        (LLAMA, "lts"),
        (lts.Architecture("transformer_xl", 512, 64, 64, n_head=4, d_ff=128, n_layer=2), "lts"),
    ):
        config, *code, tensors = export(architecture, tmp_path, ["hf"])
        assert bool(code) == (expected == "lts")
        assert json.loads(config.read_text())["model_type"] == expected
        assert sum(array.size for array in safetensors(tensors).values()) == lts.total_params(architecture)


def test_safetensors_reads_the_file(tmp_path: Path) -> None:
    library = pytest.importorskip("safetensors.numpy", reason="safetensors is not installed")
    path = export(UNIFORM, tmp_path, ["hf"], weights=arrays(UNIFORM))[1]
    read, ours = library.load_file(path), safetensors(path)
    assert read.keys() == ours.keys()
    assert all((read[name] == ours[name]).all() for name in ours)


def test_an_existing_directory_keeps_its_other_files(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "config.json").write_text("old")
    paths = export(GPT2, tmp_path, ("json", "hf", "json"))
    assert [path.name for path in paths] == ["architecture.json", "config.json", *CODE, "model.safetensors"]
    assert (tmp_path / "notes.txt").read_text() == "mine"
    assert (tmp_path / "config.json").read_text() != "old"
    assert export(GPT2, tmp_path, []) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"formats": ["onnx", "pt"]}, "unknown format 'pt'; expected any of onnx, hf, json, gguf"),
        ({"weights": {}}, "the given weights lack 'token_embedding.0.weight'"),
        ({"weights": StructureOnly()}, "StructureOnly has no numbers of its own to export"),
        ({"weights": PooledWeights("pool")}, "PooledWeights has no numbers of its own to export"),
        ({"weights": 1.5}, "weights is a float; expected a source of weights or a mapping of arrays"),
        ({"seed": -1}, "the seed of random weights is -1"),
    ],
)
def test_wrong_arguments(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as error:
        export(GPT2, tmp_path / "folder", **options)
    assert str(error.value).startswith(message)
    assert not (tmp_path / "folder").exists()


def test_what_cannot_be_written_gives_one_clear_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a file")
    with pytest.raises(UsageError, match=r"cannot write .*file: File exists"):
        export(GPT2, tmp_path / "file")
    with pytest.raises(UsageError, match=r"cannot write .*below: Not a directory"):
        export(GPT2, tmp_path / "file" / "below")
    (tmp_path / "config.json").mkdir()
    with pytest.raises(UsageError, match=r"cannot write .*config.json: it is a directory"):
        export(GPT2, tmp_path, ["json", "hf"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "file"]


def test_a_full_disk_leaves_the_old_files_as_they_were(tmp_path: Path) -> None:
    export(GPT2, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    script = (
        "import resource, sys, lts; from lts.export import export; from lts.errors import UsageError\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "a = lts.Architecture('gpt2', 512, 64, 64, n_head=[4, 2], d_ff=[128, 64])\n"
        "try: export(a, sys.argv[1], ['json', 'onnx', 'hf'], seed=1)\n"
        "except UsageError as error: print(error)"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stdout == f"cannot write {tmp_path / 'weights.bin'}: File too large\n"
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_import_is_light() -> None:
    script = (
        "import sys, lts.export; from lts.export import export, onnx_model\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules} & {'onnx', 'onnxruntime', 'torch', 'tvm'}))"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"


def test_export_imports_no_torch(tmp_path: Path) -> None:
    script = (
        "import sys, lts; from lts.export import export\n"
        "export(lts.Architecture('gpt2', 99, 64, 32, n_head=4, d_ff=64, n_layer=2), sys.argv[1])\n"
        "print({'torch', 'transformers', 'onnxruntime', 'safetensors'} & set(sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", script, tmp_path], capture_output=True, text=True, check=True)
    assert result.stdout == "set()\n"


def test_encoders_are_no_onnx_models(tmp_path: Path) -> None:
    encoder = lts.Architecture("flexibert", 100, 16, 32, n_head=2, d_ff=48, n_layer=2, mixer="fourier", n_ff=3)
    for formats in (["onnx"], ["json", "onnx"]):
        with pytest.raises(UsageError, match="flexibert is an encoder; as ONNX only decoders are exported"):
            export(encoder, tmp_path, formats=formats)
    assert list(tmp_path.iterdir()) == []
    (path,) = export(encoder, tmp_path, formats=["json"])
    assert lts.Architecture.from_json(path.read_text()) == encoder
