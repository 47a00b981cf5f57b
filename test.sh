#!/usr/bin/env bash
# Set up and pass every check: format, lint, types, stubs, C++ tests (plain and under sanitizers), fuzzing,
# Python tests.
set -euo pipefail
cd "$(dirname "$0")"
./install.sh --dev
bin=$PWD/.venv/bin
jobs=$(nproc)

step() { printf '\n== %s\n' "$1"; }

step "format and lint"
"$bin/ruff" format --check .
"$bin/ruff" check .
"$bin/mypy"
git ls-files '*.c' '*.h' '*.cpp' '*.hpp' ':!third_party' | xargs clang-format --dry-run --Werror
scripts/lint_changed
"$bin/python" scripts/generate_stubs --check

step "C++ tests under address and undefined-behavior sanitizers"
cmake --preset asan >/dev/null
cmake --build --preset asan -j "$jobs"
ctest --preset asan -j "$jobs" --output-on-failure

step "C++ tests"
cmake --preset release >/dev/null
cmake --build --preset release -j "$jobs"
ctest --preset release -j "$jobs" --output-on-failure

step "C++ tests of threads under the thread sanitizer"
cmake --preset tsan >/dev/null
cmake --build --preset tsan -j "$jobs" --target lts_c_tests
build/tsan/tests/cpp/lts_c_tests --gtest_filter='Threads.*' --gtest_brief=1

step "interface against the last release"
scripts/abi_diff

step "fuzzing"
scripts/fuzz --seconds 4

step "Python tests"
"$bin/python" -m pytest "$@"
