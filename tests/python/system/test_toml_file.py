"""Strict reading of TOML files."""

from __future__ import annotations

from pathlib import Path

import pytest

from lts.errors import UsageError
from lts.spaces.space import load_space
from lts.system.toml_file import check_keys, integer, read_toml, table_at
from lts.targets.target import load_target


def test_reads_a_file(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_text('name = "Kürzel"\n[table]\nx = [1, 2]\n', encoding="utf-8")
    assert read_toml(file) == {"name": "Kürzel", "table": {"x": [1, 2]}}


def test_an_empty_file_is_an_empty_document(tmp_path: Path) -> None:
    (tmp_path / "empty.toml").touch()
    assert read_toml(tmp_path / "empty.toml") == {}


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("x = 1\ny =\n", "line 2, column 4"),
        ("x = 1\nx = 2\n", "line 2"),
        ("[table\n", "line 1"),
        ('x = "never closed\n', "line 1"),
        ("just some words", "line 1"),
        ("x = 1 y = 2", "line 1"),
    ],
)
def test_a_syntax_error_names_file_and_line(tmp_path: Path, text: str, place: str) -> None:
    file = tmp_path / "broken.toml"
    file.write_text(text)
    with pytest.raises(UsageError, match=f"broken.toml is not valid TOML: .*{place}"):
        read_toml(file)


def test_what_is_not_text_is_told_with_its_byte(tmp_path: Path) -> None:
    file = tmp_path / "binary.toml"
    file.write_bytes(b'x = "\xff\xfe"\n')
    with pytest.raises(UsageError, match=r"binary.toml is not UTF-8 text \(byte 5\)"):
        read_toml(file)


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read .*missing.toml: No such file"):
        read_toml(tmp_path / "missing.toml")
    with pytest.raises(UsageError, match=r"cannot read .*: Is a directory"):
        read_toml(tmp_path)


def test_an_unknown_key_is_told_with_the_allowed_ones() -> None:
    check_keys({"a": 1}, ("a", "b"), "x.toml")
    check_keys({}, iter(("a",)), "x.toml")
    with pytest.raises(UsageError, match=r"x.toml, \[t\]: unknown key 'c'; allowed: a, b"):
        check_keys({"a": 1, "c": 2}, (key for key in "ab"), "x.toml, [t]")


def test_a_table_must_be_a_table() -> None:
    assert table_at({"t": {"x": 1}}, "t", "x.toml") == {"x": 1}
    assert table_at({}, "t", "x.toml") == {}
    for value in (1, "x", [{"x": 1}], None):
        with pytest.raises(UsageError, match=r"x.toml: 't' must be a table, \[t\]"):
            table_at({"t": value}, "t", "x.toml")


@pytest.mark.parametrize("value", [True, 1.0, "1", [1], None])
def test_an_integer_must_be_one(value: object) -> None:
    assert integer(-3, "here") == -3
    with pytest.raises(UsageError, match="here: expected an integer, got "):
        integer(value, "here")


@pytest.mark.parametrize("text", ["\ufeffa = 1\n", "\ufeff# comment\na = 1\n", "\ufeff\na = 1\n", "a = 1\n"])
def test_a_byte_order_mark_is_skipped(tmp_path: Path, text: str) -> None:
    file = tmp_path / "a.toml"
    file.write_text(text, encoding="utf-8")
    assert read_toml(file) == {"a": 1}


@pytest.mark.parametrize("digits", [20, 400, 5000])
@pytest.mark.parametrize("key", ["n_layer", "vocab_size", "d_ff", "min_ff_ratio"])
def test_an_integer_of_many_digits_is_told_with_its_key(tmp_path: Path, digits: int, key: str) -> None:
    known = {"vocab_size": "512", "n_layer": "1", "d_ff": "64", "min_ff_ratio": "1"} | {key: "9" * digits}
    file = tmp_path / "space.toml"
    file.write_text(
        f"family = 'gpt2'\n[fixed]\nvocab_size = {known['vocab_size']}\nn_positions = 64\n[choices]\n"
        f"n_layer = {known['n_layer']}\nd_model = 32\nn_head = 2\nd_ff = [64, {known['d_ff']}]\n"
        f"[rules]\nmin_ff_ratio = {known['min_ff_ratio']}\n"
    )
    with pytest.raises(UsageError, match=rf"space\.toml.*'{key}'.*too many digits") as raised:
        load_space(file)
    assert len(str(raised.value)) < 300 + len(str(file))


@pytest.mark.parametrize("digits", [20, 400, 5000])
@pytest.mark.parametrize("key", ["cores", "memory_mib", "bandwidth_gib_s"])
def test_so_is_one_of_a_target(tmp_path: Path, digits: int, key: str) -> None:
    file = tmp_path / "board.toml"
    file.write_text(f'like = "cortex-a72"\n{key} = {"9" * digits}\n')
    with pytest.raises(UsageError, match=rf"board\.toml.*'{key}'.*too many digits"):
        load_target(file)
