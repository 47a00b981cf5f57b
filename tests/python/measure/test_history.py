"""Histories: what is added is there, whatever happens meanwhile, and merging does not depend on any order."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mounts import mounted
from results import BOARD, result

from lts.errors import UsageError
from lts.measure.history import History, append, check_history, merge, read, union
from lts.measure.result import Result
from lts.targets.workload import Workload

HERE = Path(__file__).resolve().parent
NEWER = {**BOARD, "kernel": "6.6", "cores": 8}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "lts-history.jsonl"


def names(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()}


# --- What is added is there ---


def test_what_is_added_is_read_by_time(file: Path) -> None:
    one, two, three = (result(day=day) for day in (1, 2, 3))
    assert append(file, [three]) == []
    append(file, [one, two])
    assert read(file).entries == (one, two, three)
    assert names(file.parent) == {file.name}
    assert len(file.read_text().splitlines()) == 3


def test_times_are_compared_across_time_zones(file: Path) -> None:
    late = result(time="2026-09-02T00:30:00+02:00")  # 22:30 of the day before in UTC
    later = result(time="2026-09-01T23:00:00Z")
    append(file, [later, late])
    assert read(file).entries == (late, later)


def test_the_same_result_twice_is_one(file: Path) -> None:
    append(file, [result(day=1)])
    before = file.read_bytes()
    append(file, [result(day=1)])
    assert file.read_bytes() == before
    turned = dict(reversed(result(day=1).record().items()))
    file.write_text(f"{before.decode()}{before.decode()}{json.dumps(turned)}\n")
    assert read(file).entries == (result(day=1),)


def test_bytes_at_the_start_and_ends_of_lines_of_other_systems(file: Path) -> None:
    lines = [result(day=day).to_json() for day in (1, 2)]
    file.write_bytes(b"\xef\xbb\xbf" + "\r\n\r\n".join(lines).encode() + b"\r\n")
    assert [entry.time[:10] for entry in read(file).entries] == ["2026-09-02", "2026-09-03"]


def test_a_last_line_without_its_end_gets_it(file: Path) -> None:
    file.write_text(result(day=1).to_json())
    assert read(file).notes == ()
    assert append(file, [result(day=2)]) == []
    assert read(file).entries == (result(day=1), result(day=2))


@pytest.mark.parametrize("cut", [1, 40, -1])
def test_an_unfinished_last_line_is_said_and_kept_aside(file: Path, cut: int) -> None:
    whole, rest = result(day=1).to_json() + "\n", result(day=2).to_json()[:cut]
    file.write_text(whole + rest)
    found = read(file)
    assert found.entries == (result(day=1),)
    (note,) = found.notes
    assert note.startswith(f"{file}, line 2: it is unfinished and is left out: {rest[:10]}")
    (note,) = append(file, [result(day=3)])
    aside = file.with_name("lts-history.jsonl.unfinished")
    assert note == f"the last line of {file} was unfinished; it is in {aside} now"
    assert aside.read_text() == rest + "\n"
    assert read(file) == History((result(day=1), result(day=3)), str(file))


def test_a_half_character_at_the_end_is_unfinished(file: Path) -> None:
    file.write_bytes(result(day=1).to_json().encode() + b'\n{"model": "\xc3')
    assert len(read(file).notes) == 1
    append(file, [])
    assert read(file).notes == ()
    assert file.with_name(file.name + ".unfinished").read_bytes() == b'{"model": "\xc3\n'


def test_what_this_version_cannot_read_stays(file: Path) -> None:
    foreign = json.dumps({**result(day=1).record(), "schema": 2}) + "\n"
    file.write_text(foreign)
    append(file, [result(day=2)])
    assert file.read_text() == foreign + result(day=2).to_json() + "\n"


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "real")
    append(tmp_path / "link", [result(day=1)])
    append(tmp_path / "link", [result(day=2)])
    assert (tmp_path / "link").is_symlink()
    assert len(read(tmp_path / "real").entries) == 2


# --- Whatever happens meanwhile ---


def started(code: str, *arguments: object) -> subprocess.Popen[str]:
    """Python with our package and the helpers of the tests."""
    path = f"import sys; sys.path.insert(0, {str(HERE.parent)!r})\n"
    command = [sys.executable, "-c", path + code, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


WRITER = """
from pathlib import Path
from results import result
from lts.measure.history import append
path, name, n = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
for day in range(n):
    append(path, [result({"request_ms": [1.0 + day] * 5}, day=day, name=name)])
    print(day, flush=True)
