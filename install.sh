#!/usr/bin/env bash
# Set up lts-engine in ./.venv on a fresh Debian or Ubuntu: system packages that are missing, then the package itself.
#   ./install.sh              what the main job needs
#   ./install.sh --dev        and what the tests need; Python sees changes of python/lts at once
#   ./install.sh --cpp        only the system packages that the C++ tests need: no .venv
set -euo pipefail
cd "$(dirname "$0")"
fail() { echo "install.sh: $1" >&2; exit 2; }

[[ $# -le 1 ]] || fail "one argument at most is expected, --dev or --cpp, and $# are given"
case ${1:-} in
  "" | --dev | --cpp) what=${1:-} ;;
  -h | --help) sed -n '2,5s/^# \?//p' "$0"; exit ;;
  *) fail "unknown argument '$1'; --dev and --cpp are the only ones" ;;
esac

packages=(g++ gcc cmake ninja-build)
[[ $what == --cpp ]] || packages+=(python3 python3-dev python3-venv openssh-client)
# To compile for arm64 elsewhere, and to run the result.
[[ $what == --cpp || $(uname -m) == aarch64 ]] || packages+=(g++-aarch64-linux-gnu qemu-user)
if [[ -n $what ]]; then
  packages+=(libgtest-dev libbenchmark-dev clang libclang-rt-dev abigail-tools ccache git)
fi
if [[ $what == --dev ]]; then
  packages+=(clang-format clang-tidy shellcheck openssh-server file pkg-config make)
  packages+=(g++-arm-linux-gnueabihf googletest qemu-user) # the same search on 32-bit Arm
  packages+=(chromium fonts-dejavu-core tmux)              # the report in a browser, commands on a terminal
fi

missing=()
for package in "${packages[@]}"; do
  [[ $(dpkg-query -W -f '${Status}' "$package" 2>/dev/null) == "install ok installed" ]] || missing+=("$package")
done
if [[ ${#missing[@]} -gt 0 ]]; then
  sudo=()
  [[ $EUID -eq 0 ]] || sudo=(sudo)
  "${sudo[@]}" apt-get update -qq
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi
if [[ $what == --cpp ]]; then
  echo "installed: what the C++ tests need"
  exit
fi

if [[ $what == --dev ]] && command -v ccache >/dev/null; then # as in test.sh: other rules would build all again
  export CMAKE_C_COMPILER_LAUNCHER=ccache CMAKE_CXX_COMPILER_LAUNCHER=ccache
fi
[[ -x .venv/bin/python ]] || "${PYTHON:-python3}" -m venv .venv
pip() { .venv/bin/python -m pip --quiet --disable-pip-version-check "$@"; }
pip install --upgrade "pip>=23" wheel
if [[ $what == --dev ]]; then
  pip install "scikit-build-core>=0.10" "pybind11>=3.0"
  # The core is compiled as for its tests, which then have it from ccache.
  pip install --no-build-isolation -e ".[dev]" --config-settings=cmake.define.LTS_WARNINGS_AS_ERRORS=ON
  # The oldest transformers that exported models load in, beside the newest one: tests name the folder in PYTHONPATH.
  [[ -d .venv/oldest/optimum ]] ||
    pip install --target .venv/oldest --no-deps "transformers==4.57.6" "huggingface-hub<1" "tokenizers>=0.22,<=0.23.0" \
      "optimum==2.1.0" "optimum-onnx==0.1.0"
  # Tests compare with llama.cpp. Where it is there already this takes no time, else seven minutes of a processor.
  PYTHON=.venv/bin/python scripts/build_llama_cpp >/dev/null ||
    echo "install.sh: tests that need llama.cpp will be skipped, for the reason above" >&2
else
  pip install ".[all]"
fi
.venv/bin/lts-engine target bundle host >/dev/null ||
  echo "install.sh: models compiled for this machine will not be run, for the reason above" >&2
.venv/bin/lts-engine target bundle arm64 >/dev/null ||
  echo "install.sh: models for arm64 will be compiled but not run, for the reason above" >&2
echo "installed: $PWD/.venv/bin/lts-engine"
