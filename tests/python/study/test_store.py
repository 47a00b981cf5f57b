"""Trials on disk: round trips, one writer, damage, full disks, kills."""

from __future__ import annotations

import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

import lts
from lts.errors import UsageError
from lts.measure.trial import Trial
from lts.study.schema import checksum
from lts.study.store import Store

ARCHITECTURE = lts.Architecture("gpt2", 512, 256, 64, n_head=[2, 4], d_ff=[64, 256])
N_KILLS = 20


def trial_of(key: int, state: str = "complete") -> Trial:
    return Trial(id=key, state=state, architecture=ARCHITECTURE, values={"x": float(key)})  # type: ignore[arg-type]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store with 50 trials, closed."""
    file = tmp_path / "study.db"
    with Store(file, writable=True, create=True) as store:
        store.write(trials=tuple(trial_of(i) for i in range(50)), meta={"study": {"seed": 1}})
    return file


# round trips


def test_what_was_written_is_read(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "er" / "study.db"
    with Store(file, writable=True, create=True) as store:
        store.write(trials=(trial_of(2), trial_of(0, "running")), meta={"study": {"a": [1, None]}, "n": 3})
        store.add_environment("c0ffee", {"cpu": "x"})
        store.add_environment("c0ffee", {"cpu": "y"})
        assert store.trials() == [trial_of(0, "running"), trial_of(2)]
    with Store(file) as store:
        assert store.trials() == [trial_of(0, "running"), trial_of(2)]
        assert store.meta("study") == {"a": [1, None]}
        assert store.meta("n") == 3
        assert store.meta("absent") is None
        assert store.environments() == {"c0ffee": {"cpu": "x"}}


def test_writing_again_replaces(path: Path) -> None:
    with Store(path, writable=True) as store:
        store.write(trials=(trial_of(3, "failed"),), meta={"n": 2})
        assert store.trials()[3] == trial_of(3, "failed")
        assert len(store.trials()) == 50
        assert store.meta("n") == 2


def test_a_write_is_all_or_nothing(path: Path) -> None:
    broken = Trial(id=99, state="complete", architecture=ARCHITECTURE, values={"x": float("nan")})
    with Store(path, writable=True) as store:
        with pytest.raises(UsageError):
            store.write(trials=(trial_of(98), broken), meta={"study": "lost"})
        assert len(store.trials()) == 50
        assert store.meta("study") == {"seed": 1}
        store.write(trials=(trial_of(98),))
        assert len(store.trials()) == 51


def test_a_closed_store_leaves_one_database_file(path: Path) -> None:
    assert {file.name for file in path.parent.iterdir()} <= {"study.db", "study.db.lock"}


def test_opening_again_with_create_keeps_what_is_there(path: Path) -> None:
    with Store(path, writable=True, create=True) as store:
        assert len(store.trials()) == 50


# one writer, many readers


def test_a_second_writer_is_refused(path: Path) -> None:
    with Store(path, writable=True), pytest.raises(UsageError, match="in use by another search"):
        Store(path, writable=True)
    Store(path, writable=True).close()


def test_a_writer_in_another_process_is_refused(path: Path) -> None:
    code = "import sys; from lts.study.store import Store; Store(sys.argv[1], writable=True, create=True)"
    with Store(path, writable=True):
        result = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True)
    assert "in use by another search" in result.stderr


def test_readers_see_every_committed_trial_while_one_writes(tmp_path: Path) -> None:
    file = tmp_path / "study.db"
    seen: list[int] = []
    with Store(file, writable=True, create=True) as store:

        def write() -> None:
            for i in range(100):
                store.write(trials=(trial_of(i),), meta={"last": i})

        writer = threading.Thread(target=write)
        writer.start()
        while writer.is_alive():
            with Store(file) as reader:
                first = reader.meta("last")
                trials = reader.trials()
                assert [trial.id for trial in trials] == list(range(len(trials)))
                assert len(trials) > (-1 if first is None else first)
                seen.append(len(trials))
        writer.join()
        with Store(file) as reader:
            assert len(reader.trials()) == 100
    assert seen == sorted(seen)


