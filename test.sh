#!/usr/bin/env bash
# Set up what is missing and pass every check, as CI does; it stops at the first step that fails.
#   ./test.sh                     every step
#   ./test.sh --quick             in minutes, for every change: lint, cpp and python, without slow tests
#   ./test.sh --only STEP,STEP    some steps
#   ./test.sh ... -- ARGUMENT...  arguments for pytest, as in ./test.sh --only python -- -k front
# Steps:
#   lint        format, lint, types, and whether the generated stubs are up to date
#   cpp         C++ tests of the optimized build
#   sanitizers  C++ tests under address and undefined-behavior sanitizers; those of threads under the thread sanitizer
#   abi         the C interface against the last release
#   fuzz        everything that reads text, for seconds
#   python      Python tests and the checks of the layout
set -euo pipefail
cd "$(dirname "$0")"
steps=(lint cpp sanitizers abi fuzz python)
fail() { echo "test.sh: $1" >&2; exit 2; }
commas() { local text; printf -v text '%s, ' "$@"; echo "${text%, }"; }

quick=false chosen=()
while [[ $# -gt 0 ]]; do
  case $1 in
    --quick) quick=true ;;
    --only)
      [[ -n ${2:-} ]] || fail "--only needs steps, separated by commas: $(commas "${steps[@]}")"
      IFS=, read -ra chosen <<<"$2"
      shift
      ;;
    --) shift; break ;;
    -h | --help) sed -n '2,13s/^# \?//p' "$0"; exit ;;
    *) fail "unknown argument '$1'; expected --quick, --only STEPS, or -- and arguments for pytest" ;;
  esac
  shift
done
for step in "${chosen[@]}"; do
  [[ " ${steps[*]} " == *" $step "* ]] || fail "there is no step '$step'; the steps are $(commas "${steps[@]}")"
done
if [[ ${#chosen[@]} -eq 0 ]]; then
  chosen=("${steps[@]}")
  ! $quick || chosen=(lint cpp python)
fi
is_chosen() { [[ " ${chosen[*]} " == *" $1 "* ]]; }
pytest_arguments=("$@")

bin=$PWD/.venv/bin
jobs=$(nproc)
say() { printf '\n== %s (after %d min %02d s)\n' "$1" $((SECONDS / 60)) $((SECONDS % 60)); }

# Functions by their names, at the same time; then what each has printed, in this order. All of them have to succeed.
side_by_side() {
  local name pids=() status=0
  for name; do
    "$name" >"$scratch/$name" 2>&1 &
    pids+=($!)
  done
  for name; do
    wait "${pids[0]}" || status=1
    pids=("${pids[@]:1}")
    cat "$scratch/$name"
  done
  return "$status"
}
scratch=$(mktemp -d)
# Jobs of the background are deaf to Ctrl-C.
trap 'jobs -p | xargs -r kill 2>/dev/null || true; rm -rf "$scratch"' EXIT

build_and_test() { # preset; arguments for ctest
  cmake --preset "$1" >/dev/null
  cmake --build --preset "$1" -j "$jobs"
  ctest --preset "$1" -j "$jobs" --output-on-failure "${@:2}"
}

shell_is_clean() { git grep -lz '^#!/usr/bin/env bash' | xargs -0 shellcheck; }
cpp_is_clean() {
  git ls-files '*.c' '*.h' '*.cpp' '*.hpp' ':!third_party' | xargs clang-format --dry-run --Werror
  scripts/lint_changed
}
python_is_clean() {
  "$bin/ruff" format --check .
  "$bin/ruff" check .
}
types_are_right() { "$bin/mypy"; }
stubs_are_up_to_date() { "$bin/python" scripts/generate_stubs --check; }

lint() {
  say "format, lint, types and stubs"
  side_by_side python_is_clean shell_is_clean cpp_is_clean types_are_right stubs_are_up_to_date
}

cpp() {
  say "C++ tests"
  build_and_test release
}

sanitizers() {
  say "C++ tests under address and undefined-behavior sanitizers"
  build_and_test asan
  say "C++ tests of threads under the thread sanitizer"
  cmake --preset tsan >/dev/null
  cmake --build --preset tsan -j "$jobs" --target lts_c_tests
  build/tsan/tests/cpp/lts_c_tests --gtest_filter='Threads.*' --gtest_brief=1
}

abi() {
  say "interface against the last release"
  scripts/abi_diff
}

fuzz() {
  say "fuzzing"
  scripts/fuzz --seconds 4
}

# Tests marked alone need the machine for themselves. Their summary comes last, and both runs have to succeed; where
# arguments choose tests of one kind only, the other run has none (5).
python() {
  local also="" beside=0 alone=0
  ! $quick || also=" and not slow"
  say "Python tests, several at the same time"
  # A worker has all tests of a file, which share what they make; files as they come, heavy ones not last.
  local workers=(-n "$((jobs < 4 ? jobs : 4))" --dist loadfile --no-loadscope-reorder)
  "$bin/python" -m pytest "${workers[@]}" -m "not alone$also" "${pytest_arguments[@]}" || beside=$?
  say "Python tests, one after another"
  "$bin/python" -m pytest -n 0 -m "alone$also" "${pytest_arguments[@]}" || alone=$?
  [[ $beside -ne 5 || $alone -ne 0 ]] || beside=0
  [[ $alone -ne 5 || $beside -ne 0 ]] || alone=0
  [[ $beside -eq 0 ]] || return "$beside"
  return "$alone"
}

setup=--cpp
! is_chosen lint || setup=--dev
! is_chosen python || setup=--dev
./install.sh "$setup"
if command -v ccache >/dev/null; then # without a base folder, which would make __FILE__ relative
  export CMAKE_C_COMPILER_LAUNCHER=ccache CMAKE_CXX_COMPILER_LAUNCHER=ccache
fi

left_out=()
for step in "${steps[@]}"; do
  if is_chosen "$step"; then "$step"; else left_out+=("$step"); fi
done
if $quick; then
  printf '\nleft out: %s; ./test.sh runs all\n' "$(commas "slow Python tests" "${left_out[@]}")"
fi
