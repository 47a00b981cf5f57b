"""Naming an architecture: files, folders, trials of studies, and one sentence for everything else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lts import Architecture
from lts.errors import UsageError
from lts.export import export
from lts.spaces.space import load_space
from lts.study.architectures import load_architecture
from lts.study.study import Study


@pytest.fixture
def architecture() -> Architecture:
    return load_space("gpt2-tiny").sample(1, seed=2)[0]


def test_files_folders_and_trials(architecture: Architecture, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(architecture.to_json())
    assert load_architecture(str(tmp_path / "a.json")) == architecture
    export(architecture, tmp_path / "ours", ("json", "hf"))
    assert load_architecture(str(tmp_path / "ours")) == architecture
    (tmp_path / "ours" / "architecture.json").unlink()
    assert load_architecture(str(tmp_path / "ours")).d_ff == architecture.d_ff
    assert load_architecture(str(tmp_path / "ours" / "config.json")).d_ff == architecture.d_ff
    objectives = ["decoder_params:max", "cost:min"]
    with Study(
        load_space("gpt2-tiny"), lambda a: {"cost": a.d_model}, objectives=objectives, store=tmp_path / "study.db"
    ) as study:
        study.run(trials=3)
        third = study.trials[2].architecture
    assert load_architecture(f"{tmp_path / 'study.db'}#2") == load_architecture(f"{tmp_path}#2") == third
    with pytest.raises(UsageError, match="has no trial 3"):
        load_architecture(f"{tmp_path}#3")
    with pytest.raises(UsageError, match="is a study, and one architecture is needed: name a trial of it"):
        load_architecture(str(tmp_path))


def test_a_gguf_file(tmp_path: Path) -> None:
    pytest.importorskip("gguf", reason="the package gguf is not installed")
    architecture = Architecture("llama", 64, 32, 32, n_head=[2, 0], n_kv_head=[1, 0], d_ff=[32, 48], head_dim=16)
    export(architecture, tmp_path, ["gguf"])
    assert load_architecture(str(tmp_path / "model.gguf")) == architecture
    (tmp_path / "cut.gguf").write_bytes((tmp_path / "model.gguf").read_bytes()[:100])
    with pytest.raises(UsageError, match=r"cut.gguf is no GGUF file that can be read"):
        load_architecture(str(tmp_path / "cut.gguf"))
    with pytest.raises(UsageError, match=r"cannot read .*no.gguf: No such file"):
        load_architecture(str(tmp_path / "no.gguf"))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xff\xfe", "is not UTF-8 text"),
        (b"{", "bad.json: "),
        (b"[" * 100_000, "bad.json: "),
        (b'{"model_type": "bert"}', "bad.json: unknown model_type 'bert'; expected"),
        (json.dumps({"family": "gpt2"}).encode(), "bad.json: "),
    ],
)
def test_a_wrong_file_is_one_sentence(content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_bytes(content)
    with pytest.raises(UsageError, match=said) as error:
        load_architecture(str(tmp_path / "bad.json"))
    assert "\n" not in str(error.value)


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read .*: No such file"):
        load_architecture(str(tmp_path / "nope.json"))
    with pytest.raises(UsageError, match=r"has neither architecture\.json nor config\.json"):
        load_architecture(str(tmp_path))
