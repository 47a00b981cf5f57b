#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace lts::runner {

/// What a measured time depends on besides the model; nothing that changes from minute to minute.
struct Environment {
  std::string cpu;              ///< processor, named as in python/lts/system/machine.py
  int cores = 1;                ///< physical cores that this process may use
  std::string governor;         ///< frequency governor; empty where the kernel controls no frequency
  std::int64_t memory_mib = 0;  ///< memory of the machine
  std::string triple;
  std::string kernel;
};

/// @param root root of the file system that /proc and /sys are read from, with a slash at its end
Environment environment(const std::string& root = "/");

/// Numbers of the logical processors that this process may run on, ascending.
std::vector<std::size_t> allowed_cpus();

/// Architecture, system and C library that this program was built for, for example "aarch64-linux-gnu".
std::string triple();

}  // namespace lts::runner
