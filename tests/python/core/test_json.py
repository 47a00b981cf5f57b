"""The text forms as Python sees them: golden files, and errors with their place."""

from __future__ import annotations

from pathlib import Path

import pytest

from lts import Architecture, SearchSpace

TINY = '{"family":"gpt2","vocab_size":100,"n_positions":16,"d_model":8,"n_layer":2,"n_head":2,"d_ff":[16,32]}'


@pytest.mark.parametrize("name", ["gpt2", "transformer_xl", "llama", "hw_gpt", "flexibert", "gpt_neox"])
def test_golden_architectures(golden: Path, name: str) -> None:
    text = (golden / f"architecture_{name}.json").read_text().rstrip("\n")
    a = Architecture.from_json(text)
    assert a.family == name
    assert a.to_json() == text


def test_golden_space(golden: Path) -> None:
    text = (golden / "search_space.json").read_text().rstrip("\n")
    space = SearchSpace.from_json(text)
    assert space.options["decoder_params"] == (None, 30_000_000)
    assert space.to_json() == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"architecture: not JSON: line 1, column 1: .*unexpected end of input"),
        ('{\n "family": gpt2}', "architecture: not JSON: line 2, column 12"),
        (TINY + "]", "architecture: not JSON: line 1, column "),
        (TINY.replace("100", "NaN"), "architecture: not JSON"),
        (TINY.replace("100", "1e2"), "vocab_size must be an integer, not 100.0"),
        (TINY.replace("100", "9" * 30), "vocab_size must be an integer of 64 bits"),
        (TINY.replace("n_head", "heads"), "unknown key 'heads'; allowed: family, vocab_size, n_positions"),
        (TINY.replace("n_layer", "d_model"), "key 'd_model' comes twice"),
        ("[" * 65 + "]" * 65, "nested deeper than 64 levels"),
        ("[]", "architecture must be an object, not an array"),
    ],
)
def test_errors(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Architecture.from_json(text)


def test_numbers_stand_for_all_layers() -> None:
    assert Architecture.from_json(TINY).n_head == [2, 2]
    assert Architecture.from_json(TINY) == Architecture.from_dict(Architecture.from_json(TINY).to_dict())


def test_names_of_any_script() -> None:
    space = SearchSpace(name='größe "5"\n空间', n_layer=[1], d_model=[8], n_head=[1], d_ff=[8])
    assert SearchSpace.from_json(space.to_json()).name == space.name
