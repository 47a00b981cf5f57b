"""What a git revision builds: the right one, beside the working tree, and gone afterwards in every case."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from git_repository import git, make_repository

from lts.errors import LtsError, MeasurementError, UsageError
from lts.system.git import resolve
from lts.system.worktree import built

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")

BUILD = "mkdir -p build && cp model.txt build/model && echo made"
TIMEOUT = 60.0


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return folder


@pytest.fixture
def repository(tmp_path: Path, temporary: Path) -> Iterator[Path]:
    """Whatever a test does with it: afterwards its working tree is as it was, and git knows of no other."""
    folder = make_repository(tmp_path / "repository")
    yield folder
    assert_clean(folder, temporary)
    assert git(folder, "status", "--porcelain") == ""


def assert_clean(repository: Path, temporary: Path) -> None:
    assert git(repository, "worktree", "list", "--porcelain").count("worktree ") == 1
    assert list((repository / ".git").glob("worktrees/*")) == []
    assert git(repository, "worktree", "prune", "--dry-run", "--verbose") == ""
    assert list(temporary.iterdir()) == []


def test_each_revision_builds_its_own(repository: Path, temporary: Path) -> None:
    said: list[str] = []
    with (
        built("v1", BUILD, "build/model", repository=repository, told=said.append) as one,
        built("main", BUILD, "build/model", repository=repository, told=said.append) as other,
    ):
        assert (one.read_text(), other.read_text()) == ("model 1\n", "model 2\n")
        assert one.is_relative_to(temporary)
        assert not (repository / "build").exists()
        checkout = one.parents[1]
        assert git(checkout, "rev-parse", "HEAD") == resolve("v1", repository)
        assert git(checkout, "branch", "--show-current") == ""
    assert not one.exists()
    commit = resolve("v1", repository)
    assert said[:2] == [f"v1 ({commit[:12]}): {BUILD}", "made"]


def test_the_command_knows_its_commit_and_nothing_of_a_hook(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_DIR", str(repository / "nowhere"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(repository / "nowhere"))
    monkeypatch.setenv("MINE", "kept")
    command = 'printf "%s %s %s" $LTS_REVISION $(git rev-parse HEAD) $MINE > out; cat >> out'
    with built("v1", command, "out", repository=repository, told=lambda _: None) as path:
        said = path.read_text()
    monkeypatch.delenv("GIT_DIR")
    monkeypatch.delenv("GIT_INDEX_FILE")
    commit = resolve("v1", repository)
    assert said == f"{commit} {commit} kept"


def test_output_goes_to_stderr_as_it_comes(repository: Path, capfd: pytest.CaptureFixture[str]) -> None:
    command = "echo out; echo err >&2; printf '10 %%\\r100 %%\\n'; printf end; cp model.txt m"
    with built("main", command, "m", repository=repository):
        out, err = capfd.readouterr()
    assert out == ""
    assert err.splitlines()[1:] == ["out", "err", "100 %", "end"]


def test_the_working_tree_as_it_is(repository: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (repository / "model.txt").write_text("model of today\n")
    (repository / ".git" / "info" / "exclude").write_text("build\n")
    with built(".", f"{BUILD}; echo $LTS_REVISION > build/revision", "build/model", repository=repository) as path:
        assert path == repository / "build" / "model"
        assert path.read_text() == "model of today\n"
        assert (repository / "build" / "revision").read_text() == ".\n"
    assert path.exists(), "what is the user's stays"
    assert "the working tree: mkdir" in capfd.readouterr().err
    git(repository, "checkout", "--quiet", ".")


def test_in_a_folder_of_the_repository(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (repository / "models").mkdir()
    (repository / "models" / "size").write_text("3\n")
    git(repository, "add", ".")
    git(repository, "commit", "--quiet", "-m", "models")
    monkeypatch.chdir(repository / "models")
    with built("main", "cp ../model.txt out", "out", told=lambda _: None) as path:
        assert path.parent.name == "models"
        assert path.read_text() == "model 2\n"
    with built("main", "cp size ../out", "../out", told=lambda _: None) as path:
        assert path.read_text() == "3\n"
    with pytest.raises(UsageError, match=r"v1 \(.*\) has no folder models, in which the command would run"):
        built("v1", "true", "size", told=lambda _: None).__enter__()
    with pytest.raises(UsageError, match=r"\.\./\.\./out is not in the checkout"):
        built("main", "true", "../../out", told=lambda _: None).__enter__()


def test_a_bare_repository(repository: Path, tmp_path: Path, temporary: Path) -> None:
    bare = tmp_path / "bare.git"
    git(tmp_path, "clone", "--quiet", "--bare", str(repository), str(bare))
    with built("v1", BUILD, "build/model", repository=bare, told=lambda _: None) as path:
        assert path.read_text() == "model 1\n"
    assert git(bare, "worktree", "list", "--porcelain").count("worktree ") == 1
    with pytest.raises(UsageError, match=r"the repository .*bare.git has no working tree; name a revision"):
        built(".", BUILD, "build/model", repository=bare).__enter__()


def test_from_another_worktree_and_with_a_hook(repository: Path, tmp_path: Path) -> None:
    hook = repository / ".git" / "hooks" / "post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/hook\nexit 1\n")
    hook.chmod(0o755)
    other = tmp_path / "other"
    git(repository, "-c", "core.hooksPath=/dev/null", "worktree", "add", "--quiet", "--detach", str(other), "v1")
    with built("HEAD", BUILD, "build/model", repository=other, told=lambda _: None) as path:
        assert path.read_text() == "model 1\n"
    assert not (tmp_path / "hook").exists()
    assert other.is_dir(), "a worktree of somebody else stays"
    git(repository, "worktree", "remove", str(other))


def test_submodules_are_said(repository: Path, tmp_path: Path) -> None:
    weights = make_repository(tmp_path / "weights")
    git(repository, "submodule", "--quiet", "add", str(weights), "weights")
    git(repository, "commit", "--quiet", "-m", "weights")
    said: list[str] = []
    with built("main", "ls weights > out", "out", repository=repository, told=said.append) as path:
        assert path.read_text() == ""
    assert "submodules are not checked out" in said[0]
    command = "git -c protocol.file.allow=always submodule update --quiet --init && cp weights/model.txt out"
    with built("main", command, "out", repository=repository, told=said.append) as path:
        assert path.read_text() == "model 2\n"


@pytest.mark.parametrize(
    ("command", "path", "kind", "reason"),
    [
        ("echo a; echo no rule >&2; exit 2", "m", MeasurementError, r"v1 \(.*\) failed with .* 2: .* last: no rule$"),
        ("false\nfalse", "m", MeasurementError, "failed with exit code 1: false false$"),
        ("exit 3", "m", MeasurementError, "failed with exit code 3: exit 3$"),
        ("kill -9 $$", "m", MeasurementError, r"failed with signal 9 \(Killed\)"),
        ("nonsense-4711", "m", MeasurementError, "exit code 127: .*; it said last: .*not found"),
        ("true", "m", UsageError, r"there is no m after building v1 \(.{12}\): true"),
        ("ln -s /etc/hostname m", "m", UsageError, "m of v1 .* is a link out of the checkout, to /etc/hostname"),
        ("ln -s .. m", "m/..", UsageError, "is a link out of the checkout"),
        ("ln -s m m", "m", UsageError, "there is no m"),
        ("true", "m" * 5000, UsageError, "there is no mmm"),
        ("true", "/etc/hostname", UsageError, "/etc/hostname is not in the checkout; expected a path in it"),
        ("true", "../model.txt", UsageError, r"\.\./model.txt is not in the checkout"),
        ("true", "a/../../model.txt", UsageError, "is not in the checkout"),
        ("true", "", UsageError, "the path of what is built is empty"),
        ("true", "m\0", UsageError, "the path of what is built is empty"),
    ],
)  # fmt: skip
def test_what_goes_wrong(repository: Path, command: str, path: str, kind: type[LtsError], reason: str) -> None:
    with (
        pytest.raises(kind, match=reason) as caught,
        built("v1", command, path, repository=repository, told=lambda _: None),
    ):
        pytest.fail("nothing was built")
    assert "\n" not in str(caught.value)


def test_an_error_in_the_block_and_an_unknown_revision(repository: Path) -> None:
    with pytest.raises(ZeroDivisionError), built("v1", BUILD, "build/model", repository=repository):
        _ = 1 / 0
    with pytest.raises(UsageError, match="unknown revision 'v3'"):
        built("v3", BUILD, "build/model", repository=repository).__enter__()


def test_what_git_cannot_check_out(repository: Path, tmp_path: Path) -> None:
    tree = git(repository, "rev-parse", "v1:model.txt")
    blob = repository / ".git" / "objects" / tree[:2] / tree[2:]
    blob.rename(tmp_path / "blob")
    with pytest.raises(UsageError, match=r"git cannot check out v1 \(.{12}\): (error|fatal): "):
        built("v1", BUILD, "build/model", repository=repository).__enter__()
    (tmp_path / "blob").rename(blob)


def alive(number: int) -> bool:
    """Whether a process runs; one that has ended and was not reaped does not."""
    try:
        state = Path(f"/proc/{number}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def gone(*numbers: int) -> bool:
    end = time.monotonic() + TIMEOUT
    while any(map(alive, numbers)) and time.monotonic() < end:
        time.sleep(0.02)
    return not any(map(alive, numbers))


@pytest.mark.alone
@pytest.mark.parametrize("trap", ["", "trap '' TERM; "])
def test_a_command_that_hangs_is_ended_with_its_children(
    repository: Path, tmp_path: Path, trap: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lts.system.shell._GRACE", 0.3)
    command = f"{trap}sleep 1000 & echo $! > {tmp_path}/child; echo $$ > {tmp_path}/shell; wait; sleep 1000"
    with pytest.raises(MeasurementError, match=r"building v1 \(.{12}\) took longer than 1 s"):
        built("v1", command, "m", repository=repository, timeout=1, told=lambda _: None).__enter__()
    assert gone(*(int((tmp_path / name).read_text()) for name in ("child", "shell")))


@pytest.mark.alone
def test_what_the_command_leaves_running_is_not_waited_for(repository: Path, tmp_path: Path) -> None:
    command = (
        f"sleep 1000 & echo $! > {tmp_path}/child; setsid sleep 1000 & echo $! > {tmp_path}/server; cp model.txt m"
    )
    with built("v1", command, "m", repository=repository, told=lambda _: None):
        child, server = (int((tmp_path / name).read_text()) for name in ("child", "server"))
        assert gone(child), "it could write to the checkout while that is removed"
        assert alive(server), "the server of a build tool is the user's"
        os.kill(server, signal.SIGKILL)


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv is not installed")
def test_what_may_not_be_written_is_removed(repository: Path, temporary: Path) -> None:
    command = "mkdir -p cache/a/b none && cp model.txt cache/a/b/m && ln -s /usr cache/a/link"
    command += " && chmod -R a-w cache && chmod 0 none cache/a/b/m"
    program = f"""
