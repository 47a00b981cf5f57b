// lts_set_allocator and, in the shared library, `operator new` and `operator delete` that use the allocator it sets.
// They are not exported, so they serve this library alone. All of its own allocations come here; exceptions get their
// memory from the C++ library.

#include <atomic>
#include <cstdlib>
#include <new>

#include "c_api.hpp"

using namespace lts::c_api;  // NOLINT(google-build-using-namespace): what follows is not in a namespace

#ifdef LTS_OWN_ALLOCATOR

namespace {

// NOLINTBEGIN(cppcoreguidelines-no-malloc): what `new` is made of
void* allocate_by_default(void* /*user*/, std::size_t size, std::size_t alignment) {
  if (alignment <= __STDCPP_DEFAULT_NEW_ALIGNMENT__) return std::malloc(size);
  return std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
}

void deallocate_by_default(void* /*user*/, void* memory) { std::free(memory); }
// NOLINTEND(cppcoreguidelines-no-malloc)

constexpr lts_allocator kDefault{sizeof(lts_allocator), allocate_by_default, deallocate_by_default, nullptr};

// NOLINTBEGIN(cppcoreguidelines-avoid-non-const-global-variables): there is one operator new
lts_allocator current = kDefault;
std::atomic<std::size_t> n_live{0};
// NOLINTEND(cppcoreguidelines-avoid-non-const-global-variables)

void* allocate_or_null(std::size_t size, std::size_t alignment) noexcept {
  void* const memory = current.allocate(current.user, size == 0 ? 1 : size, alignment);
  if (memory != nullptr) n_live.fetch_add(1, std::memory_order_relaxed);
  return memory;
}

void* allocate(std::size_t size, std::size_t alignment) {
  void* const memory = allocate_or_null(size, alignment);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

void deallocate(void* memory) noexcept {
  if (memory == nullptr) return;
  n_live.fetch_sub(1, std::memory_order_relaxed);
  current.deallocate(current.user, memory);
}

constexpr std::size_t kPlain = __STDCPP_DEFAULT_NEW_ALIGNMENT__;
constexpr std::size_t bytes(std::align_val_t alignment) { return static_cast<std::size_t>(alignment); }

}  // namespace

void* operator new(std::size_t size) { return allocate(size, kPlain); }
void* operator new[](std::size_t size) { return allocate(size, kPlain); }
void* operator new(std::size_t size, std::align_val_t alignment) { return allocate(size, bytes(alignment)); }
void* operator new[](std::size_t size, std::align_val_t alignment) { return allocate(size, bytes(alignment)); }
void* operator new(std::size_t size, const std::nothrow_t&) noexcept { return allocate_or_null(size, kPlain); }
void* operator new[](std::size_t size, const std::nothrow_t&) noexcept { return allocate_or_null(size, kPlain); }
void* operator new(std::size_t size, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  return allocate_or_null(size, bytes(alignment));
}
void* operator new[](std::size_t size, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  return allocate_or_null(size, bytes(alignment));
}
void operator delete(void* memory) noexcept { deallocate(memory); }
void operator delete[](void* memory) noexcept { deallocate(memory); }
void operator delete(void* memory, std::size_t) noexcept { deallocate(memory); }
void operator delete[](void* memory, std::size_t) noexcept { deallocate(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { deallocate(memory); }
void operator delete[](void* memory, std::align_val_t) noexcept { deallocate(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { deallocate(memory); }
void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept { deallocate(memory); }
void operator delete(void* memory, const std::nothrow_t&) noexcept { deallocate(memory); }
void operator delete[](void* memory, const std::nothrow_t&) noexcept { deallocate(memory); }
void operator delete(void* memory, std::align_val_t, const std::nothrow_t&) noexcept { deallocate(memory); }
void operator delete[](void* memory, std::align_val_t, const std::nothrow_t&) noexcept { deallocate(memory); }

lts_status lts_set_allocator(const lts_allocator* allocator) noexcept {
  return guarded(__func__, [&] {
    if (allocator != nullptr) {
      checked_size(allocator, "allocator");
      if (allocator->allocate == nullptr) fail(LTS_INVALID_ARGUMENT, {"allocator: allocate is NULL"});
      if (allocator->deallocate == nullptr) fail(LTS_INVALID_ARGUMENT, {"allocator: deallocate is NULL"});
    }
    if (n_live.load() != 0) {
      fail(LTS_BUSY, {"the library holds memory; destroy all handles and free all texts before"});
    }
    current = allocator != nullptr ? *allocator : kDefault;
  });
}

#else

lts_status lts_set_allocator(const lts_allocator* /*allocator*/) noexcept {
  return guarded(__func__, [] {
    fail(LTS_UNSUPPORTED, {"this is the static library, which uses the operator new of the program: replace that"});
  });
}

#endif
