"""Search spaces by name and from TOML files."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

import lts
from lts.errors import UsageError
from lts.spaces.space import choices, describe_space, load_space, space_file, space_names
from lts.spaces.writing import written

GOOD = """
family = "gpt2"
[fixed]
vocab_size = 512
n_positions = 64
[choices]
n_layer = {min = 1, max = 3}
d_model = [32, 64]
n_head = 2
d_ff = {min = 64, max = 128, step = 32}
"""


def load(tmp_path: Path, text: str, name: str = "mine.toml") -> lts.SearchSpace:
    (tmp_path / name).write_text(text)
    return load_space(tmp_path / name)


PAIRS = """
family = "llama"
[fixed]
head_dim = 64
[choices]
n_layer = 30
d_model = 576
heads = [[9, 3], [6, 2], [3, 1]]
d_ff = {min = 64, max = 1536, step = 64}
"""


def test_pairs_of_heads(tmp_path: Path) -> None:
    space = load(tmp_path, PAIRS)
    assert space.size == (3 * 24) ** 30
    assert space.options["heads"] == space.head_choices == [(3, 1), (6, 2), (9, 3)]
    assert space.options["n_head"] == space.options["n_kv_head"] == []
    assert {n for a in space.sample(20) for n in zip(a.n_head, a.n_kv_head, strict=True)} == set(space.head_choices)
    assert lts.SearchSpace(**space.options) == space == lts.SearchSpace.from_json(space.to_json())
    assert written(space)["choices.heads"] == "[[3, 1], [6, 2], [9, 3]]"
    assert "choices.n_head" not in written(space)
    assert choices(space)["n_head"] == [3, 6, 9]
    assert choices(space)["n_kv_head"] == [1, 2, 3]
    # Without pairs, those of the product.
    assert load_space("llama-tiny").head_choices == [
        (n, kv)
        for n in load_space("llama-tiny").options["n_head"]
        for kv in load_space("llama-tiny").options["n_kv_head"]
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("heads = [9, 3]", "expected a list, got 9"),
        ("heads = [[9, 3, 1]]", "expected pairs of n_head and n_kv_head such as"),
        ("heads = []", "expected pairs of n_head and n_kv_head such as"),
        ("heads = [[9, 3], [9, 2]]", r"heads has the choice \[9, 2\]; the first must be a multiple of the second"),
        ("heads = [[9, 3], [9, 3]]", r"heads has the choice \[9, 3\] twice; choices must be distinct"),
        ("heads = [[9, 3]]\nn_head = 9", "heads has choices, and so has n_head; give either pairs or both dimensions"),
    ],
)
def test_wrong_pairs_of_heads(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load(tmp_path, PAIRS.replace("heads = [[9, 3], [6, 2], [3, 1]]", line))


def test_the_documented_spaces_are_there() -> None:
    assert space_names() == [
        "gpt2-any-shapes",
        "gpt2-lts",
        "gpt2-small",
        "gpt2-tiny",
        "hw-gpt-l",
        "hw-gpt-m",
        "hw-gpt-s",
        "hw-gpt-tiny",
        "llama-edge",
        "llama-lm",
        "llama-lm-128k",
        "llama-tiny",
        "transformer-xl-lts",
        "transformer-xl-tiny",
    ]


@pytest.mark.parametrize("name", space_names())
def test_every_preset_loads_samples_and_describes_itself(name: str) -> None:
    space = load_space(name)
    assert space.name == name
    assert space.size > 0
    for architecture in space.sample(3, seed=1):
        assert architecture in space
        assert architecture.family == space.family
        assert lts.total_params(architecture) > 0
    description = describe_space(name)
    assert description
    assert "\n" not in description


@pytest.mark.parametrize("name", ["gpt2-lts", "transformer-xl-lts"])
def test_the_published_spaces_have_the_published_choices(name: str) -> None:
    options = load_space(name).options
    assert options["n_layer"] == list(range(2, 17))
    assert options["d_model"] == list(range(128, 1025, 64))
    assert options["d_ff"] == list(range(256, 4097, 64))
    assert options["n_head"] == [2, 4, 8]
    assert not options["shared_n_head"]
    assert not options["shared_d_ff"]
    if name == "transformer-xl-lts":
        assert options["family"] == "transformer_xl"
        assert options["d_embed"] == [128, 256, 512]
        assert options["div_val"] == [1, 2, 4]
        assert options["vocab_size"] == 267735
        assert options["cutoffs"] == [19997, 39997, 199997, 267735]


@pytest.mark.parametrize(
    ("name", "n_other"),
    [("gpt2-lts", 15), ("transformer-xl-lts", 15 * 3 * 3)],
)
def test_the_published_spaces_have_the_size_of_their_choices(name: str, n_other: int) -> None:
    # Every layer chooses among 3 heads and 61 widths.
    assert load_space(name).size == n_other * sum((3 * 61) ** n for n in range(2, 17))


@pytest.mark.parametrize(
    ("name", "d_model", "n_layer", "n_head", "magnitude"),
    [
        ("hw-gpt-s", [192, 384, 768], [10, 11, 12], [4, 8, 12], 1.9e12),
        ("hw-gpt-m", [256, 512, 1024], [22, 23, 24], [8, 12, 16], 5.4e23),
        ("hw-gpt-l", [320, 640, 1280], [34, 35, 36], [8, 16, 20], 1.5e35),
    ],
)
def test_the_spaces_of_hw_gpt_bench(
    name: str, d_model: list[int], n_layer: list[int], n_head: list[int], magnitude: float
) -> None:
    space = load_space(name)
    options = space.options
    assert (options["d_model"], options["n_layer"], options["n_head"]) == (d_model, n_layer, n_head)
    assert options["d_ff_ratio"] == [2.0, 3.0, 4.0]
    assert options["bias"] == [False, True]
    # A width, a bias, and 3 x 3 heads and ratios in each of its layers.
    assert space.size == 3 * 2 * sum(9**n for n in n_layer)
    assert space.size == pytest.approx(magnitude, rel=0.03)
    largest = space.at(space.size - 1)
    d, layers, heads, f = d_model[-1], n_layer[-1], n_head[-1], 4 * d_model[-1]
    assert (largest.d_model, largest.n_layer, largest.qkv_bias) == (d, layers, True)
    assert largest.n_head == [heads] * layers
    assert largest.d_ff == [f] * layers
    inner = 64 * heads
    of_layer = (4 * d * inner + 3 * inner + d) + (2 * d * f + f + d) + 4 * d
    assert lts.decoder_params(largest) == layers * of_layer + 2 * d


RATIOS = """
family = "gpt2"
[fixed]
vocab_size = 512
n_positions = 64
[choices]
n_layer = [1, 2]
d_model = [32, 64]
n_head = [2, 4]
d_ff_ratio = [2, 2.5]
head_dim = [8, 16]
bias = [false, [true, false, true]]
"""


def test_ratios_widths_of_heads_and_biases(tmp_path: Path) -> None:
    space = load(tmp_path, RATIOS)
    assert space.size == len({a.to_json() for a in space}) == 2 * 2 * 2 * (4 + 4**2)
    assert {(a.d_model, f) for a in space for f in a.d_ff} == {(32, 64), (32, 80), (64, 128), (64, 160)}
    assert {a.head_dim for a in space} == {8, 16}
    assert {(a.qkv_bias, a.attention_output_bias, a.feed_forward_bias) for a in space} == {
        (False, False, False),
        (True, False, True),
    }
    assert all(space.at(space.index(a)) == a for a in space)
    assert [space.d_ff_choices(d) for d in (32, 64)] == [[64, 80], [128, 160]]
    assert choices(space) == {
        "n_layer": [1, 2],
        "d_model": [32, 64],
        "n_head": [2, 4],
        "n_kv_head": [],
        "d_ff": [64, 80, 128, 160],
        "d_embed": [-1],
        "div_val": [1],
        "head_dim": [8, 16],
        "qkv_bias": [False, True],
        "attention_output_bias": [False],
        "feed_forward_bias": [False, True],
    }
    assert lts.SearchSpace(**space.options) == space == lts.SearchSpace.from_json(space.to_json())
    said = written(space)
    assert said["choices.d_ff_ratio"] == "[2.0, 2.5]"
    assert said["choices.head_dim"] == "[8, 16]"
    assert said["choices.bias"] == "[false, [true, false, true]]"
    shared = load(tmp_path, RATIOS + '[rules]\nshared = ["d_ff"]\n')
    assert shared.size == 2 * 2 * 2 * 2 * (2 + 2**2)
    assert all(len(set(a.d_ff)) == 1 for a in shared)


def test_one_choice_is_a_fixed_value(tmp_path: Path) -> None:
    text = RATIOS.replace("[8, 16]", "8").replace("[false, [true, false, true]]", "false")
    space = load(tmp_path, text)
    assert (space.options["head_dim"], space.options["bias"], space.options["qkv_bias"]) == (8, [], False)
    assert space.size == 2 * (4 + 4**2)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[2, 2.5]", "[2.3]", r"d_ff_ratio has the choice 2.3; times d_model 32 it is no integer"),
        ("[2, 2.5]", "[2, 2.0]", r"d_ff_ratio has the choice 2 twice; choices must be distinct"),
        ("[2, 2.5]", "[-1]", r"d_ff_ratio has the choice -1; it must be a number from 0 to 1048576"),
        ("[2, 2.5]", "[nan, 2]", r"d_ff_ratio has the choice nan; it must be a number from 0"),
        ("[2, 2.5]", "[1e5]", r"d_ff_ratio has the choice .*; times d_model 32 it is above 1048576"),
        ("[2, 2.5]", "[]", r"'d_ff_ratio': no choices; give at least one"),
        ("[2, 2.5]", '"4"', r"'d_ff_ratio': expected a number, got '4'"),
        ("n_head =", "d_ff = 64\nn_head =", r"d_ff has choices, and so has d_ff_ratio; give one of them"),
        ("[8, 16]", "[]", r"'head_dim': no choices; give at least one"),
        ("[8, 16]", "[0, 8]", r"head_dim has the choice 0; it must be at least 1"),
        ("n_positions = 64", "n_positions = 64\nhead_dim = 8", r"'head_dim' is in \[fixed\] and in \[choices\]"),
        ("[false, [true, false, true]]", "[1]", r"'bias': expected true, false, or three of them for qkv_bias, "),
        ("[false, [true, false, true]]", "[[true, false]]", r"'bias': expected true, false, or three of them"),
        ("[false, [true, false, true]]", "[true, true]", r"bias has a choice twice; choices must be distinct"),
        ("n_positions = 64", "n_positions = 64\nqkv_bias = true", r"bias has choices, and qkv_bias a value; give one"),
    ],
)
def test_wrong_ratios_widths_of_heads_and_biases(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in RATIOS
    with pytest.raises(UsageError, match=message):
        load(tmp_path, RATIOS.replace(old, new))


def test_sizes_for_their_purpose() -> None:
    # Heads and widths that do not follow from d_model, so that measurements tell their costs apart.
    assert load_space("gpt2-any-shapes").size == 5 * sum((3 * 21) ** n for n in range(2, 9))
    assert load_space("gpt2-small").size >= 10**9
    assert load_space("gpt2-tiny").size == 2 * (6 + 6**2 + 6**3)
    small = load_space("gpt2-small").options
    largest = lts.Architecture(
        "gpt2",
        small["vocab_size"],
        small["n_positions"],
        max(small["d_model"]),
        n_head=max(small["n_head"]),
        d_ff=max(small["d_ff"]),
        n_layer=max(small["n_layer"]),
    )
    assert lts.total_params(largest) < 40e6


@pytest.mark.parametrize(
    ("name", "widths"),
    [("gpt2-small", {64}), ("llama-edge", {64, 128}), ("llama-lm", {64, 128}), ("llama-lm-128k", {64, 128})],
)
def test_the_shapes_are_those_that_are_trained(name: str, widths: set[int]) -> None:
    """Heads of a usual width that fill d_model, feed-forward networks 2 to 4 times as wide, multiples of 64."""
    space = load_space(name)
    samples = [*space.sample(100, seed=1), *space.sample(400, seed=1, method="choices")]
    found = {width for a in samples for width in a.head_dims}
    assert found == widths
    for a in samples:
        assert a.d_model % 64 == 0
        assert all(width % 64 == 0 for width in a.d_ff)
        assert {n * width for n, width in zip(a.n_head, a.head_dims, strict=True)} == {a.d_model}
        assert all(2 * a.d_model <= width <= 4 * a.d_model for width in a.d_ff)
        assert len(set(a.head_dims)) == 1
    # No choice is there for nothing.
    options = space.options
    assert {n for a in samples for n in a.n_head} == set(options["n_head"])
    assert {n for a in samples for n in a.n_kv_head} == set(options["n_kv_head"] or options["n_head"])
    assert {a.d_model for a in samples} == set(options["d_model"])


@pytest.mark.parametrize(
    ("name", "vocab_size", "tied"), [("llama-lm", 32_000, False), ("llama-lm-128k", 128_000, True)]
)
def test_language_models_of_a_billion_parameters(name: str, vocab_size: int, tied: bool) -> None:
    space = load_space(name)
    assert space.options["vocab_size"] == vocab_size
    for shape in (
        {"n_layer": 30, "d_model": 576, "n_head": 9, "n_kv_head": 3, "d_ff": 1536},  # SmolLM 135M
        {"n_layer": 32, "d_model": 960, "n_head": 15, "n_kv_head": 5, "d_ff": 2560},  # SmolLM 360M
        {"n_layer": 22, "d_model": 2048, "n_head": 32, "n_kv_head": 4, "d_ff": 5632},  # TinyLlama 1.1B
        {"n_layer": 16, "d_model": 2048, "n_head": 32, "n_kv_head": 8, "d_ff": 8192},  # Llama 3.2 1B
    ):
        n_positions = space.options["n_positions"]
        a = lts.Architecture("llama", vocab_size, n_positions, tie_embedding=tied, **shape)
        assert space.why_not(a) is None
    for a in space.sample(200, seed=2, method="choices"):
        assert a.uniform
        assert a.tie_embedding == tied
        assert lts.total_params(a) <= 1_250_000_000


def test_a_file_is_a_space(tmp_path: Path) -> None:
    space = load(tmp_path, GOOD)
    assert space.name == "mine"
    assert space.size == 2 * (3 + 3**2 + 3**3)
    assert space.options["n_head"] == [2]
    assert space.options["d_ff"] == [64, 96, 128]
    assert load_space(str(tmp_path / "mine.toml")) == space


def test_a_file_needs_no_suffix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load(tmp_path, GOOD, "mine") == load_space("mine")


def test_every_key_is_read(tmp_path: Path) -> None:
    text = """
    schema = 1
    name = "all"
    description = "everything"
    family = "llama"
    [fixed]
    vocab_size = 1000
    n_positions = 128
    head_dim = 16
    tie_embedding = false
    [choices]
    n_layer = [2]
    d_model = [64, 128]
    n_head = [2, 4]
    n_kv_head = [1, 2]
    d_ff = [64, 128, 256]
    [rules]
    shared = ["n_head", "n_kv_head", "d_ff"]
    min_ff_ratio = 1
    max_ff_ratio = 2
    head_dims = [16, 32]
    decoder_params = {min = 10, max = 1000000}
    total_params = {max = 2000000}
    """
    space = load(tmp_path, text)
    options = space.options
    assert describe_space(tmp_path / "mine.toml") == "everything"
    assert (space.name, space.family) == ("all", "llama")
    assert (options["vocab_size"], options["n_positions"], options["head_dim"]) == (1000, 128, 16)
    assert options["tie_embedding"] is False
    assert options["n_kv_head"] == [1, 2]
    assert all(options[f"shared_{name}"] for name in ("n_head", "n_kv_head", "d_ff"))
    assert (options["min_ff_ratio"], options["max_ff_ratio"]) == (1.0, 2.0)
    assert options["head_dims"] == [16, 32]
    assert options["decoder_params"] == (10, 1_000_000)
    assert options["total_params"] == (None, 2_000_000)
    for architecture in space:
        assert all(architecture.d_model <= width <= 2 * architecture.d_model for width in architecture.d_ff)
        assert set(architecture.head_dims) == {16}
        assert len(set(architecture.d_ff)) == len(set(architecture.n_head)) == 1


def test_the_adaptive_embedding_is_read(tmp_path: Path) -> None:
    text = """
    family = "transformer_xl"
    [fixed]
    vocab_size = 512
    n_positions = 64
    cutoffs = [100, 300]
    tie_projs = [false, true, true]
    [choices]
    n_layer = 1
    d_model = 32
    n_head = 2
    d_ff = 64
    d_embed = [32, 64]
    div_val = {min = 1, max = 2}
    """
    options = load(tmp_path, text).options
    assert options["cutoffs"] == [100, 300]
    assert options["tie_projs"] == [False, True, True]
    assert (options["d_embed"], options["div_val"]) == ([32, 64], [1, 2])


@pytest.mark.parametrize("name", ["nonsense", "gpt2-lts ", "GPT2-LTS", "", "../gpt2-lts"])
def test_an_unknown_space_is_told_with_the_known_ones(name: str) -> None:
    with pytest.raises(
        UsageError, match=r"unknown search space '.*'; expected one of gpt2-any-shapes, gpt2-lts, .*, or a TOML file"
    ):
        load_space(name)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no space file .*none\.toml; expected"):
        load_space(tmp_path / "none.toml")
    (tmp_path / "folder.toml").mkdir()
    with pytest.raises(UsageError, match=r"no space file .*folder\.toml"):
        space_file(tmp_path / "folder.toml")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_told(tmp_path: Path) -> None:
    (tmp_path / "closed.toml").write_text(GOOD)
    (tmp_path / "closed.toml").chmod(0)
    with pytest.raises(UsageError, match=r"cannot read .*closed\.toml: Permission denied"):
        load_space(tmp_path / "closed.toml")


def test_malformed_toml_is_told_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"mine\.toml is not valid TOML: .*line 3, column"):
        load(tmp_path, 'family = "gpt2"\n[choices]\nn_layer = = 2\n')


def replaced(old: str, new: str) -> str:
    assert old in GOOD
    return GOOD.replace(old, new)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        # keys
        ("n_layers = 3\n" + GOOD, r"mine\.toml: unknown key 'n_layers'; allowed: schema, name, .*choices, rules"),
        (replaced("vocab_size", "vocab"), r"\[fixed\]: unknown key 'vocab'; allowed: vocab_size, n_positions, "),
        (replaced("n_head", "n_heads"), r"\[choices\]: unknown key 'n_heads'; allowed: n_layer, d_model, n_head, "),
        (GOOD + "[rules]\nmax_params = 3\n", r"\[rules\]: unknown key 'max_params'; allowed: shared, min_ff_ratio, "),
        (replaced("step = 32", "by = 32"), r"'d_ff': unknown key 'by'; allowed: min, max, step"),
        (GOOD + "[rules]\ntotal_params = {most = 3}\n", r"'total_params': unknown key 'most'; allowed: min, max"),
        # missing
        ("", r"'family' is missing; expected one of gpt2, transformer_xl, llama, hw_gpt, hw_gpt_gated"),
        ('family = "gpt2"\n', r"\[choices\]: 'n_layer' is missing; needed: n_layer, d_model, n_head, d_ff"),
        (replaced("n_head = 2\n", ""), r"\[choices\]: 'n_head' is missing"),
        (replaced("{min = 1, max = 3}", "{min = 1}"), r"'n_layer': a range needs 'min' and 'max'"),
        # wrong values at the top
        (replaced('"gpt2"', '"flexibert"'), r"family is flexibert; there are no search spaces of encoders"),
        (replaced('"gpt2"', '"bert"'), r"unknown family 'bert'; expected one of gpt2, transformer_xl, llama, hw_gpt"),
        (replaced('"gpt2"', "3"), r"unknown family 3; expected one of"),
        (replaced('"gpt2"', '["gpt2"]'), r"unknown family \['gpt2'\]"),
        ("schema = 2\n" + GOOD, r"schema is 2; this version reads schema 1"),
        ('schema = "1"\n' + GOOD, r"schema is '1'"),
        ("name = 3\n" + GOOD, r"'name' must be a string, got 3"),
        ("description = []\n" + GOOD, r"'description' must be a string, got \[\]"),
        ('choices = 3\nfamily = "gpt2"\n', r"'choices' must be a table, \[choices\]"),
        (GOOD + "[[rules]]\n", r"'rules' must be a table"),
        # wrong types of fixed values
        (replaced("vocab_size = 512", "vocab_size = 512.0"), r"'vocab_size': expected an integer, got 512\.0"),
        (replaced("vocab_size = 512", "vocab_size = true"), r"'vocab_size': expected an integer, got True"),
        (replaced("vocab_size = 512", "vocab_size = -1"), r"vocab_size"),
        (replaced("vocab_size = 512", "vocab_size = 99999999999999999999"), r"vocab_size"),
        (replaced("n_positions = 64", "n_positions = 0"), r"n_positions"),
        (replaced("n_positions = 64", "cutoffs = 3"), r"'cutoffs': expected a list, got 3"),
        (replaced("n_positions = 64", 'cutoffs = ["a"]'), r"'cutoffs': expected an integer, got 'a'"),
        (replaced("n_positions = 64", "cutoffs = [300, 100, 200]"), r"cutoffs: 100 follows 300"),
        (replaced("n_positions = 64", "tie_projs = [1]"), r"'tie_projs': expected true or false, got 1"),
        (replaced("n_positions = 64", "tie_projs = true"), r"'tie_projs': expected a list, got True"),
        (replaced("n_positions = 64", "qkv_bias = 1"), r"'qkv_bias': expected true or false, got 1"),
        (replaced("n_positions = 64", 'norm_epsilon = "a"'), r"'norm_epsilon': expected a number, got 'a'"),
        (replaced("n_positions = 64", "norm_epsilon = 0.0"), r"norm_epsilon is 0; it must be above 0"),
        (
            replaced("n_positions = 64", "rotary_scaling = {factor = 8}"),
            r"'rotary_scaling': expected a table with factor",
        ),
        (replaced("n_positions = 64", 'tie_embedding = "yes"'), r"'tie_embedding': expected true or false, got 'yes'"),
        # choices: empty, contradictory, out of range
        (replaced("[32, 64]", "[]"), r"'d_model': no choices; give at least one"),
        (replaced("[32, 64]", '"32"'), r"'d_model': expected an integer, got '32'"),
        (replaced("[32, 64]", "[32, 64.0]"), r"'d_model': expected an integer, got 64\.0"),
        (replaced("[32, 64]", "[32, true]"), r"'d_model': expected an integer, got True"),
        (replaced("[32, 64]", "[32, 32]"), r"d_model"),
        (replaced("[32, 64]", "[0]"), r"d_model"),
        (replaced("[32, 64]", "[-32]"), r"d_model"),
        (replaced("[32, 64]", "[9223372036854775808]"), r"d_model"),
        (replaced("{min = 1, max = 3}", "{min = 3, max = 1}"), r"'n_layer': a range needs min <= max and step >= 1"),
        (replaced("step = 32", "step = 0"), r"'d_ff': a range needs min <= max and step >= 1, got 64 to 128 step 0"),
        (replaced("step = 32", "step = -32"), r"'d_ff': a range needs"),
        (replaced("step = 32", "step = 0.5"), r"'d_ff': expected an integer, got 0\.5"),
        (replaced("max = 128", "max = 9999999999999"), r"'d_ff': more than 65535 choices; use a larger step"),
        (replaced("n_head = 2", "n_head = [3, 5]"), r"n_head"),
        (replaced("n_head = 2", "n_head = 2\nn_kv_head = 1"), r"n_kv_head"),
        (replaced("n_head = 2", "n_head = 0"), r"n_head"),
        # rules
        (GOOD + '[rules]\nshared = "d_ff"\n', r"'shared': expected a list, got 'd_ff'"),
        (GOOD + '[rules]\nshared = ["d_model"]\n', r"unknown dimension 'd_model'; allowed: n_head, n_kv_head, d_ff"),
        (GOOD + "[rules]\nshared = [[]]\n", r"unknown dimension \[\]"),
        (GOOD + '[rules]\nmin_ff_ratio = "4"\n', r"'min_ff_ratio': expected a number, got '4'"),
        (GOOD + "[rules]\nmin_ff_ratio = true\n", r"'min_ff_ratio': expected a number, got True"),
        (GOOD + "[rules]\nmin_ff_ratio = nan\n", r"min_ff_ratio"),
        (GOOD + "[rules]\nmin_ff_ratio = -1.0\n", r"min_ff_ratio"),
        (GOOD + "[rules]\nmin_ff_ratio = 100.0\n", r"min_ff_ratio"),
        (GOOD + "[rules]\nmax_ff_ratio = []\n", r"'max_ff_ratio': expected a number, got \[\]"),
        (GOOD + "[rules]\nmax_ff_ratio = inf\n", r"max_ff_ratio must be a finite number"),
        (GOOD + "[rules]\nmin_ff_ratio = 2.0\nmax_ff_ratio = 1.5\n", r"max_ff_ratio .* not below min_ff_ratio"),
        (GOOD + "[rules]\nhead_dims = []\n", r"'head_dims': no choices; give at least one"),
        (GOOD + "[rules]\nhead_dims = [16.0]\n", r"'head_dims': expected an integer, got 16\.0"),
        (GOOD + "[rules]\nhead_dims = 64\n", r"no n_head makes heads as wide as head_dims says"),
        (GOOD + "[rules]\ntotal_params = 3\n", r"'total_params': expected a table such as \{min = 1000000"),
        (GOOD + "[rules]\ntotal_params = {max = 1.5}\n", r"'total_params': expected an integer, got 1\.5"),
        (GOOD + "[rules]\ndecoder_params = {max = 10}\n", r"parameter bounds leave no architecture"),
        (GOOD + "[rules]\ndecoder_params = {min = 1000000000000}\n", r"parameter bounds leave no architecture"),
        (GOOD + "[rules]\ndecoder_params = {min = 50000, max = 40000}\n", r"decoder_params"),
        (GOOD + "[rules]\ndecoder_params = {min = 50001, max = 50001}\n", r"parameter bounds leave no architecture"),
    ],
)
def test_what_is_wrong_is_told_with_the_file(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(UsageError) as raised:
        load(tmp_path, text)
    message = str(raised.value)
    assert message.startswith(f"{tmp_path / 'mine.toml'}")
    assert re.search(sentence, message), message
    assert "\n" not in message


def test_describing_a_file_that_describes_nothing(tmp_path: Path) -> None:
    load(tmp_path, GOOD)
    assert describe_space(tmp_path / "mine.toml") == ""


DETAILS = """
family = "llama"
[fixed]
vocab_size = 512
n_positions = 64
rotary_theta = 500_000
norm_epsilon = 1e-6
rotary_dim = 8
rotary_scaling = {factor = 8, low_freq_factor = 1.0, high_freq_factor = 4.5, original_positions = 8192}
qkv_bias = true
attention_output_bias = true
feed_forward_bias = true
[choices]
n_layer = 1
d_model = 32
n_head = [2, 4]
d_ff = 64
"""


def test_what_pretrained_models_have_is_read(tmp_path: Path) -> None:
    space = load(tmp_path, DETAILS)
    for a in space:
        assert (a.rotary_theta, a.norm_epsilon, a.rotary_dim) == (500_000.0, 1e-6, 8)
        assert a.rotary_scaling is not None
        assert list(a.rotary_scaling.values()) == [8.0, 1.0, 4.5, 8192]
        assert a.qkv_bias
        assert a.attention_output_bias
        assert a.feed_forward_bias
        assert a in space
        assert space.why_not(lts.Architecture.from_dict({**a.to_dict(), "rotary_theta": 10_000.0})) == (
            "details, such as biases, differ from those of the space"
        )
    given = load(tmp_path, DETAILS.replace("rotary_theta = 500_000", "rotary_theta = 10_000"), "given.toml")
    silent = load(tmp_path, DETAILS.replace("rotary_theta = 500_000", ""), "given.toml")
    assert given == silent
    assert "rotary_theta" not in given.options


ALL = """
family = "transformer_xl"
[fixed]
vocab_size = 1000
n_positions = 64
head_dim = 0
cutoffs = [100, 500, 1000]
tie_projs = [false, true, true]
[choices]
n_layer = {min = 1, max = 9, step = 2}
d_model = [32, 64, 128, 256]
n_head = 2
d_ff = {min = 64, max = 67}
d_embed = [32, 64]
div_val = [1, 2]
[rules]
shared = ["n_head", "d_ff"]
min_ff_ratio = 1
max_ff_ratio = 8.5
decoder_params = {max = 1_000_000}
total_params = {min = 10_000, max = 2_000_000}
"""


def test_what_is_written_is_a_file_of_the_space(tmp_path: Path) -> None:
    spaces = [load_space(name) for name in space_names()]
    files = {"mine": GOOD, "ratios": RATIOS, "all": ALL, "details": DETAILS}
    spaces += [load(tmp_path, text, f"{name}.toml") for name, text in files.items()]
    for space in spaces:
        text = "".join(f"{key} = {value}\n" for key, value in written(space).items())
        again = load(tmp_path, text, "again.toml")
        assert again.options == space.options
        assert again.size == space.size
        assert "None" not in text


def test_what_is_written_leaves_out_what_is_not_given(tmp_path: Path) -> None:
    assert list(written(load(tmp_path, GOOD))) == [
        "name",
        "family",
        "fixed.vocab_size",
        "fixed.n_positions",
        "choices.n_layer",
        "choices.d_model",
        "choices.n_head",
        "choices.d_ff",
    ]
    said = written(load(tmp_path, ALL))
    assert said["choices.n_layer"] == "{min = 1, max = 9, step = 2}"
    assert said["choices.d_ff"] == "{min = 64, max = 67}"
    assert said["rules.decoder_params"] == "{max = 1000000}"