def test_a_reader_cannot_write(path: Path) -> None:
    with Store(path) as store, pytest.raises(UsageError, match="no permission to write"):
        store.write(meta={"x": 1})


def test_a_reader_leaves_no_lock(path: Path) -> None:
    (path.parent / "study.db.lock").unlink(missing_ok=True)
    with Store(path) as store:
        assert len(store.trials()) == 50
        Store(path, writable=True).close()


# what is not a store


def test_a_missing_store_is_told(tmp_path: Path) -> None:
    for options in ({}, {"writable": True}):
        with pytest.raises(UsageError, match=r"no study at .*none\.db"):
            Store(tmp_path / "none.db", **options)
    with pytest.raises(UsageError, match="no study at"):
        Store(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("options", [{}, {"writable": True}, {"writable": True, "create": True}])
@pytest.mark.parametrize("kind", ["text", "random", "foreign", "foreign wal", "newer", "older schema"])
def test_another_file_is_refused_and_left_alone(tmp_path: Path, path: Path, kind: str, options: dict) -> None:
    file = tmp_path / "other.db"
    if kind == "text":
        file.write_text("no database at all\n" * 500)
    elif kind == "random":
        file.write_bytes(random.Random(1).randbytes(20_000))
    elif kind.startswith("foreign"):
        with closing(sqlite3.connect(file)) as connection, connection:
            if kind == "foreign wal":
                connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("CREATE TABLE bookmark (url TEXT)")
            connection.execute("INSERT INTO bookmark VALUES ('x')")
    else:
        shutil.copy(path, file)
        with closing(sqlite3.connect(file)) as connection, connection:
            connection.execute(f"PRAGMA user_version = {3 if kind == 'newer' else 0}")
    before = file.read_bytes()
    sentence = {
        "text": "not a study of lts-engine",
        "random": "not a study of lts-engine",
        "foreign": "is a database, but not a study of lts-engine; use another --store",
        "foreign wal": "is a database, but not a study of lts-engine; use another --store",
        "newer": "has store schema 3; this version reads schemas 1 and 2",
        "older schema": "has store schema 0; this version reads schemas 1 and 2",
    }[kind]
    with pytest.raises(UsageError) as raised:
        Store(file, **options)
    assert sentence in str(raised.value)
    assert "\n" not in str(raised.value)
    assert file.read_bytes() == before


def test_an_empty_file_becomes_a_store_only_by_create(tmp_path: Path) -> None:
    file = tmp_path / "study.db"
    file.touch()
    with pytest.raises(UsageError, match="not a study"):
        Store(file)
    with Store(file, writable=True, create=True) as store:
        assert store.trials() == []


# damage


def read_everything(file: Path, **options: bool) -> list[Trial]:
    with Store(file, **options) as store:
        store.meta("study")
        store.environments()
        return store.trials()


@pytest.mark.parametrize("writable", [False, True])
def test_a_truncated_store_is_told(path: Path, writable: bool) -> None:
    whole = path.read_bytes()
    for size in sorted(random.Random(2).sample(range(1, len(whole)), 25)):
        path.write_bytes(whole[:size])
        with pytest.raises(UsageError) as raised:
            read_everything(path, writable=writable)
        assert str(path) in str(raised.value)
        assert "\n" not in str(raised.value)


def test_a_store_with_overwritten_pages_is_told_or_unharmed(path: Path) -> None:
    whole = path.read_bytes()
    moments = random.Random(3)
    told: list[str] = []
    for _ in range(40):
        damaged = bytearray(whole)
        begin = moments.randrange(100, len(whole) - 512)
        damaged[begin : begin + 512] = moments.randbytes(512)
        path.write_bytes(damaged)
        try:
            read_everything(path)
        except UsageError as error:
            told.append(str(error))
    assert len(told) > 20
    assert all("damaged" in message or "schema" in message for message in told)
    assert not any("\n" in message for message in told)


@pytest.mark.parametrize(
    "record", ["", "{}", "no json", "[]", "3", '{"schema": 2}', '{"schema": 1, "trial": 0, "architecture": {}}']
)
def test_a_damaged_record_is_told(path: Path, record: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE trial SET record = ? WHERE id = 7", (record,))
    with pytest.raises(UsageError, match="a record is damaged") as raised:
        read_everything(path)
    assert "\n" not in str(raised.value)


def test_a_store_without_a_table_is_told(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DROP TABLE trial")
    with pytest.raises(UsageError, match="damaged"):
        read_everything(path)


def content_of(file: Path) -> tuple[object, ...]:
    """All that a store says: values, trials with their places, environments."""
    with Store(file) as store:
        return store.meta("study"), store.meta("sampler"), store.records(), store.environments(), store.notes


@pytest.fixture
def killed(tmp_path: Path) -> Path:
    """A folder with a store of 60 trials whose writer was killed: about half of them are in its log alone."""
    code = """
import os, sys, lts
sys.path.insert(0, sys.argv[2])
from test_store import trial_of
from lts.study.store import Store
store = Store(sys.argv[1], writable=True, create=True)
store.write(meta={"study": {"seed": 1, "objectives": ["x:min"]}})
store.add_environment("c0ffee", {"cpu": "x", "threads": 2})
for i in range(30):
    store.write(trials=(trial_of(i),))
store._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
for i in range(30, 60):
    store.write(trials=(trial_of(i),), meta={"sampler": {"n": i}})
os._exit(9)
"""
    folder = tmp_path / "killed"
    folder.mkdir()
    here = str(Path(__file__).parent)
    assert subprocess.run([sys.executable, "-c", code, str(folder / "study.db"), here]).returncode == 9
    assert (folder / "study.db-wal").stat().st_size > 30 * 4096
    return folder


@pytest.mark.parametrize("of", ["study.db", "study.db-wal", "closed"])
@pytest.mark.parametrize("n_bytes", [1, 4])
def test_no_damage_changes_anything_in_silence(tmp_path: Path, killed: Path, of: str, n_bytes: int) -> None:
    if of == "closed":
        Store(killed / "study.db", writable=True).close()
        of = "study.db"
    copy = tmp_path / "copy"
    shutil.copytree(killed, copy)
    expected = content_of(copy / "study.db")
    assert expected[-1] == []
    assert len(expected[2]) == 60  # type: ignore[arg-type]
    whole = (killed / of).read_bytes()
    moments = random.Random(5)
    told = 0
    for _ in range(100):
        shutil.rmtree(copy)
        shutil.copytree(killed, copy)
        damaged = bytearray(whole)
        begin = moments.randrange(len(whole) - n_bytes)
        for i in range(begin, begin + n_bytes):
            damaged[i] ^= moments.randrange(1, 256)
        (copy / of).write_bytes(damaged)
        try:
            found = content_of(copy / "study.db")
        except UsageError as error:
            told += "\n" not in str(error)
            continue
        if found != expected:
            assert "cut off, or is damaged" in found[-1][0], (of, begin)  # type: ignore[index]
            told += 1
    assert told > 20


CHANGES = {
    "another number": ("UPDATE trial SET record = replace(record, '\"x\": 7.0', '\"x\": 8.0') WHERE id = 7", "trial 7"),
    "another state": ("UPDATE trial SET state = 'failed' WHERE id = 7", "trial 7"),
    "another place": ("UPDATE trial SET begun = 3 WHERE id = 7", "trial 7"),
    "another id": ("UPDATE trial SET id = 70 WHERE id = 7", "trial 70"),
    "no checksum": ("UPDATE trial SET checksum = NULL WHERE id = 7", "trial 7"),
    "no text": ("UPDATE trial SET record = CAST(record AS BLOB) WHERE id = 7", "trial 7"),
    "another argument": ("UPDATE meta SET value = replace(value, '1', '2')", "the entry 'study'"),
    "another key": ("UPDATE meta SET key = 'studx'", "the entry 'studx'"),
    "another machine": ("UPDATE environment SET description = replace(description, 'x', 'y')", "the environment 'c0f'"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_row_is_told_with_its_name(path: Path, change: str) -> None:
    with Store(path, writable=True) as store:
        store.add_environment("c0f", {"cpu": "x"})
    statement, name = CHANGES[change]
    with closing(sqlite3.connect(path)) as connection, connection:
        assert connection.execute(statement).rowcount == 1
    with pytest.raises(UsageError, match="a record is damaged") as raised:
        content_of(path)
    assert f"({name}: " in str(raised.value)


def test_what_is_annotated_has_its_checksum(path: Path) -> None:
    with Store(path, writable=True) as store:
        store.annotate(replace(trial_of(7), deployed="correct"))
    assert read_everything(path)[7].deployed == "correct"


@pytest.mark.parametrize(
    "change",
    [
        {"values": {"x": True}},
        {"values": {"x": "8"}},
        {"values": {"x": float("nan")}},
        {"values": {"x": 10**400}},
        {"trial": "../7"},
        {"trial": 7.0},
        {"state": "done"},
        {"samples_ns": {"latency": [1.5]}},
    ],
)
def test_a_record_of_another_type_is_told_though_its_checksum_is_right(path: Path, change: dict[str, object]) -> None:
    record = json.dumps({**trial_of(7).record(), **change})
    with closing(sqlite3.connect(path)) as connection, connection:
        sum_ = checksum(record, 7, "complete", None, None)
        connection.execute("UPDATE trial SET record = ?, checksum = ? WHERE id = 7", (record, sum_))
    with pytest.raises(UsageError, match=r"a record is damaged \(trial 7: "):
        read_everything(path)


# permissions and disks

UNPRIVILEGED = """
import os, sys
from pathlib import Path
from lts.errors import UsageError
from lts.study.store import Store
if os.geteuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
for create in (False, True):
    try:
        Store(Path(sys.argv[1]), writable=True, create=create)
        print("opened")
    except UsageError as error:
        print(error)
try:
    print(len(Store(Path(sys.argv[1])).trials()), "trials read")
except UsageError as error:
    print(error)
"""


@contextmanager
def everyones_directory() -> Iterator[Path]:
    """A directory that any user can reach, unlike pytest's."""
    folder = Path(tempfile.mkdtemp(prefix="lts-test-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        folder.chmod(0o755)
        shutil.rmtree(folder)


def as_nobody(file: Path) -> list[str]:
    result = subprocess.run([sys.executable, "-c", UNPRIVILEGED, file], capture_output=True, text=True)
    if "PermissionError" in result.stderr and "set" in result.stderr:
        pytest.skip("cannot drop privileges here")
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()


def test_a_directory_without_permission_is_told(path: Path) -> None:
    with everyones_directory() as folder:
        file = folder / "study.db"
        folder.chmod(0o555)
        without_create, with_create, reading = as_nobody(file)
    assert without_create.startswith("no study at")
    assert with_create == f"cannot write the store {file}: Permission denied"
    assert reading.startswith("no study at")


def test_a_directory_that_cannot_be_made_is_told() -> None:
    with everyones_directory() as folder:
        folder.chmod(0o555)
        _, with_create, _ = as_nobody(folder / "sub" / "study.db")
    assert with_create == f"cannot create the directory {folder / 'sub'}: Permission denied"


def test_a_store_in_a_directory_without_permission_can_be_read(path: Path) -> None:
    with everyones_directory() as folder:
        file = folder / "study.db"
        shutil.copy(path, file)
        file.chmod(0o444)
        folder.chmod(0o555)
        without_create, with_create, reading = as_nobody(file)
    assert without_create == with_create == f"cannot write the store {file}: Permission denied"
    assert reading == "50 trials read"


def test_a_directory_in_the_place_of_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"cannot create the directory .*file"):
        Store(tmp_path / "file" / "study.db", writable=True, create=True)
    with pytest.raises(UsageError):
        Store(tmp_path, writable=True, create=True)


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("mounting a small tmpfs needs root")
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True).returncode:
        pytest.skip("this machine does not allow mounting a tmpfs")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def test_a_full_disk_is_told_and_loses_nothing(tmp_path: Path) -> None:
    with small_disk(tmp_path / "small", "400k") as folder:
        n_written = 0
        with Store(folder / "study.db", writable=True, create=True) as store:

            def fill() -> None:
                nonlocal n_written
                while True:
                    store.write(trials=(trial_of(n_written),), meta={"last": n_written})
                    n_written += 1

            with pytest.raises(UsageError, match="the disk is full or failing; free some space"):
                fill()
            assert [trial.id for trial in store.trials()] == list(range(n_written))
        with Store(folder / "study.db") as store:
            assert [trial.id for trial in store.trials()] == list(range(n_written))
            assert store.meta("last") == n_written - 1
        subprocess.run(["mount", "-o", "remount,size=4m", folder], check=True)
        with Store(folder / "study.db", writable=True) as store:
            store.write(trials=tuple(trial_of(i) for i in range(n_written, n_written + 500)))
            assert len(store.trials()) == n_written + 500


def test_no_room_for_a_store_at_all_is_told(tmp_path: Path) -> None:
    with small_disk(tmp_path / "small", "64k") as folder:
        (folder / "filler").write_bytes(b"x" * 56_000)
        with pytest.raises(UsageError, match="the disk is full or failing"):
            Store(folder / "study.db", writable=True, create=True)


def test_a_store_on_a_read_only_disk_can_be_read(tmp_path: Path, path: Path) -> None:
    with small_disk(tmp_path / "small", "4m") as folder:
        shutil.copy(path, folder)
        subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
        assert len(read_everything(folder / "study.db")) == 50
        with pytest.raises(UsageError, match=r"cannot write the store .*: Read-only file system"):
            Store(folder / "study.db", writable=True)


# kills

WRITER = """
import sys
import lts
from lts.study.store import Store
from lts.measure.trial import Trial

architecture = lts.Architecture("gpt2", 512, 256, 64, n_head=[2, 4], d_ff=[64, 256])
with Store(sys.argv[1], writable=True, create=True) as store:
    i = len(store.trials())
    print("ready", flush=True)
    while True:
        store.write(trials=(Trial(id=i, state="complete", architecture=architecture, values={"x": float(i)}),),
                    meta={"last": i})
        print(i, flush=True)
        i += 1
"""


def test_kills_at_random_moments_lose_no_committed_trial(tmp_path: Path) -> None:
    file = tmp_path / "study.db"
    moments = random.Random(4)
    last = -1
    for _ in range(N_KILLS):
        with subprocess.Popen([sys.executable, "-c", WRITER, file], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for _ in range(moments.randrange(0, 20)):
                assert process.stdout.readline()
            time.sleep(moments.uniform(0, 0.01))
            process.kill()
            committed = [int(line) for line in process.stdout if line.strip().isdigit()]
        last = max([last, *committed])
        if not file.exists():
            continue
        with Store(file, writable=True, create=True) as store:
            ids = [trial.id for trial in store.trials()]
            assert ids == list(range(len(ids)))
            assert len(ids) > last
            assert store.meta("last") == (ids[-1] if ids else None)
            assert all(trial == trial_of(trial.id) for trial in store.trials())
            last = len(ids) - 1
    assert last > N_KILLS
