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

/// Reads into `again` what `object` is written as, which must be written the same.
template <class Handle, lts_status (*destroy)(Handle*)>
void reread(lts_status (*from_json)(const char*, Handle**), lts_status (*to_json)(const Handle*, char**),
            const Handle* object, Owned<Handle, destroy>& again) {
  const auto write = [to_json](const Handle* handle) {
    return text_of([&](char** out) { return to_json(handle, out); }, "what was read can be written");
  };
  const std::string written = write(object);
  must(from_json(written.c_str(), again.out()), "what was written can be read");
  expect(write(again) == written, "what is read from it is written the same");
}

/// Reads an object, and it again from what it is written as. False when the text is none.
template <class Handle, lts_status (*destroy)(Handle*)>
bool read_twice(const std::uint8_t* data, std::size_t size, lts_status (*from_json)(const char*, Handle**),
                lts_status (*to_json)(const Handle*, char**), Owned<Handle, destroy>& object,
                Owned<Handle, destroy>& again) {
  const std::string json(reinterpret_cast<const char*>(data), size);
  if (!good(from_json(json.c_str(), object.out()))) return false;
  reread<Handle>(from_json, to_json, object, again);
  return true;
}

/// An architecture to be filled.
struct EmptyArchitecture : OwnedArchitecture {
  EmptyArchitecture() { must(lts_architecture_create(out()), "an architecture can be created"); }
};

/// Whether the architecture is in the space.
bool is_member(const lts_space* space, const lts_architecture* architecture);

/// A small architecture that is always the same.
const lts_architecture* sample_architecture();

/// Architectures that every layer, width and family of which is as large as can be.
const lts_architecture* largest_architecture();

}  // namespace lts::fuzz
