"""A gate's file, and checking what it says on devices that are made up."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from board import LARGE, SMALL, Board, on_every_device
from git_repository import git, make_repository
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lts.errors import MeasurementError, UsageError
from lts.measure import history
from lts.measure.bench import bench
from lts.measure.compare import Answer
from lts.measure.models.architecture import ArchitectureModel
from lts.measure.outcome import Outcome
from lts.study.gate import run_check
from lts.study.gate_file import Check, read_gate
from lts.study.pairs import Compared


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch) -> Board:
    return on_every_device(monkeypatch)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder beside the current one, as a gate's paths are relative to its own."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    folder = tmp_path / "project"
    for name, architecture in (("small", SMALL), ("large", LARGE)):
        for side in ("shipped", "build"):
            (folder / side).mkdir(parents=True, exist_ok=True)
            (folder / side / f"{name}.json").write_text(architecture.to_json())
    return folder


def write(folder: Path, text: str) -> Path:
    path = folder / "lts-gate.toml"
    path.write_text(text, encoding="utf-8")
    return path


def check(folder: Path, text: str) -> list[Compared]:
    (found,) = read_gate(write(folder, f"[[check]]\n{text}"))
    return run_check(found)


def answers(found: list[Compared]) -> dict[str, dict[str, str]]:
    said: dict[str, dict[str, str]] = {}
    for each in found:
        key = f"{each.pair.name}, limit" if each.pair.limit else each.pair.name
        said[key] = {name: verdict.answer.value for name, verdict in each.comparison.verdicts.items()}
    return said


# The file.


def test_defaults_are_of_all_checks_and_each_may_say_otherwise(folder: Path) -> None:
    one, other = read_gate(
        write(
            folder,
            """
            [defaults]
            n_prompt = 64
            device = "emulated"
            metrics = ["latency", "size"]
            max_regression = "3%"
            processes = 8
            inconclusive = "fail"

            [[check]]
            model = "build/small.json"
            baseline = "shipped/small.json"

            [[check]]
            name = "second"
            model = "build/a.onnx"
            against = "main"
            n_prompt = 32
            max_regression = { latency = "10%", size = 0 }
            limits = { latency = 20.0, size_bytes = 1_000_000 }
            inputs = { bytes = "1x2048", mask = [1, 7] }
            below = 256
            processes = 4
            inconclusive = "pass"
            candidate_timeout = 90
            across = true
            target = "boards/mine.toml"
            device = "table:tables/mine.csv"
            """,
        )
    )
    assert one == Check(
        name="build/small.json",
        model=str(folder / "build/small.json"),
        baseline=str(folder / "shipped/small.json"),
        history=folder / "lts-history.jsonl",
        conditions=one.conditions,
        metrics=["latency_ms", "size_bytes"],
        max_regression={"": 0.03},
        common_bounds=True,
        processes=8,
        inconclusive="fail",
        folder=folder,
    )
    assert one.conditions.device == "emulated"
    assert {name: value for name, value in one.conditions.workload.items() if value is not None} == {"n_prompt": 64}
    assert other.max_regression == {"latency_ms": 0.1, "size_bytes": 0.0}
    assert not other.common_bounds
    assert other.limits == {"latency_ms": 20.0, "size_bytes": 1_000_000}
    assert other.conditions.shapes == {"bytes": [1, 2048], "mask": [1, 7]}
    assert (other.conditions.below, other.conditions.timeout, other.processes) == (256, 90, 4)
    assert (other.conditions.target, other.conditions.device) == (
        str(folder / "boards/mine.toml"),
        f"table:{folder}/tables/mine.csv",
    )
    assert (other.against, other.across, other.inconclusive) == ("main", True, "pass")


MODEL = 'model = "a.json"\n'
BOTH = 'model = "a.json"\nbaseline = "b.json"\n'


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "has no check; expected [[check]] with a model, and a baseline or limits"),
        ("check = 3", "has no check"),
        ("[check]", "has no check"),
        ("[[check]]", 'check 1 has no model; expected what is checked, as in model = "build/model.onnx"'),
        (f"[[check]]\n{MODEL}", "check 1 has nothing to compare with; expected a baseline, against, or limits"),
        (f"[[check]]\n{BOTH}against = 'main'", "check 1 has both baseline and against; expected one of them"),
        (f"[[check]]\n{BOTH}history = 'h.jsonl'", "check 1 has a history and no against"),
        (f"[[check]]\n{BOTH}build = 'make'", "check 1: build and path belong together"),
        (f"[[check]]\n{BOTH}path = 'x'", "check 1: build and path belong together"),
        (f"[[check]]\n{BOTH}modle = 'x'", "check 1: unknown key 'modle'; allowed: name, model, baseline"),
        ("[defaults]\nmodel = 'x'", "[defaults]: unknown key 'model'"),
        ("[other]", "unknown key 'other'; allowed: defaults, check"),
        ("defaults = 3\n", "'defaults' must be a table"),
        (f"[[check]]\n{BOTH}[[check]]\n{BOTH}", "has two checks called 'a.json'; give each a name of its own"),
        (f"[[check]]\n{BOTH}name = ' '", "check 1: name is ' '; expected a text"),
        ("[[check]]\nmodel = 3", "check 1: model is 3; expected a text"),
        (f"[[check]]\n{BOTH}metrics = 'latency'", "check 1: metrics is 'latency'; expected a list of names"),
        (f"[[check]]\n{BOTH}metrics = []", "check 1: metrics is []; expected a list of names"),
        (f"[[check]]\n{BOTH}metrics = ['']", "expected names of columns"),
        (f"[[check]]\n{BOTH}max_regression = 5", "check 1: max_regression is 5, 500%; write 5% or the sign"),
        (f"[[check]]\n{BOTH}max_regression = true", "check 1: max_regression is True; expected a share"),
        (f"[[check]]\n{BOTH}max_regression = {{ latency = [] }}", "check 1: max_regression is []; expected a share"),
        (f"[[check]]\n{BOTH}max_regression = {{ 'a,b' = 0 }}", "check 1: 'a,b' is no metric; expected the name"),
        (f"[[check]]\n{BOTH}max_regression = 1{'0' * 400}", "check 1: max_regression is 1000"),
        (f"[[check]]\n{MODEL}limits = {{ latency = 0 }}", "check 1: limits.latency is 0; it must be above 0"),
        (f"[[check]]\n{MODEL}limits = {{ latency = -1 }}", "check 1: limits.latency is -1; it must be above 0"),
        (
            f"[[check]]\n{MODEL}limits = {{ latency = '20ms' }}",
            "check 1: limits.latency: expected a number, got '20ms'",
        ),
        (f"[[check]]\n{MODEL}limits = {{ latency = nan }}", "check 1: limits.latency: expected a number, got nan"),
        (f"[[check]]\n{MODEL}limits = 20", "check 1: 'limits' must be a table"),
        (f"[[check]]\n{BOTH}processes = 3", "check 1: processes is 3; expected 4 to 25"),
        (f"[[check]]\n{BOTH}processes = '6'", "check 1: processes: expected an integer, got '6'"),
        (f"[[check]]\n{BOTH}inconclusive = 'maybe'", "check 1: inconclusive is 'maybe'; expected pass or fail"),
        (f"[[check]]\n{BOTH}across = 'yes'", "check 1: across is 'yes'; expected true or false"),
        (f"[[check]]\n{BOTH}n_prompt = 1.5", "check 1: n_prompt: expected an integer, got 1.5"),
        (f"[[check]]\n{BOTH}below = 0", "check 1: below is 0; expected 1 to 2147483648"),
        (f"[[check]]\n{BOTH}candidate_timeout = 0", "check 1: candidate_timeout is 0; it must be above 0"),
        (f"[[check]]\n{BOTH}inputs = {{ x = '1,2' }}", "check 1: inputs.x is '1,2'; expected sizes, as in \"1x2048\""),
        (f"[[check]]\n{BOTH}inputs = {{ x = [1, 'a'] }}", "check 1: inputs.x is [1, 'a']; expected sizes"),
        (f"[[check]]\n{BOTH}inputs = {{ x = 0 }}", "check 1: inputs.x is 0; expected sizes"),
        (f"[[check]]\n{BOTH}inputs = 'x=1'", "check 1: 'inputs' must be a table"),
        (f"[[check]]\n{BOTH}[[check]]\n{MODEL}", "check 2 has nothing to compare with"),
        ("[[check", "is not valid TOML"),
    ],
)
def test_a_wrong_file_is_one_sentence_that_says_where(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_gate(write(tmp_path, text))
    assert told in str(caught.value)
    assert str(tmp_path / "lts-gate.toml") in str(caught.value) or "expected names of columns" in told
    assert "\n" not in str(caught.value)


def toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{toml(key)} = {toml(each)}" for key, each in value.items()) + " }"
    return '"' + value + '"' if isinstance(value, str) else repr(value)


WORDS = st.sampled_from(["", "5%", "latency", "a.json", "1x2", "fail", "last", "x=1", "size_bytes", " "])
VALUES = st.recursive(
    st.booleans() | st.integers() | st.floats() | WORDS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(WORDS, inner, max_size=2),
    max_leaves=3,
)
KEYS = st.sampled_from(
    [
        *("name", "model", "baseline", "against", "history", "build", "path", "limits", "inputs", "below", "across"),
        *("target", "device", "backend", "n_prompt", "n_gen", "batch", "precision", "logits", "threads", "cache"),
        *("metrics", "max_regression", "processes", "inconclusive", "candidate_timeout"),
    ]
)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(KEYS, VALUES, max_size=4))
def test_any_values_are_checks_or_one_sentence(tmp_path: Path, changed: dict[str, Any]) -> None:
    row = {"model": "a.json", "baseline": "b.json", **changed}
    path = write(tmp_path, "[[check]]\n" + "\n".join(f"{key} = {toml(value)}" for key, value in row.items()))
    said = None
    try:
        (found,) = read_gate(path)
    except UsageError as error:
        said = str(error)
    if said is None:
        assert isinstance(found, Check)
    else:
        assert len(said.splitlines()) == 1


# Checking.


def test_a_model_against_a_baseline(folder: Path, board: Board) -> None:
    small = "baseline = 'shipped/small.json'\nmetrics = ['request', 'memory', 'size']\n"
    found = check(folder, f"name = 'same'\nmodel = 'build/small.json'\n{small}")
    assert answers(found) == {"same": {"request_ms": "same", "peak_memory_mib": "same", "size_bytes": "same"}}
    found = check(folder, f"name = 'wider'\nmodel = 'build/large.json'\n{small}")
    assert answers(found)["wider"] == {
        "request_ms": "regression",
        "peak_memory_mib": "same",
        "size_bytes": "regression",
    }
    # A bound of all is not that of sizes, which has to be named.
    found = check(folder, f"model = 'build/large.json'\n{small}\nmax_regression = '110%'")
    assert answers(found).popitem()[1]["size_bytes"] == "regression"
    found = check(folder, f"model = 'build/large.json'\n{small}\nmax_regression = {{ request = '110%', size = '60%' }}")
    assert set(answers(found).popitem()[1].values()) == {"same"}


def test_folders_have_a_row_for_each_model_and_notes_for_the_others(folder: Path, board: Board) -> None:
    (folder / "build" / "small.json").write_text(LARGE.to_json())
    (folder / "shipped" / "gone.json").write_text(SMALL.to_json())
    (found,) = read_gate(write(folder, "[[check]]\nname = 'all'\nmodel = 'build'\nbaseline = 'shipped'"))
    notes: list[str] = []
    compared = run_check(found, note=notes.append)
    assert notes == [
        "only the baseline has gone.json, which cannot be compared",
        "the baseline and the contender are the same architecture",
    ]
    assert {name: each["request_ms"] for name, each in answers(compared).items()} == {
        "all: large.json": "same",
        "all: small.json": "regression",
    }
    assert [each.pair.changed for each in compared] == [False, True]


def test_limits_alone_and_beside_a_baseline(folder: Path, board: Board) -> None:
    # 3 * 2 * 128 = 768 ms for a request of the narrow one.
    limits = "limits = { request = 800.0, size = 1_000_000 }"
    assert answers(check(folder, f"name = 'x'\nmodel = 'build/small.json'\n{limits}")) == {
        "x, limit": {"request_ms": "same", "size_bytes": "same"}
    }
    found = check(folder, f"name = 'x'\nmodel = 'build/large.json'\nbaseline = 'shipped/large.json'\n{limits}")
    assert answers(found) == {
        "x": {"request_ms": "same", "peak_memory_mib": "same"},
        "x, limit": {"request_ms": "regression", "size_bytes": "same"},
    }
    with pytest.raises(UsageError, match=r"unknown metric 'instructions' of .*large.json"):
        check(folder, "model = 'build/large.json'\nbaseline = 'shipped/large.json'\nlimits = { instructions = 1 }")
    with pytest.raises(UsageError, match=r"unknown metric 'instructions' of .*large.json"):
        check(folder, "model = 'build/large.json'\nlimits = { instructions = 1 }")


def test_bounds_of_all_checks_are_for_what_each_compares(folder: Path, board: Board) -> None:
    text = """
    [defaults]
    max_regression = { request = "110%", size = "1%" }
    [[check]]
    name = "x"
    model = "build/large.json"
    baseline = "shipped/small.json"
    """
    (found,) = read_gate(write(folder, text))
    assert answers(run_check(found)) == {"x": {"request_ms": "same", "peak_memory_mib": "same"}}
    with pytest.raises(UsageError, match="a bound is given for size_bytes, which is not compared"):
        check(folder, "model = 'build/small.json'\nbaseline = 'shipped/small.json'\nmax_regression = { size = '1%' }")


def test_against_what_was_saved_in_the_folder_of_the_file(folder: Path, board: Board) -> None:
    (result,) = bench([ArchitectureModel("small", SMALL, board)], ["request_ms"], processes=6)
    row = "model = 'build/large.json'\nagainst = 'main'\nmetrics = ['request']"
    with pytest.raises(UsageError, match=f"there is no history {folder}/lts-history.jsonl"):
        check(folder, row)
    history.append(folder / "lts-history.jsonl", [type(result)(**{**vars(result), "saved": "main"})])
    assert answers(check(folder, row)).popitem()[1] == {"request_ms": "regression"}
    with pytest.raises(UsageError, match=r"unknown name 'mian' in .*; expected one of main"):
        check(folder, row.replace("main", "mian"))


def test_what_cannot_be_measured(folder: Path, board: Board) -> None:
    board.error = "prefill: it crashed"
    with pytest.raises(MeasurementError, match="the baseline cannot be measured: prefill: it crashed"):
        check(folder, "model = 'build/small.json'\nbaseline = 'shipped/small.json'")
    with pytest.raises(MeasurementError, match=r"small.json cannot be measured: prefill: it crashed"):
        check(folder, "model = 'build/small.json'\nlimits = { request = 1 }")
    with pytest.raises(UsageError, match=r"cannot read .*project/absent.json: No such file or directory"):
        check(folder, "model = 'absent.json'\nlimits = { request = 1 }")


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_revisions_are_of_the_repository_of_the_file(
    tmp_path: Path, board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    repository = make_repository(tmp_path / "repository")
    for name, architecture in (("1", SMALL), ("2", LARGE)):
        (repository / f"{name}.json").write_text(architecture.to_json())
    git(repository, "add", ".")
    git(repository, "commit", "--quiet", "-m", "models")
    (repository / "made.json").write_text(SMALL.to_json())
    text = """
    name = "this change"
    model = "."
    baseline = "HEAD"
    build = "test -f made.json || cp 2.json made.json"
    path = "made.json"
    metrics = ["request"]
    """
    found = check(repository, text)
    assert answers(found) == {"this change": {"request_ms": "improvement"}}
    assert [each.pair.conditions[side].model for each in found for side in ("baseline", "contender")] == [
        "HEAD:made.json",
        ".:made.json",
    ]
    for wrong, error, told in (
        (("HEAD", "nowhere"), UsageError, "nowhere"),
        (("cp 2.json", "false"), MeasurementError, "failed with exit code 1"),
        (('path = "made.json"', 'path = "other.json"'), UsageError, "there is no other.json after building"),
    ):
        with pytest.raises(error, match=told):
            check(repository, text.replace(*wrong))
    assert git(repository, "worktree", "list", "--porcelain").count("worktree ") == 1


def test_a_process_without_what_is_limited_is_no_fault(
    folder: Path, board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = board.evaluate

    def partly(*arguments: Any, **options: Any) -> Outcome:
        found = whole(*arguments, **options)
        found.values.pop("latency_ms", None)
        return found

    monkeypatch.setattr(board, "evaluate", partly)
    with pytest.raises(MeasurementError, match="no value for 'latency_ms'"):
        check(
            folder,
            "model = 'build/small.json'\nbaseline = 'shipped/small.json'\nmetrics = ['request']\n"
            "limits = { latency = 1 }",
        )


def test_limits_of_a_result_are_of_what_it_has(folder: Path) -> None:
    board = Board()
    (result,) = bench([ArchitectureModel("small", SMALL, board)], ["request_ms"], processes=6)
    (folder / "results.jsonl").write_text(result.to_json())
    assert answers(check(folder, "name = 'x'\nmodel = 'results.jsonl'\nlimits = { request = 800 }")) == {
        "x, limit": {"request_ms": Answer.same.value}
    }
    for row in ("limits = { latency = 1 }", "limits = { latency = 1 }\nbaseline = 'results.jsonl'"):
        with pytest.raises(UsageError, match="latency_ms was not measured of"):
            check(folder, f"model = 'results.jsonl'\n{row}")
