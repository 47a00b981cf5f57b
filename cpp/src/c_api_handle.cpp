#include "c_api_handle.hpp"

#include <array>
#include <atomic>
#include <cstddef>
#include <limits>
#include <mutex>

namespace lts::c_api {

namespace {

// From the lowest bits: index, kind, generation.
constexpr unsigned kIndexBits = 16;
constexpr unsigned kKindBits = 3;
constexpr std::size_t kSlots = std::size_t{1} << kIndexBits;
constexpr std::uintptr_t kGenerations = std::numeric_limits<std::uintptr_t>::max() >> (kIndexBits + kKindBits);

// Free slots kept in reserve; the oldest is reused first, so stale handles stay detectable for long.
constexpr std::size_t kFallow = 1024;

constexpr std::int32_t kExclusive = -1;

struct Slot {
  std::atomic<std::uintptr_t> handle;  ///< handle of the object in this slot; 0 when there is none
  std::atomic<std::int32_t> users;     ///< number of calls that read it; kExclusive: one call may change it
  void* object = nullptr;
  std::uintptr_t generation = 0;
  std::size_t next_free = 0;  ///< index of another free slot + 1; 0 at the end
};

// Zero until used, so it takes no room in the library's file, and only the slots ever used take memory.
// NOLINTBEGIN(cppcoreguidelines-avoid-non-const-global-variables): handles are the process's
std::array<Slot, kSlots> slots;
std::mutex mutex;  // guards the variables below
std::size_t first_free = 0;
std::size_t last_free = 0;
std::size_t n_free = 0;
std::size_t n_ever_used = 0;
// NOLINTEND(cppcoreguidelines-avoid-non-const-global-variables)

constexpr std::size_t index_in(std::uintptr_t handle) { return handle & (kSlots - 1); }

bool enter(Slot& slot, Access access) noexcept {
  std::int32_t users = 0;
  if (access == Access::exclusive) return slot.users.compare_exchange_strong(users, kExclusive);
  users = slot.users.load();
  while (users != kExclusive) {
    if (slot.users.compare_exchange_weak(users, users + 1)) return true;
  }
  return false;
}

void leave(Slot& slot, Access access) noexcept {
  if (access == Access::exclusive) {
    slot.users.store(0);
  } else {
    slot.users.fetch_sub(1);
  }
}

}  // namespace

const char* name_of(Kind kind) noexcept {
  switch (kind) {
    case Kind::architecture:
      return "an architecture";
    case Kind::space:
      return "a search space";
    case Kind::archive:
      return "an archive";
    case Kind::surrogate:
      return "a surrogate";
    case Kind::search:
      return "a search";
  }
  return "none";
}

Kind kind_in(std::uintptr_t handle) noexcept {
  return static_cast<Kind>((handle >> kIndexBits) & ((1U << kKindBits) - 1));
}

Use::Use(std::uintptr_t handle, Kind kind, Access access) noexcept : index_(index_in(handle)), access_(access) {
  Slot& slot = slots[index_];
  if (handle == 0 || kind_in(handle) != kind || slot.handle.load() != handle) return;
  if (!enter(slot, access)) {
    found_ = Found::busy;
    return;
  }
  // The object may have been destroyed before we entered; from now on it cannot be.
  if (slot.handle.load() == handle) {
    found_ = Found::live;
  } else {
    leave(slot, access);
  }
}

Use::~Use() {
  if (found_ == Found::live) leave(slots[index_], access_);
}

void* Use::object() const noexcept { return slots[index_].object; }

void Use::release() noexcept {
  Slot& slot = slots[index_];
  found_ = Found::none;
  slot.object = nullptr;
  slot.handle.store(0);
  leave(slot, access_);
  const std::lock_guard lock(mutex);
  slot.next_free = 0;
  (n_free == 0 ? first_free : slots[last_free - 1].next_free) = index_ + 1;
  last_free = index_ + 1;
  ++n_free;
}

std::uintptr_t insert(Kind kind, void* object) noexcept {
  const std::lock_guard lock(mutex);
  std::size_t index = 0;
  if (n_ever_used < kSlots && n_free < kFallow) {
    index = n_ever_used++;
  } else if (n_free > 0) {
    index = first_free - 1;
    first_free = slots[index].next_free;
    --n_free;
  } else {
    return 0;
  }
  Slot& slot = slots[index];
  slot.generation = slot.generation % kGenerations + 1;
  slot.object = object;
  const std::uintptr_t handle = (slot.generation << (kIndexBits + kKindBits)) |
                                (static_cast<std::uintptr_t>(kind) << kIndexBits) | static_cast<std::uintptr_t>(index);
  slot.handle.store(handle);
  return handle;
}

}  // namespace lts::c_api
