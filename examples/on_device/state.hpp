#pragma once

#include <map>
#include <optional>
#include <string>

#include "index.hpp"
#include "lts/search.hpp"
#include "measurements.hpp"

namespace on_device {

/// The state that a run of the program saves for the next one.
struct State {
  std::map<std::string, Measured> measured;
  std::optional<lts::SearchState> search;  ///< absent: not started
};

/// The device that a state was measured on.
std::string this_device();

/// The state in a file; an empty one where there is no such file.
/// @throws lts::runner::Error when it cannot be read, is damaged, or belongs to another index or device.
State load_state(const std::string& path, const Index& index);

/// Writes a state so that the file is always whole, whenever the program or the machine dies.
/// @throws lts::runner::Error saying why it cannot be written.
void save_state(const std::string& path, const Index& index, const std::map<std::string, Measured>& measured,
                const lts::SearchState& search);

}  // namespace on_device
