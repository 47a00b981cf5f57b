#!/usr/bin/env bash
# Set up lts-engine in ./.venv on a fresh Debian or Ubuntu: system packages that are missing, then the package itself.
#   ./install.sh              what the main job needs
#   ./install.sh --dev        and what the tests need
set -euo pipefail
cd "$(dirname "$0")"

extra=all
packages=(g++ gcc cmake ninja-build python3 python3-dev python3-venv openssh-client)
# To compile for arm64 elsewhere, and to run the result.
[[ $(uname -m) == aarch64 ]] || packages+=(g++-aarch64-linux-gnu qemu-user)
if [[ ${1:-} == --dev ]]; then
  extra=dev
  packages+=(libgtest-dev libbenchmark-dev clang clang-format clang-tidy libclang-rt-dev openssh-server file git)
  packages+=(g++-arm-linux-gnueabihf googletest qemu-user) # the same search on 32-bit Arm
  packages+=(pkg-config make abigail-tools)
elif [[ $# -gt 0 ]]; then
  echo "install.sh: unknown argument '$1'; the only one is --dev" >&2
  exit 2
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

[[ -x .venv/bin/python ]] || "${PYTHON:-python3}" -m venv .venv
.venv/bin/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=23" wheel
if [[ $extra == dev ]]; then
  .venv/bin/python -m pip install --quiet --disable-pip-version-check "scikit-build-core>=0.10" "pybind11>=3.0"
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-build-isolation -e ".[dev]"
else
  .venv/bin/python -m pip install --quiet --disable-pip-version-check ".[$extra]"
fi
.venv/bin/lts-engine target bundle host >/dev/null ||
  echo "install.sh: models compiled for this machine will not be run, for the reason above" >&2
.venv/bin/lts-engine target bundle arm64 >/dev/null ||
  echo "install.sh: models for arm64 will be compiled but not run, for the reason above" >&2
echo "installed: $PWD/.venv/bin/lts-engine"
