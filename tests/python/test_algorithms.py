"""The table of search algorithms as Python sees it: names, options, ranges, and who lists them."""

from __future__ import annotations

import math
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import lts
from lts import Search, SearchSpace, _core

OBJECTIVES = {"decoder_params": "max", "flops_prefill": "min"}
OPTIONS = [(name, option) for name in lts.algorithm_names() for option in _core.algorithm_options(name)]
each_option = pytest.mark.parametrize(("algorithm", "option"), OPTIONS, ids=[f"{a}-{o.name}" for a, o in OPTIONS])


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    return SearchSpace(n_layer=[1, 2], d_model=[8, 16], n_head=[1, 2], d_ff=[8, 16, 24])


def search_of(space: SearchSpace, algorithm: str, **options: Any) -> Search:
    return Search(space, OBJECTIVES, algorithm=algorithm, **options)


@pytest.mark.parametrize("algorithm", lts.algorithm_names())
def test_options_are_those_of_a_search(space: SearchSpace, algorithm: str) -> None:
    options = _core.algorithm_options(algorithm)
    assert {o.name: o.default for o in options} == search_of(space, algorithm).algorithm_options
    for option in options:
        assert type(option.default) is type(option.minimum) is type(option.maximum)
        assert option.minimum <= option.default <= option.maximum
        assert repr(option) == (
            f"<AlgorithmOption {option.name}: {option.default}, from {option.minimum} to {option.maximum}>"
        )
    for doc in (_core.algorithm_doc(algorithm), *(o.doc for o in options)):
        assert re.fullmatch(r"[A-Z][^\n]+\.", doc)


@each_option
def test_the_ends_of_the_range_are_allowed(space: SearchSpace, algorithm: str, option: _core.AlgorithmOption) -> None:
    for end in (option.minimum, option.maximum):
        assert search_of(space, algorithm, **{option.name: end}).algorithm_options[option.name] == end


@each_option
def test_what_is_out_of_range_is_refused(space: SearchSpace, algorithm: str, option: _core.AlgorithmOption) -> None:
    whole = isinstance(option.default, int)
    step = 1 if whole else 0.5
    for wrong in (option.minimum - step, option.maximum + step):
        message = f"algorithm {algorithm}: {option.name} is {wrong}; allowed are {option.minimum:g} to "
        if whole and not 0 <= wrong < 2**32:  # no value of the option's type
            message = f"^{option.name} is {wrong}; it must be from 0 to 4294967295"
        with pytest.raises(ValueError, match=message):
            search_of(space, algorithm, **{option.name: wrong})
    if not whole:
        with pytest.raises(ValueError, match=f"{option.name} is nan; allowed are 0 to 1"):
            search_of(space, algorithm, **{option.name: math.nan})


def test_unknown_names() -> None:
    for function in (_core.algorithm_options, _core.algorithm_doc):
        with pytest.raises(
            ValueError, match="unknown algorithm 'sgd'; expected one of " + ", ".join(lts.algorithm_names())
        ):
            function("sgd")


def test_the_docstring_lists_them() -> None:
    text = Search.__doc__ or ""
    algorithms, options = re.findall(r"^(?:algorithm|\*\*algorithm_options)\n((?:    .*\n)+)", text, re.MULTILINE)
    assert re.findall(r"^    ``(\w+)``: (.*)", algorithms, re.MULTILINE) == [
        (name, _core.algorithm_doc(name)) for name in lts.algorithm_names()
    ]
    listed = dict(re.findall(r"^    ``(\w+)``: (.*)", options, re.MULTILINE))
    of_each = {name: ", ".join(o.name for o in _core.algorithm_options(name)) for name in lts.algorithm_names()}
    assert listed == {name: names for name, names in of_each.items() if names}


def test_the_command_line_lists_them() -> None:
    command = Path(sys.executable).with_name("lts-engine")
    env = {**os.environ, "COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"}
    done = subprocess.run(
        [command, "search", "--help"], capture_output=True, text=True, check=True, timeout=120, env=env
    )
    text = re.search(r"--algorithm\b(.*?)\[default", done.stdout, re.DOTALL)
    assert text is not None, done.stdout
    words = re.findall(r"(?<![<\w])[a-z0-9_]+", text[1])
    assert [w for w in words if w != "or"] == lts.algorithm_names()
