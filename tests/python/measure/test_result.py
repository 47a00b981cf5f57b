"""Results in memory, as records and in files: the same in all three, and whatever else a file has is one sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from board import LARGE, SMALL, Board
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lts.errors import UsageError
from lts.measure.models.architecture import ArchitectureModel
from lts.measure.outcome import Outcome
from lts.measure.record import PROVENANCES
from lts.measure.result import Result, differences, result_of
from lts.measure.result_file import is_result_file, read_result, read_results
from lts.measure.trial import Trial
from lts.targets.workload import Workload

NAMES = st.sampled_from(["latency_ms", "request_ms", "size_bytes", "peak_memory_mib", "a b", "ä"])
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
TEXTS = st.text(max_size=12)
PRINTABLE = st.text(st.characters(exclude_categories=["C", "Z"]) | st.just(" "), max_size=12)
COUNTS = st.lists(st.integers(0, 10**12), max_size=4)
WORKLOADS = st.builds(
    Workload,
    n_prompt=st.integers(1, 2**20),
    n_gen=st.integers(0, 2**20),
    batch=st.integers(1, 2**20),
    precision=st.sampled_from(["float32", "int8"]),
    logits=st.sampled_from(["last", "all"]),
    threads=st.integers(1, 8),
    cache=st.sampled_from(["copied", "in_place"]),
)


@st.composite
def results(draw: st.DrawFn) -> Result:
    """Any result that may be."""
    names = draw(st.lists(NAMES, unique=True, max_size=3))
    samples = draw(st.dictionaries(NAMES, st.lists(COUNTS, max_size=3), max_size=2))
    return Result(
        model=draw(PRINTABLE),
        kind=draw(PRINTABLE),
        architecture=draw(st.sampled_from([None, SMALL, LARGE])),
        workload=draw(st.none() | WORKLOADS),
        inputs=draw(st.dictionaries(PRINTABLE, st.lists(st.integers(0, 2**31), max_size=3), max_size=2)),
        rounds={name: draw(st.lists(NUMBERS, min_size=1, max_size=4)) for name in names},
        values={name: draw(NUMBERS) for name in names},
        interval={name: (draw(NUMBERS), draw(NUMBERS)) for name in names},
        provenance={name: draw(st.sampled_from(sorted(PROVENANCES))) for name in names},
        samples_ns={name: [sample for each in parts for sample in each] for name, parts in samples.items()},
        n_samples={name: [len(each) for each in parts] for name, parts in samples.items()},
        warnings=draw(st.lists(PRINTABLE, max_size=2)),
        error=draw(st.none() | PRINTABLE),
        fingerprint=draw(st.dictionaries(PRINTABLE, st.none() | st.booleans() | NUMBERS | PRINTABLE, max_size=3)),
        time=draw(PRINTABLE),
        saved=draw(PRINTABLE),
        revision=draw(PRINTABLE),
    )


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**400), 10**400)
    | st.floats()
    | TEXTS
    | st.sampled_from(["latency_ms", "measured", "last", "copied", 10**30, -1, 2**64]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS | NAMES, inner, max_size=3),
    max_leaves=5,
)


def example(**changed: Any) -> dict[str, Any]:
    """A record in which every field has something."""
    model = ArchitectureModel("small.json", SMALL, Board())
    processes = [model.measure(["latency_ms", "size_bytes"]) for _ in range(3)]
    return {**result_of(model, ["latency_ms", "size_bytes"], processes).record(), **changed}


def trial() -> dict[str, Any]:
    return Trial(
        id=7, state="complete", architecture=SMALL, values={"latency_ms": 3.0}, provenance={"latency_ms": "measured"}
    ).record()


@given(results())
def test_a_record_and_its_line_are_the_result(result: Result) -> None:
    assert Result.from_record(result.record()) == result
    assert Result.from_record(json.loads(result.to_json())) == result


@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_any_other_value_in_any_place_is_read_or_one_sentence(data: st.DataObject) -> None:
    record: dict[str, Any] = json.loads(json.dumps(data.draw(st.sampled_from([example(), trial()]))))
    place: Any = record
    key: Any = data.draw(st.sampled_from(sorted(record)))
    while isinstance(place[key], dict | list) and place[key] and data.draw(st.booleans()):
        place = place[key]
        key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
    change = data.draw(st.sampled_from(["other", "gone", "more"]))
    if change == "gone":
        del place[key]
    elif change == "more" and isinstance(place, dict):
        place[data.draw(TEXTS)] = data.draw(JSON)
    else:
        place[key] = data.draw(JSON)
    assert_read_or_one_sentence(json.dumps(record))


@settings(max_examples=300)
@given(st.data())
def test_any_damage_to_a_line_is_read_or_one_sentence(data: st.DataObject) -> None:
    line = json.dumps(example())
    begin = data.draw(st.integers(0, len(line)))
    end = data.draw(st.integers(begin, min(len(line), begin + 40)))
    assert_read_or_one_sentence(line[:begin] + data.draw(TEXTS) + line[end:])


@pytest.mark.parametrize(
    "line", ["[" * 100_000, '{"schema":' * 20_000, "9" * 5000, "null", "[]", '"text"', "NaN", "{}"]
)
def test_what_is_no_record_is_one_sentence(line: str) -> None:
    with pytest.raises(UsageError, match=r"^x, line 1: [^\n]{5,300}$"):
        read_result(line, "x, line 1")


def assert_read_or_one_sentence(line: str) -> None:
    said = None
    try:
        found = read_result(line, "x, line 1")
    except UsageError as error:
        said = str(error)
    if said is None:
        assert Result.from_record(found.record()) == found
        return
    assert said.startswith("x, line 1: ")
    assert len(said.splitlines()) == 1
    assert len(said) < 500


def test_values_are_medians_of_processes_with_the_ends_of_their_interval() -> None:
    model = ArchitectureModel("small.json", SMALL, Board(noise=(1.0, 1.5, 1.2, 1.1, 1.4)))
    found = result_of(model, ["latency_ms"], [model.measure(["latency_ms"]) for _ in range(5)])
    assert found.rounds["latency_ms"] == [
        256.0,
        384.0,
        pytest.approx(307.2),
        pytest.approx(281.6),
        pytest.approx(358.4),
    ]
    assert found.values["latency_ms"] == pytest.approx(307.2)
    # The median of all lies between the least and the largest of five but for 2 cases of 2^5: all above, or all below.
    assert found.interval["latency_ms"] == (256.0, 384.0)
    assert found.coverage == 1 - 2 / 2**5
    assert found.n_samples == {"latency": [1] * 5}
    assert len(found.samples_ns["latency"]) == 5
    assert (found.model, found.kind, found.state) == ("small.json", "architecture", "complete")


def test_what_a_process_failed_with_is_the_error() -> None:
    model = ArchitectureModel("small.json", SMALL, Board())
    found = result_of(model, ["latency_ms"], [model.measure(["latency_ms"]), Outcome(error="it crashed")])
    assert (found.state, found.error) == ("failed", "it crashed")
    assert len(found.rounds["latency_ms"]) == 1


def test_a_trial_is_a_result() -> None:
    found = Result.from_record(trial())
    assert (found.model, found.rounds, found.architecture) == ("trial 7", {"latency_ms": [3.0]}, SMALL)
    several = {**trial(), "rounds": {"latency_ms": [2.0, 3.0, 4.0]}}
    assert Result.from_record(several).rounds == {"latency_ms": [2.0, 3.0, 4.0]}


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"schema": 2}, "record schema is 2; this version reads schema 1"),
        ({"schema": True}, "the field 'schema' is not what it must be"),
        ({"state": "failed"}, "its state is 'failed', with None as its error"),
        ({"state": "running"}, "its state is 'running', with None as its error"),
        ({"error": "it crashed"}, "its state is 'complete', with 'it crashed' as its error"),
        ({"provenance": {}}, "it does not say where 'latency_ms' is from"),
        ({"provenance": {"latency_ms": "guessed"}}, "the field 'provenance' is not what it must be"),
        ({"n_samples": {"latency": [1]}}, "it has not as many samples of 'latency' as it says"),
        ({"workload": {"n_prompt": "8"}}, "the value of 'n_prompt' in 'workload' is '8', which it cannot be"),
        ({"workload": {"n_prompt": True}}, "the value of 'n_prompt' in 'workload' is True"),
        ({"workload": {"prompt": 8}}, "the value of 'prompt' in 'workload' is 8"),
        ({"workload": {"n_prompt": 0}}, "n_prompt is 0; it must be at least 1"),
        ({"architecture": {"family": "gpt9"}}, "gpt9"),
        ({"rounds": {"latency_ms": []}}, "the field 'rounds' is not what it must be"),
        ({"rounds": {"latency_ms": [float("nan")]}}, "the field 'rounds' is not what it must be"),
        ({"score": 1}, "unknown field 'score'"),
    ],
)
def test_a_field_that_is_wrong_is_named(changed: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_result(example(**changed), "results.jsonl, line 3")
    assert str(caught.value).startswith("results.jsonl, line 3: ")
    assert told in str(caught.value)


def test_what_differs_is_said_with_both_values() -> None:
    one = Result.from_record(example())
    assert differences(one, one) == []
    other = Result.from_record(example(device="other", workload={**one.record()["workload"], "n_prompt": 64}))
    assert differences(one, other) == ["device board and other", "n_prompt 128 and 64"]
    warm = Result.from_record(example(environment="1234", fingerprint={**one.fingerprint, "kernel": "7.0"}))
    assert differences(one, warm) == [f"kernel {one.fingerprint['kernel']} and 7.0"]
    unknown = Result.from_record(example(environment="1234", fingerprint=one.fingerprint))
    assert differences(one, unknown) == [f"environment {one.environment} and 1234"]


def test_files_of_results(tmp_path: Path) -> None:
    line, other = json.dumps(example()), json.dumps(example(model="other"))
    expected = [Result.from_record(example()), Result.from_record(example(model="other"))]

    def read(name: str, text: str) -> list[Result]:
        (tmp_path / name).write_text(text, encoding="utf-8")
        assert is_result_file(tmp_path / name)
        return read_results(tmp_path / name)

    assert read("a.jsonl", f"{line}\n{other}\n") == expected
    assert read("a.ndjson", f"\ufeff\n{line}\r\n\r\n{other}") == expected
    assert read("a.json", f" [{line}, {other}]\n") == expected
    assert read("b.json", line) == expected[:1]
    assert read("c.json", json.dumps(example(), indent=2)) == expected[:1]
    # A model may be called by what Python takes for the end of a line.
    odd = example(model="a\u2028b\x85c")
    found = read("d.jsonl", f"{json.dumps(odd, ensure_ascii=False)}\n{line}")
    assert [each.model for each in found] == ["a\ufffdb\ufffdc", "small.json"]


def test_what_a_file_says_is_fit_for_a_terminal() -> None:
    escape = "\x1b[2J\nerror: no"
    odd = example(
        model=escape,
        device=escape,
        warnings=[escape],
        error=escape,
        state="failed",
        inputs={escape: [1]},
        fingerprint={escape: [escape, 1]},
    )
    found = read_result(odd, "x")
    clean = "\ufffd[2J\ufffderror: no"
    assert (found.model, found.device, found.error, found.warnings) == (clean, clean, clean, [clean])
    assert (list(found.inputs), found.fingerprint) == ([clean], {clean: [clean, 1]})
    with pytest.raises(UsageError, match=r"x: a metric is called 'a\\nb'; expected a name that can be printed"):
        read_result(example(rounds={"a\nb": [1.0]}), "x")


def test_other_files_are_not_taken_for_results(tmp_path: Path) -> None:
    (tmp_path / "architecture.json").write_text(SMALL.to_json())
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gpt2", "schema": 1}, indent=2))
    assert not is_result_file(tmp_path / "architecture.json")
    assert not is_result_file(tmp_path / "config.json")
    assert not is_result_file(tmp_path / "absent.json")
    assert not is_result_file(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.jsonl", b"", "a.jsonl is empty; expected results, as lts-engine bench -o jsonl prints them"),
        ("a.jsonl", b"\n \n", "a.jsonl is empty"),
        ("a.json", b"[]", "a.json is empty"),
        ("a.json", b"[1", "a.json is not JSON; expected results"),
        ("a.json", b"[1]", "a.json, entry 1: a record is an object, not int; expected a result"),
        ("a.jsonl", b"{}\n{}", "a.jsonl, line 1: record schema is None; this version reads schema 1"),
        ("a.jsonl", b"\xff\xfe", "a.jsonl is not UTF-8 text; expected a file of results"),
        ("a.jsonl", b"latency: 3", "a.jsonl, line 1: it is not JSON; expected a result"),
        ("a.jsonl", None, "cannot read"),
    ],
)
def test_a_file_that_is_none_is_one_sentence(tmp_path: Path, name: str, content: bytes | None, told: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError) as caught:
        read_results(tmp_path / name)
    assert told in str(caught.value)


def test_a_mixed_file_says_which_line_is_wrong(tmp_path: Path) -> None:
    lines = [json.dumps(example()), json.dumps(trial()), json.dumps({"schema": 1, "metric": "latency_ms"})]
    (tmp_path / "mixed.jsonl").write_text("\n".join(lines))
    with pytest.raises(UsageError, match=r"mixed.jsonl, line 3: unknown field 'metric'; expected a result"):
        read_results(tmp_path / "mixed.jsonl")
    (tmp_path / "mixed.jsonl").write_text("\n".join(lines[:2]))
    assert [each.model for each in read_results(tmp_path / "mixed.jsonl")] == ["small.json", "trial 7"]