from pathlib import Path
from lts.system.worktree import built
with built("v1", {command!r}, "cache/a/b/m", repository=Path({str(repository)!r})):
    pass
"""
    # Root without its privileges is refused like anybody else.
    drop = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.getuid() == 0 else []
    done = subprocess.run([*drop, sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert_clean(repository, temporary)


PROGRAM = """
import sys
from pathlib import Path
from lts.system.uninterrupted import end_like_ctrl_c
from lts.system.worktree import built

end_like_ctrl_c()
with built("v1", sys.argv[2], "m", repository=Path(sys.argv[1])):
    print("built", flush=True)
    sys.stdin.read()
"""


def start(repository: Path, command: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(repository), command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.alone
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("during", ["build", "block"])
def test_it_is_interrupted(repository: Path, tmp_path: Path, number: signal.Signals, during: str) -> None:
    command = f"echo $$ > {tmp_path}/shell.new; mv {tmp_path}/shell.new {tmp_path}/shell; " + (
        "sleep 1000" if during == "build" else "cp model.txt m"
    )
    with start(repository, command) as process:
        if during == "block":
            assert process.stdout is not None
            assert process.stdout.readline() == "built\n"
        end = time.monotonic() + TIMEOUT
        while not (tmp_path / "shell").exists() and time.monotonic() < end:
            time.sleep(0.02)
        process.send_signal(number)
        _, said = process.communicate(timeout=TIMEOUT)
    assert "KeyboardInterrupt" in said
    assert process.returncode in (1, 130, -signal.SIGINT)
    assert gone(int((tmp_path / "shell").read_text()))


@pytest.mark.alone
def test_it_is_interrupted_at_any_moment(repository: Path) -> None:
    """From the start of Python on, through git's own work, to the end of the build."""
    for step in range(12):
        with start(repository, "sleep 0.3; cp model.txt m") as process:
            time.sleep(0.06 * step)
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=TIMEOUT)
        assert process.returncode != 0


@pytest.mark.alone
def test_after_a_kill_the_next_one_cleans_up(repository: Path, temporary: Path) -> None:
    with start(repository, "cp model.txt m") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "built\n"
        process.kill()
    assert len(list(temporary.iterdir())) == 1
    assert (repository / ".git" / "worktrees").is_dir()
    with built("v2", BUILD, "build/model", repository=repository, told=lambda _: None):
        assert len(list(temporary.iterdir())) == 1
