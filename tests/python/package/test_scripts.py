"""The scripts that developers call: what they refuse, and what lint_changed compares with."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


def run(*words: str | Path, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, **environment}
    return subprocess.run(
        [str(word) for word in words], cwd=cwd, env=env, capture_output=True, text=True, check=False, timeout=120
    )


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["test.sh", "--bogus"], "test.sh: unknown argument '--bogus'; expected --quick, --only STEPS, or -- and"),
        (["test.sh", "-k"], "test.sh: unknown argument '-k'"),
        (["test.sh", "--quick", "fast"], "test.sh: unknown argument 'fast'"),
        (["test.sh", "--only"], "test.sh: --only needs steps, separated by commas: lint, cpp, sanitizers, abi, fuzz"),
        (["test.sh", "--only", "--quick"], "test.sh: there is no step '--quick'; the steps are lint, cpp, "),
        (["test.sh", "--only", "lint,asan"], "test.sh: there is no step 'asan'; the steps are lint, cpp, "),
        (["install.sh", "--bogus"], "install.sh: unknown argument '--bogus'; --dev and --cpp are the only ones"),
        (["install.sh", "--dev", "--cpp"], "install.sh: one argument at most is expected, --dev or --cpp, and 2 are"),
        (["scripts/lint_changed", "--some"], "lint_changed: unknown argument '--some'; the only one is --all"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_options_are_one_sentence(words: list[str], says: str) -> None:
    done = run(ROOT / words[0], *words[1:])
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(says)
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("script", ["test.sh", "install.sh"])
def test_help_is_the_comment_at_the_top(script: str) -> None:
    done = run(ROOT / script, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    comment = re.match(r"#!.*\n((?:# .*\n)+)", (ROOT / script).read_text(encoding="utf-8"))
    assert comment
    assert done.stdout == re.sub("^# ", "", comment[1], flags=re.MULTILINE)


# --- lint_changed, in a repository of its own, with stand-ins for the programs that take long ---

CMAKE = """#!/bin/sh
mkdir -p build/lint
for file in cpp/src/*.cpp; do echo "\\"file\\": \\"/$file\\""; done >build/lint/compile_commands.json
"""
CLANG_TIDY = """#!/bin/sh
for word; do case $word in *.cpp | *.hpp | *.h) echo "$word" >>"$LOG" ;; esac; done
case "$*" in *wrong*) exit 1 ;; esac
"""


class Repository:
    """A checkout with lint_changed in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "checkout"
        self.log = folder / "log"
        tools = folder / "tools"
        tools.mkdir()
        for name, script in {"cmake": CMAKE, "clang-tidy": CLANG_TIDY}.items():
            (tools / name).write_text(script)
            (tools / name).chmod(0o755)
        author = {f"GIT_{who}_{what}": "someone" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        mine = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull, "BASE": "", "LOG": str(self.log)}
        self.environment = {**author, **mine, "PATH": f"{tools}:{os.environ['PATH']}"}
        self.folder.mkdir()
        self.git("init", "--quiet", "--initial-branch=main")
        (self.folder / "scripts").mkdir()
        shutil.copy(ROOT / "scripts" / "lint_changed", self.folder / "scripts")
        (self.folder / ".gitignore").write_text("/build/\n")
        self.commit("cpp/src/first.cpp")

    def git(self, *words: str) -> str:
        done = run("git", *words, cwd=self.folder, **self.environment)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def commit(self, file: str) -> str:
        path = self.folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("new\n")
        self.git("add", ".")
        self.git("commit", "--quiet", "-m", file)
        return self.git("rev-parse", "HEAD")

    def lint(self, *arguments: str, **environment: str) -> tuple[int, set[str]]:
        """The exit code, and the files that were looked at."""
        self.log.write_text("")
        script = self.folder / "scripts" / "lint_changed"
        done = run(script, *arguments, cwd=self.folder, **{**self.environment, **environment})
        files = self.log.read_text().split()
        assert len(files) == len(set(files))
        return done.returncode, {Path(file).name for file in files}


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    return Repository(tmp_path)


def test_a_branch_is_compared_with_where_it_left_main(repository: Repository) -> None:
    repository.git("checkout", "--quiet", "-b", "mine")
    repository.commit("cpp/src/second.cpp")
    repository.commit("cpp/include/lts/third.hpp")
    repository.commit("cpp/include/lts/lts.h")
    repository.git("checkout", "--quiet", "main")
    repository.commit("cpp/src/of_others.cpp")
    repository.git("checkout", "--quiet", "mine")
    assert repository.lint() == (0, {"second.cpp", "third.hpp", "lts.h"})
    # What is not committed yet counts.
    (repository.folder / "cpp/src/first.cpp").write_text("changed\n")
    assert repository.lint() == (0, {"first.cpp", "second.cpp", "third.hpp", "lts.h"})


def test_the_published_main_is_what_counts(repository: Repository) -> None:
    published = repository.commit("cpp/src/published.cpp")
    repository.commit("cpp/src/second.cpp")
    repository.commit("cpp/src/third.cpp")
    repository.git("update-ref", "refs/remotes/origin/main", published)
    assert repository.lint() == (0, {"second.cpp", "third.cpp"})


@pytest.mark.parametrize("branch", ["main", "another"])
def test_main_itself_is_compared_with_the_commit_before(repository: Repository, branch: str) -> None:
    repository.commit("cpp/src/second.cpp")
    repository.commit("cpp/src/third.cpp")
    copy = repository.folder.with_name("clone")
    repository.git("clone", "--quiet", str(repository.folder), str(copy))
    repository.folder = copy
    if branch != "main":
        repository.git("checkout", "--quiet", "-b", branch)
        repository.git("branch", "--quiet", "-D", "main")
    assert repository.lint() == (0, {"third.cpp"})


def test_without_history_all_files_are_looked_at(repository: Repository) -> None:
    assert repository.lint() == (0, {"first.cpp"})
    repository.commit("cpp/src/second.cpp")
    assert repository.lint() == (0, {"second.cpp"})
    assert repository.lint("--all") == (0, {"first.cpp", "second.cpp"})


def test_base_is_what_one_says(repository: Repository) -> None:
    first = repository.git("rev-parse", "HEAD")
    repository.commit("cpp/src/second.cpp")
    repository.commit("cpp/src/third.cpp")
    assert repository.lint(BASE=first) == (0, {"second.cpp", "third.cpp"})
    assert repository.lint(BASE="no-such-commit") == (2, set())


@pytest.mark.parametrize("file", ["cpp/src/wrong.cpp", "cpp/include/lts/wrong.hpp", "cpp/include/lts/wrong.h"])
def test_what_clang_tidy_finds_fails(repository: Repository, file: str) -> None:
    repository.commit(file)
    code, files = repository.lint()
    assert code != 0
    assert files == {Path(file).name}


# --- test.sh, in a folder of its own, with stand-ins for everything that it calls ---

STAND_IN = """#!/bin/sh
echo "$(basename "$0") $*" >>"$LOG"
case "$0 $*" in *"$FAILS"*) echo "$FAILS has failed"; exit "${CODE:-1}" ;; esac
"""


class Checks:
    """test.sh with stand-ins that write down how they are called; what contains `FAILS` fails."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.log = folder / "checkout", folder / "log"
        tools, scripts, programs = folder / "tools", self.folder / "scripts", self.folder / ".venv" / "bin"
        stand_ins = [tools / name for name in ("cmake", "ctest", "clang-format", "shellcheck", "git", "ccache")]
        stand_ins += [scripts / name for name in ("lint_changed", "abi_diff", "fuzz")]
        stand_ins += [programs / name for name in ("ruff", "mypy", "python")]
        stand_ins += [self.folder / "install.sh", self.folder / "build/tsan/tests/cpp/lts_c_tests"]
        for path in stand_ins:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(STAND_IN)
            path.chmod(0o755)
        shutil.copy(ROOT / "test.sh", self.folder)
        self.path = f"{tools}:{os.environ['PATH']}"

    def run(self, *arguments: str, fails: str = "nothing at all", code: int = 1) -> subprocess.CompletedProcess[str]:
        self.log.write_text("")
        environment = {"PATH": self.path, "LOG": str(self.log), "FAILS": fails, "CODE": str(code)}
        return run(self.folder / "test.sh", *arguments, cwd=self.folder, **environment)

    @property
    def calls(self) -> list[str]:
        return self.log.read_text().splitlines()

    def called(self, start: str) -> list[str]:
        return [call for call in self.calls if call.startswith(start)]


@pytest.fixture
def checks(tmp_path: Path) -> Checks:
    return Checks(tmp_path)


def test_everything_is_run_by_default(checks: Checks) -> None:
    done = checks.run()
    assert done.returncode == 0, done.stdout + done.stderr
    assert checks.calls[0] == "install.sh --dev"
    for call in ("ruff check", "ruff format --check", "mypy", "python scripts/generate_stubs --check", "lint_changed"):
        assert len(checks.called(call)) == 1
    assert [call.split()[2] for call in checks.called("ctest")] == ["release", "asan"]
    for call in ("lts_c_tests --gtest_filter=Threads", "abi_diff", "fuzz"):
        assert len(checks.called(call)) == 1
    beside, alone = checks.called("python -m pytest")
    assert beside.endswith("--dist loadfile --no-loadscope-reorder -m not alone")
    assert alone == "python -m pytest -n 0 -m alone" == checks.calls[-1]
    assert "left out" not in done.stdout


def test_quick_says_what_it_left_out(checks: Checks) -> None:
    done = checks.run("--quick")
    assert done.returncode == 0
    assert [call.split()[2] for call in checks.called("ctest")] == ["release"]
    assert checks.called("mypy")
    assert not checks.called("fuzz") + checks.called("abi_diff") + checks.called("lts_c_tests")
    beside, alone = checks.called("python -m pytest")
    assert beside.endswith(" -m not alone and not slow")
    assert alone.endswith(" -m alone and not slow")
    last = done.stdout.splitlines()[-1]
    assert last == "left out: slow Python tests, sanitizers, abi, fuzz; ./test.sh runs all"


def test_only_some_steps(checks: Checks) -> None:
    assert checks.run("--only", "abi,sanitizers").returncode == 0
    assert checks.calls[0] == "install.sh --cpp", "no Python is needed"
    assert checks.called("abi_diff")
    assert not [call for call in checks.calls if re.match("ruff|mypy|python|fuzz|lint_changed", call)]
    assert checks.run("--only", "python", "--", "-k", "two words").returncode == 0
    assert checks.calls[0] == "install.sh --dev"
    assert [call.endswith(" -k two words") for call in checks.called("python -m pytest")] == [True, True]
    assert not checks.called("ctest")


@pytest.mark.parametrize(
    "what",
    [
        *("install.sh", "ruff check", "ruff format", "mypy", "generate_stubs", "clang-format", "shellcheck"),
        *("lint_changed", "--build --preset release", "ctest --preset release", "ctest --preset asan", "lts_c_tests"),
        *("abi_diff", "scripts/fuzz", "-m not alone", "-m alone"),
    ],
)
def test_whatever_fails_fails_the_script(checks: Checks, what: str) -> None:
    done = checks.run(fails=what)
    assert done.returncode != 0
    assert f"{what} has failed" in done.stdout
    # Both runs of pytest say what they have found.
    assert len(checks.called("python -m pytest")) == (2 if what.startswith("-m") else 0)


@pytest.mark.parametrize(("fails", "code"), [("-m not alone", 0), ("-m alone", 0), ("-m pytest", 5)])
def test_one_of_the_two_runs_may_have_no_tests(checks: Checks, fails: str, code: int) -> None:
    assert checks.run("--only", "python", "--", "-k", "name", fails=fails, code=5).returncode == code


def test_what_is_compiled_goes_through_ccache(checks: Checks) -> None:
    (checks.folder / "scripts" / "fuzz").write_text('#!/bin/sh\nenv >"$LOG.environment"\n')
    assert checks.run("--only", "fuzz").returncode == 0
    environment = Path(f"{checks.log}.environment").read_text().splitlines()
    assert "CMAKE_CXX_COMPILER_LAUNCHER=ccache" in environment
