#pragma once

// What the fuzz targets share: calls of the C interface whose errors are checked, and handles that give themselves
// back.

#include <cstddef>
#include <cstdint>
#include <string>

#include "lts/lts.h"

namespace lts::fuzz {

/// Ends the program, so that libFuzzer keeps the input, unless the condition holds.
void expect(bool condition, const char* what);

/// Whether the call was good. One that fails must say why in UTF-8, and must not be a mistake of the library or ask for
/// memory without end.
bool good(lts_status status);

/// Ends the program unless the call succeeds.
void must(lts_status status, const char* what);

template <class Handle, lts_status (*destroy)(Handle*)>
class Owned {
 public:
  Owned() = default;
  Owned(const Owned&) = delete;
  Owned(Owned&&) = delete;
  Owned& operator=(const Owned&) = delete;
  Owned& operator=(Owned&&) = delete;
  ~Owned() { must(destroy(handle_), "a handle can be given back"); }
  Handle** out() { return &handle_; }
  operator Handle*() const { return handle_; }  // NOLINT(google-explicit-constructor): stands for the handle

 private:
  Handle* handle_ = nullptr;
};
using OwnedArchitecture = Owned<lts_architecture, lts_architecture_destroy>;
using OwnedSpace = Owned<lts_space, lts_space_destroy>;
using OwnedSearch = Owned<lts_search, lts_search_destroy>;
using OwnedSurrogate = Owned<lts_surrogate, lts_surrogate_destroy>;

/// The text that `get(char** out)` gives; empty when it gives none.
template <class Get>
std::string text_of(const Get& get, const char* what) {
  char* text = nullptr;
  must(get(&text), what);
  std::string copy = text == nullptr ? "" : text;
  lts_free_text(text);
  return copy;
}

/// A small architecture that is always the same.
const lts_architecture* sample_architecture();

/// Architectures that every layer, width and family of which is as large as can be.
const lts_architecture* largest_architecture();

}  // namespace lts::fuzz
