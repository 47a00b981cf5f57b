#pragma once

#include "fuzz.hpp"

namespace lts::fuzz {

/// Saves, restores and saves again, which must give the same bytes.
void check_saved(const lts_search* search);

/// Asks for up to `n` candidates, tells most of them values or that they failed, and looks at all there is to see.
/// Searches that are told to breed a million children do as they are told; those are left alone.
void play(lts_search* search, int n);

}  // namespace lts::fuzz
