"""Names that files and folders are called after: one rule for spaces, targets and studies."""

from __future__ import annotations

from pathlib import Path

import pytest

import lts
from lts.errors import UsageError
from lts.measure.function import FunctionEvaluator
from lts.spaces.space import load_space
from lts.study.plan import directory_name
from lts.system.names import MOST, check_name, is_name
from lts.targets.target import Target

SPACE = """
family = "gpt2"
[fixed]
vocab_size = 512
n_positions = 64
[choices]
n_layer = 1
d_model = 32
n_head = 2
d_ff = 64
"""

WRONG = [
    "../x",
    "/abs/x",
    "a/b",
    "..",
    ".",
    "",
    ".hidden",
    "-rf",
    "a\nb",
    "a\x00b",
    "a\x7fb",
    "a\x1b[31mb",
    "a\u202eb",
    "a\\b",
    "~",
    "C:x",
    "x ",
    " x",
    "a" * (MOST + 1),
    "\U00020000" * MOST,
    "\ud800",
]
RIGHT = ["gpt2-tiny", "x86-64-v3", "sm_80", "_x", "my space (2)", "größe", "v1.0+b, c", "9", "a" * MOST]


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_name(name: str) -> None:
    assert not is_name(name)
    with pytest.raises(UsageError, match="files and folders are called after it, so it must have") as raised:
        check_name(name, "x.toml: 'name'")
    assert "\n" not in str(raised.value)
    assert "\x1b" not in str(raised.value)


@pytest.mark.parametrize("name", RIGHT)
def test_what_is_a_name(name: str, tmp_path: Path) -> None:
    assert check_name(name, "name") == name
    (tmp_path / f"{name}-{name[:50]}-estimated").mkdir()
    assert len(list(tmp_path.iterdir())) == 1


def quoted(name: str) -> str:
    return '"' + "".join(f"\\u{ord(c):04x}" if ord(c) < 0x10000 else f"\\U{ord(c):08x}" for c in name) + '"'


@pytest.mark.parametrize("name", WRONG[:-1])  # TOML has no surrogates
def test_a_space_with_such_a_name_is_refused(name: str, tmp_path: Path) -> None:
    file = tmp_path / "space.toml"
    file.write_text(f"name = {quoted(name)}\n{SPACE}")
    with pytest.raises(UsageError, match=r"space\.toml: 'name' is"):
        load_space(file)


def test_the_name_of_a_file_is_a_name_too(tmp_path: Path) -> None:
    for stem in ("a:b", "-x", "a\nb"):
        file = tmp_path / f"{stem}.toml"
        file.write_text(SPACE)
        with pytest.raises(UsageError, match=r"its file's name is .*, or give it a 'name'"):
            load_space(file)
        file.write_text(f'name = "fine"\n{SPACE}')
        assert load_space(file).name == "fine"


@pytest.mark.parametrize("name", WRONG)
def test_a_target_with_such_a_name_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="'name'"):
        Target(name=name, triple="aarch64-linux-gnu", cpu="cortex-a72", cores=1)


@pytest.mark.parametrize("name", ["../x", "/abs/x", "a\nb", "x/../../y"])
def test_a_study_of_a_space_with_such_a_name_goes_nowhere(name: str) -> None:
    made = lts.SearchSpace(
        name=name, family="gpt2", vocab_size=512, n_positions=64, n_layer=[1], d_model=[32], n_head=[2], d_ff=[64]
    )
    evaluator = FunctionEvaluator(lambda architecture: {})
    with pytest.raises(UsageError, match="the name of the space is"):
        directory_name(made.name, "host", evaluator)
    with pytest.raises(UsageError, match="the name of the target is"):
        directory_name("gpt2-tiny", name, evaluator)
