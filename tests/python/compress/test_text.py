"""Texts as windows: even shares, parts that do not overlap, and what is no text."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lts
from lts.compress.original import Original
from lts.compress.text import _spread, load_windows, read_windows, save_windows
from lts.errors import UsageError


def original(vocab_size: int = 1000, n_positions: int = 64, tokenizer: Path | None = None) -> Original:
    architecture = lts.Architecture("llama", vocab_size, n_positions, 32, 2, 64, n_layer=1)
    return Original(Path("model"), architecture, {}, tokenizer)


def ids(folder: Path, name: str, begin: int, n: int) -> Path:
    """A file of n ids from `begin` on, in steps of one, again and again below 300 more."""
    file = folder / f"{name}.npy"
    np.save(file, begin + np.arange(n) % 300)
    return file


def test_files_have_equal_shares_and_none_is_on_both_sides(tmp_path: Path) -> None:
    files = [ids(tmp_path, "one", 0, 8000), ids(tmp_path, "two", 300, 2000), ids(tmp_path, "three", 600, 30_000)]
    windows = read_windows(original(), files, tokens=32 * 24, context=32)
    assert windows.calibration.shape == (24, 32)
    assert windows.held_out.shape == (8, 32)
    share = np.bincount(windows.calibration[:, 0] // 300, minlength=3)
    assert share.tolist() == [8, 8, 8]
    assert np.bincount(windows.held_out[:, 0] // 300, minlength=3).min() >= 2
    # ids say where a window of the first file lies, as long as it is not looked at beyond the cycle
    text = np.arange(320)
    np.save(tmp_path / "once.npy", text)
    once = read_windows(original(), [tmp_path / "once.npy"], tokens=10_000, context=32)
    assert once.calibration.max() < once.held_out.min()
    assert len(once.notes) == 1
    assert "8 windows of 32 tokens to calibrate on, of 312 that were asked for" in once.notes[0]


@given(st.lists(st.integers(0, 40), min_size=1, max_size=5), st.integers(1, 60))
def test_windows_are_spread_evenly(lengths: list[int], n: int) -> None:
    parts = [np.stack([np.full(length, i), np.arange(length)], axis=1) for i, length in enumerate(lengths)]
    found = _spread(parts, n)
    assert len(found) == min(n, sum(lengths))
    assert len({tuple(row) for row in found.tolist()}) == len(found)
    counts = np.bincount(found[:, 0], minlength=len(lengths)) if len(found) else np.zeros(len(lengths))
    most = counts.max()
    for count, length in zip(counts, lengths, strict=True):
        assert count == length or count >= most - 1  # none has less than another but for want of windows


def test_a_second_text_is_of_the_same_length(tmp_path: Path) -> None:
    first, second = ids(tmp_path, "one", 0, 8000), ids(tmp_path, "two", 300, 2000)
    windows = read_windows(original(), [first], second, tokens=32 * 24, context=32)
    assert windows.second is not None
    assert windows.second.shape == (8, 32)
    assert windows.second.min() >= 300
    assert windows.digest != read_windows(original(), [first], tokens=32 * 24, context=32).digest


def test_windows_come_back(tmp_path: Path) -> None:
    for second in (None, ids(tmp_path, "two", 300, 2000)):
        windows = read_windows(original(), [ids(tmp_path, "one", 0, 8000)], second, tokens=32 * 24, context=32)
        save_windows(windows, tmp_path / "windows.npz")
        assert load_windows(tmp_path / "windows.npz").digest == windows.digest
    (tmp_path / "windows.npz").write_bytes(b"PK\x03\x04 cut")
    with pytest.raises(UsageError, match=r"windows\.npz is damaged"):
        load_windows(tmp_path / "windows.npz")


def test_what_is_no_text(tmp_path: Path) -> None:
    short, second = ids(tmp_path, "short", 0, 150), ids(tmp_path, "second", 0, 40)
    text = ids(tmp_path, "text", 0, 4000)
    word = tmp_path / "word.txt"
    word.write_text("yes " * 4000)
    with pytest.raises(UsageError, match=r"short\.npy: 150 tokens are too few; 4 windows of 32 .* take 192 or more"):
        read_windows(original(), [short], tokens=1000, context=32)
    with pytest.raises(UsageError, match=r"second\.npy: 40 tokens are too few; 2 windows of 32 take 64"):
        read_windows(original(), [text], second, tokens=1000, context=32)
    with pytest.raises(UsageError, match=r"word\.txt has 4 different tokens among its .*; expected a text"):
        read_windows(original(256), [word], tokens=1000, context=32)
    with pytest.raises(UsageError, match=r"--context is 65; the model has 64 positions, so it must be from 2 to 64"):
        read_windows(original(), [text], context=65)
    with pytest.raises(UsageError, match=r"no text to compress for; name one or several files \(--text FILE\)"):
        read_windows(original(), [])
    with pytest.raises(UsageError, match=r"has the token 299; those of the model are 0 to 255"):
        read_windows(original(256), [text])
    with pytest.raises(UsageError, match=r"cannot read .*absent\.txt: No such file"):
        read_windows(original(256), [tmp_path / "absent.txt"])


def test_a_tokenizer_of_another_model(tmp_path: Path) -> None:
    tokenizer = tmp_path / "tokenizer.json"
    vocabulary = {chr(97 + i % 26) * (1 + i // 26): i for i in range(400)}
    tokenizer.write_text(json.dumps({"model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "a"}}))
    text = ids(tmp_path, "text", 0, 4000)
    with pytest.raises(UsageError, match=r"tokenizer\.json has 400 tokens, and the embedding of the model 350"):
        read_windows(original(350, tokenizer=tokenizer), [text], tokens=1000, context=32)
    (note,) = read_windows(original(1000, tokenizer=tokenizer), [text], tokens=1000, context=32).notes
    assert "has 400 tokens, and the embedding 1" in note
    # padded to a round number, as many are
    assert not read_windows(original(512, tokenizer=tokenizer), [text], tokens=1000, context=32).notes
