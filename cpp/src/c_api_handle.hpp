#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "lts/lts.h"

// Private to the c_api*.cpp files. A handle of the C interface is a number, not an address: the object's index in a
// table, its kind, and how many objects had that index before. So a stale or wrong handle is detected without touching
// memory that may be gone.
namespace lts::c_api {

enum class Kind : std::uint8_t { architecture = 1, space, archive, surrogate, search };

const char* name_of(Kind kind) noexcept;

enum class Access : std::uint8_t { shared, exclusive };

/// Result of looking up a handle.
enum class Found : std::uint8_t { live, busy, none };

/// The object of a handle, for one call: others may read it meanwhile if the access is shared, but not if exclusive.
class Use {
 public:
  /// Check `found` before `object`. It never waits: the second of two conflicting calls finds the object busy.
  Use(std::uintptr_t handle, Kind kind, Access access) noexcept;
  Use(Use&& other) noexcept
      : index_(other.index_), access_(other.access_), found_(std::exchange(other.found_, Found::none)) {}
  Use(const Use&) = delete;
  Use& operator=(const Use&) = delete;
  Use& operator=(Use&&) = delete;
  ~Use();

  [[nodiscard]] Found found() const noexcept { return found_; }
  [[nodiscard]] void* object() const noexcept;

  /// Ends the use and frees the place; the handle is stale from now on. Needs exclusive access.
  void release() noexcept;

 private:
  std::size_t index_;
  Access access_;
  Found found_ = Found::none;
};

/// The handle of a new object; 0 when the table is full.
std::uintptr_t insert(Kind kind, void* object) noexcept;

/// The kind encoded in the handle, whether it is live or not; not a valid kind if it is not a handle.
Kind kind_in(std::uintptr_t handle) noexcept;

}  // namespace lts::c_api