"""


@pytest.mark.alone
def test_killed_writers_leave_a_whole_history(file: Path) -> None:
    chance = random.Random(4)
    said = 0
    for turn in range(6):
        with started(WRITER, file, f"turn {turn}", 100_000) as writer:
            assert writer.stdout is not None
            for _ in range(chance.randrange(1, 15)):
                said += bool(writer.stdout.readline())
            time.sleep(chance.random() / 100)
            writer.send_signal(signal.SIGKILL)
            said += sum(1 for line in writer.stdout if line.endswith("\n"))
        assert writer.returncode == -signal.SIGKILL
        found = read(file)
        assert found.notes == ()
        assert said <= len(found.entries) <= said + turn + 1  # the last one may be there without having been said
    append(file, [result(day=1)])
    assert names(file.parent) == {file.name}


@pytest.mark.parametrize("there", [True, False])
def test_a_writer_that_is_killed_before_the_end_changes_nothing(file: Path, there: bool) -> None:
    before = result(day=1).to_json() + "\n" if there else ""
    if there:
        file.write_text(before)
    code = """
import os, signal
from pathlib import Path
from results import result
from lts.measure.history import append
from lts.system.files import Draft
Draft.finish = lambda draft, **_: (draft.file.flush(), os.kill(os.getpid(), signal.SIGKILL))
append(Path(sys.argv[1]), [result(day=2)])
"""
    with started(code, file) as writer:
        assert writer.wait(60) == -signal.SIGKILL
    assert file.read_text() == before
    append(file, [result(day=3)])
    assert [entry.revision for entry in read(file).entries][-1] == result(day=3).revision
    assert names(file.parent) == {file.name}


@pytest.mark.alone
def test_a_full_disk_leaves_what_was_there(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "size=64k") as disk:
        file = disk / "lts-history.jsonl"
        append(file, [result(day=1)])
        before = file.read_bytes()
        many = [result(day=day) for day in range(100)]
        with pytest.raises(UsageError, match=r"cannot write the history .*: No space left on device; it is as it was"):
            append(file, many)
        with pytest.raises(UsageError, match="No space left on device"):
            append(disk / "new.jsonl", many)
        others = tmp_path / "others.jsonl"
        append(others, many)
        with pytest.raises(UsageError, match="No space left on device"):
            merge([others], file)
        assert file.read_bytes() == before
        assert names(disk) == {file.name}
        append(file, [result(day=2)])
        assert len(read(file).entries) == 2


@pytest.mark.alone
def test_writers_at_the_same_time_lose_nothing(file: Path) -> None:
    writers = [started(WRITER, file, f"writer {i}", 12) for i in range(4)]
    other = file.with_name("other.jsonl")
    append(other, [result(day=1, name="merged")])
    while any(writer.poll() is None for writer in writers):
        merge([other], file)
    for writer in writers:
        _, errors = writer.communicate()
        assert writer.returncode == 0, errors
    found = read(file)
    assert {name: len(found.named(name)) for name in found.names} == {
        "merged": 1,
        **{f"writer {i}": 12 for i in range(4)},
    }
    assert names(file.parent) == {file.name, other.name}


# --- Merging ---

POOL = [
    result({"request_ms": [value]}, day=day, name=name)
    for day in range(3)
    for value in (1.0, 2.0)
    for name in ("a", "b")
]
histories = st.lists(st.sampled_from(POOL), max_size=6).map(lambda entries: union([History(tuple(entries))]))


@settings(deadline=None)
@given(histories, histories, histories)
def test_merging_is_a_union(one: History, two: History, three: History) -> None:
    assert union([one, one]).entries == one.entries
    assert union([one, two]).entries == union([two, one]).entries
    assert union([union([one, two]), three]).entries == union([one, union([two, three])]).entries
    assert union([one, History(())]).entries == one.entries
    together = {entry.to_json() for history in (one, two) for entry in history.entries}
    merged = [entry.to_json() for entry in union([one, two]).entries]
    assert set(merged) == together
    assert len(merged) == len(together)


def test_merged_files_are_the_same_in_every_order(tmp_path: Path) -> None:
    files = []
    for i in range(3):
        files.append(tmp_path / f"{i}.jsonl")
        entries = random.Random(i).sample(POOL, 6)
        append(files[-1], entries)
    # The same result with its fields in another order: one of both, whichever file is first.
    turned = {**POOL[0].record(), "fingerprint": dict(reversed(BOARD.items()))}
    files[0].write_text(json.dumps(turned) + "\n" + files[0].read_text())
    append(files[1], [POOL[0]])
    written = set()
    for order in permutations(files):
        out = tmp_path / "out.jsonl"
        out.unlink(missing_ok=True)
        merge(order, out)
        merge(order, out)
        written.add(out.read_bytes())
    assert len(written) == 1
    known = union(read(file) for file in files)
    assert read(out).entries == known.entries
    assert len(written.pop().splitlines()) == len(known.entries)


def test_what_the_file_has_stays_and_is_checked(tmp_path: Path) -> None:
    one, out = tmp_path / "one.jsonl", tmp_path / "out.jsonl"
    append(one, [result(day=1)])
    append(out, [result(day=2)])
    assert merge([one], out).entries == (result(day=1), result(day=2))
    (tmp_path / "report.html").write_text("<html>\n")
    with pytest.raises(UsageError, match=r"report.html, line 1: Expecting value"):
        merge([one], tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text() == "<html>\n"
    with pytest.raises(UsageError, match=r"there is no history .*absent.jsonl; lts-engine bench MODEL --save NAME"):
        merge([one, tmp_path / "absent.jsonl"], tmp_path / "new.jsonl")
    assert not (tmp_path / "new.jsonl").exists()


class Repository:
    """A git repository with one history and branches that add to it."""

    def __init__(self, folder: Path, attributes: str) -> None:
        self.folder = folder
        self.file = folder / "lts-history.jsonl"
        folder.mkdir()
        self.git("init", "--quiet", "--initial-branch=main")
        (folder / ".gitattributes").write_text(attributes)
        self.save(0)

    def git(self, *arguments: str, code: int = 0) -> None:
        who = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
        settings = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
        done = subprocess.run(
            ["git", *who, *arguments], cwd=self.folder, env=settings, capture_output=True, text=True, check=False
        )
        assert done.returncode == code, done.stdout + done.stderr

    def save(self, day: int) -> None:
        append(self.file, [result(day=day)])
        self.git("add", ".")
        self.git("commit", "--quiet", "-m", f"day {day}")

    def diverge(self) -> None:
        self.git("branch", "other")
        self.save(1)
        self.save(2)
        self.git("checkout", "--quiet", "other")
        self.save(3)
        self.save(2)  # the same result on both sides
        self.git("checkout", "--quiet", "main")


def test_git_merges_branches_by_union(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "repository", "lts-history.jsonl merge=union\n")
    repository.diverge()
    repository.git("merge", "--quiet", "other")
    found = read(repository.file)
    assert found.entries == tuple(result(day=day) for day in range(4))
    assert found.notes == ()


@pytest.mark.parametrize("style", ["merge", "diff3"])
def test_a_conflict_is_said_and_can_be_resolved(tmp_path: Path, style: str) -> None:
    repository = Repository(tmp_path / "repository", "")
    repository.diverge()
    repository.git("-c", f"merge.conflictStyle={style}", "merge", "--quiet", "other", code=1)
    file = repository.file
    assert "<<<<<<<" in file.read_text()
    with pytest.raises(UsageError, match=r", line 2: git left a conflict there; take both sides with .*merge=union"):
        read(file)
    assert merge([file], file).entries == tuple(result(day=day) for day in range(4))
    assert read(file).entries == tuple(result(day=day) for day in range(4))


# --- What it is asked for ---


def test_the_newest_of_a_name_under_the_same_conditions() -> None:
    entries = [result(day=day, fingerprint=NEWER if day == 3 else BOARD) for day in range(4)]
    history = union([History((*entries, result(day=9, name="other")))])
    assert history.latest("main", result(day=20)) == entries[2]
    assert history.latest("main", result(day=20, fingerprint=NEWER)) == entries[3]
    without = result(day=20, values={}, rounds={}, provenance={}, interval={})
    assert history.latest("main", without) == entries[2]


@pytest.mark.parametrize(
    ("changed", "differences"),
    [
        ({"fingerprint": NEWER}, "cores 4 and 8, kernel 6.1 and 6.6"),
        ({"device": "ssh://pi"}, "device local and ssh://pi"),
        ({"target": "arm64"}, "target host and arm64"),
        ({"workload": Workload(n_prompt=64)}, "n_prompt 128 and 64"),
        ({"backend": "tvm", "workload": Workload(precision="int8")}, "backend onnxruntime and tvm, precision"),
    ],
)
def test_other_conditions_are_said(changed: dict[str, Any], differences: str) -> None:
    history = History((result(day=1),), "lts-history.jsonl")
    with pytest.raises(UsageError) as refused:
        history.latest("main", result(day=2, **changed))
    start = "lts-history.jsonl has 'main' under other conditions only, there and here: "
    assert str(refused.value).startswith(start + differences)


def test_of_several_other_conditions_the_nearest_ones_are_said() -> None:
    far = result(day=2, fingerprint=NEWER, device="ssh://pi", target="arm64")
    history = union([History((result(day=1), far))])
    with pytest.raises(UsageError, match=r"there and here: batch 1 and 2$"):
        history.latest("main", result(day=3, workload=Workload(batch=2)))


def test_an_unknown_name_comes_with_the_right_one() -> None:
    history = union([History(tuple(result(name=name) for name in ("main", "int8-small", "int8-large")))])
    with pytest.raises(UsageError) as refused:
        history.latest("int8-smal", result())
    assert "unknown name 'int8-smal' in the history; expected one of int8-small, int8-large, main" in str(refused.value)
    assert str(refused.value).endswith("; did you mean 'int8-small'?")
    with pytest.raises(UsageError, match="the history is empty: there is no 'main' in it"):
        History(()).latest("main", result())


# --- What is refused ---


def record(**changed: Any) -> str:
    return json.dumps({**result(day=2).record(), **changed})


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("name,request_ms", "Expecting value"),
        ("[1, 2]", "a record is an object, not list"),
        ("{}", "record schema is None; this version reads schema 1"),
        (record(schema=2), "record schema is 2; this version reads schema 1"),
        (record(saved=""), "the name that it is saved under is ''; expected 1 to 100 characters"),
        (record(saved=" main"), "the name that it is saved under is ' main'"),
        (record(saved="a\x1b[2J"), "the name that it is saved under is 'a\\x1b[2J'"),
        (record(saved="n" * 101), "the name that it is saved under is 'nnn"),
        (record(time=""), "its time is ''; expected one such as 2026-11-30T12:00:00Z"),
        (record(time="yesterday"), "its time is 'yesterday'"),
        (record(time="2026-11-30T12:00:00"), "its time is '2026-11-30T12:00:00'"),
        (record(time="0001-01-01T00:00:00+23:00"), "its time is '0001-01-01T00:00:00+23:00'"),
        (record(values={}), "it has no values"),
        (record(error="it crashed", state="failed"), "it has no values: what could not be measured is not saved"),
        (record(values={"a\nb": 1}), "a metric is called 'a\\nb'"),
        (record(values={"request_ms": "fast"}), "the field 'values' is not what it must be"),
        (record(values={"request_ms": True}), "the field 'values' is not what it must be"),
        (record(rounds={"request_ms": []}), "the field 'rounds' is not what it must be"),
        (record(samples_ns={"latency": [-1]}), "the field 'samples_ns' is not what it must be"),
        (record(workload={"n_prompt": 0}), "n_prompt is 0; it must be at least 1"),
        (record(architecture={"family": "gpt2"}), ""),
        (record(color="blue"), "unknown field 'color'"),
        (record().replace("10.0", "NaN"), "the field 'values' is not what it must be"),
        ("[" * 100_000, "it is nested too deeply"),
        (record() + record(), "Extra data"),
    ],
)
def test_a_foreign_line_is_named(file: Path, line: str, reason: str) -> None:
    file.write_text(f"{result(day=1).to_json()}\n{line}\n{result(day=3).to_json()}\n")
    with pytest.raises(UsageError) as refused:
        read(file)
    assert str(refused.value).startswith(f"{file}, line 2: {reason}")
    with pytest.raises(UsageError):
        check_history(file)


def test_a_line_without_a_model_is_named(file: Path) -> None:
    without = {key: value for key, value in result().record().items() if key != "model"}
    file.write_text(json.dumps(without) + "\n")
    with pytest.raises(UsageError, match="line 1: it has neither the field 'model' nor 'trial'"):
        read(file)
    trial = {**without, "trial": 3}
    del trial["saved"]
    file.write_text(json.dumps(trial) + "\n")
    with pytest.raises(UsageError, match="line 1: the name that it is saved under is ''"):
        read(file)


@settings(deadline=None, max_examples=300)
@given(st.integers(0, 2**31))
def test_any_change_of_a_line_is_read_or_refused_in_one_sentence(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    chance = random.Random(seed)
    changed = result(day=1).record()
    for _ in range(chance.randrange(1, 4)):
        key = chance.choice(list(changed))
        changed[key] = chance.choice(
            [None, True, -1, 1e308, 10**400, "", "x" * 200, [], {}, [[]], {"a": {}}, {"request_ms": [1, 2]}, ["\x1b"]]
        )
    path = tmp_path_factory.mktemp("any") / "history.jsonl"
    path.write_text(json.dumps(changed) + "\n")
    try:
        (found,) = read(path).entries
    except UsageError as error:
        reason = str(error)
        assert "line 1: " in reason
        assert "\n" not in reason
        return
    assert Result.from_record(json.loads(found.to_json())) == found


def test_what_is_not_proper_is_not_added(file: Path) -> None:
    for wrong, reason in (
        (result(name=""), "cannot save model.onnx: the name that it is saved under is ''"),
        (result(time=""), "cannot save model.onnx: its time is ''"),
        (result(error="it crashed"), "cannot save model.onnx: it has no values"),
    ):
        with pytest.raises(UsageError) as refused:
            append(file, [result(day=1), wrong])
        assert str(refused.value).startswith(reason)
    assert not file.exists()


def test_a_name_is_of_one_model(file: Path) -> None:
    two = [result(model="a.onnx"), result(model="b.onnx")]
    with pytest.raises(UsageError, match=r"a.onnx and b.onnx cannot both be saved as 'main': a name is of one model"):
        append(file, two)
    append(file, [two[0], result(model="b.onnx", name="b"), result(workload=Workload(batch=2))])
    append(file, [result(model="b.onnx", day=1)])  # it was renamed
    assert len(read(file).entries) == 4


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_what_is_no_file_is_not_written(file: Path, make: Any) -> None:
    make(file)
    for action in (lambda: append(file, [result()]), lambda: merge([file], file), lambda: check_history(file)):
        with pytest.raises(UsageError, match=r"cannot write the history .*: it is not a file"):
            action()


def test_where_nothing_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "history.jsonl"
    actions: Sequence[Any] = (lambda: append(path, [result()]), lambda: merge([], path), lambda: check_history(path))
    for action in actions:
        with pytest.raises(UsageError, match=r"cannot write the history .*: No such file or directory"):
            action()
    check_history(tmp_path / "history.jsonl")
    assert names(tmp_path) == set()
    with pytest.raises(UsageError, match=r"cannot read the history .*: Is a directory"):
        read(tmp_path)
