#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <initializer_list>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "c_api_handle.hpp"
#include "lts/architecture.hpp"
#include "lts/archive.hpp"
#include "lts/lts.h"
#include "lts/search.hpp"
#include "lts/search_space.hpp"
#include "lts/surrogate.hpp"

// Private to the c_api*.cpp files: what every function of the C interface does with its arguments and its errors.
namespace lts::c_api {

/// What makes a function of the C interface fail with that status.
class Failure : public std::exception {
 public:
  Failure(lts_status status, std::string message) : status_(status), message_(std::move(message)) {}
  [[nodiscard]] lts_status status() const noexcept { return status_; }
  [[nodiscard]] const char* what() const noexcept override { return message_.c_str(); }

 private:
  lts_status status_;
  std::string message_;
};

/// @throws Failure with the parts joined.
[[noreturn]] void fail(lts_status status, std::initializer_list<std::string_view> parts);

/// The status for the exception that is being handled; its sentence becomes the last error of this thread.
lts_status status_of_exception(const char* function) noexcept;

/// Runs the body of a function of the C interface, which returns nothing or a status.
template <class Body>
lts_status guarded(const char* function, Body&& body) noexcept {
  try {
    if constexpr (std::is_void_v<decltype(body())>) {
      body();
      return LTS_OK;
    } else {
      return body();
    }
  } catch (...) {
    return status_of_exception(function);
  }
}

/// @throws Failure when the pointer is NULL.
template <class T>
T& required(T* pointer, const char* name) {
  if (pointer == nullptr) fail(LTS_INVALID_ARGUMENT, {name, " is NULL"});
  return *pointer;
}
inline std::string_view required_text(const char* text, const char* name) { return &required(text, name); }

/// An array that may be NULL when it is empty. @throws Failure
template <class T>
T* required_array(T* pointer, std::size_t size, const char* name) {
  if (size > 0) required(pointer, name);
  if (size >
      static_cast<std::size_t>(PTRDIFF_MAX) / sizeof(T)) {  // NOLINT(bugprone-sizeof-expression): may be a pointer
    fail(LTS_INVALID_ARGUMENT, {"the size of ", name, " is beyond all memory"});
  }
  return pointer;
}

/// Rows times columns. @throws Failure when there can be no such array.
std::size_t array_size(std::size_t rows, std::size_t columns, const char* name);

/// The caller's structure, which must have its size in this version. @throws Failure
template <class T>
T& checked_size(T* structure, const char* name) {
  if (required(structure, name).struct_size != sizeof(T)) {
    fail(LTS_INVALID_ARGUMENT,
         {name, ": struct_size is ", std::to_string(structure->struct_size), "; it must be ", std::to_string(sizeof(T)),
          ": begin with the macro _INIT of its type, in the header of this version"});
  }
  return *structure;
}

/// 0 or 1. @throws Failure
bool flag(std::int32_t value, const char* name);

// --- Handles ---

struct HeldSearch {
  Search search;
  bool out_of_memory = false;  ///< whether it ran out of memory in the middle of a change, and is unusable
  /// Whether it is being run. The run shares this flag, and can clear it even if the search is gone by then.
  std::shared_ptr<std::atomic<bool>> running = std::make_shared<std::atomic<bool>>(false);
};

/// The type and kind of object that a type of handles stands for.
template <class T, Kind k>
struct HeldAs {
  using Type = T;
  static constexpr Kind kind = k;
};
template <class Handle>
struct Held;
template <>
struct Held<lts_architecture> : HeldAs<Architecture, Kind::architecture> {};
template <>
struct Held<lts_space> : HeldAs<SearchSpace, Kind::space> {};
template <>
struct Held<lts_archive> : HeldAs<ParetoArchive, Kind::archive> {};
template <>
struct Held<lts_surrogate> : HeldAs<Surrogate, Kind::surrogate> {};
template <>
struct Held<lts_search> : HeldAs<HeldSearch, Kind::search> {};

/// @throws Failure saying what is wrong with a handle.
void check(Found found, std::uintptr_t handle, Kind kind, const char* name);

/// The object of a handle for the rest of the call: to read for a handle to const, else to change.
template <class Handle>
class Borrowed {
  using Plain = std::remove_const_t<Handle>;
  using Type =
      std::conditional_t<std::is_const_v<Handle>, const typename Held<Plain>::Type, typename Held<Plain>::Type>;

 public:
  /// @throws Failure
  Borrowed(Handle* handle, const char* name)
      : use_(reinterpret_cast<std::uintptr_t>(handle), Held<Plain>::kind,
             std::is_const_v<Handle> ? Access::shared : Access::exclusive) {
    check(use_.found(), reinterpret_cast<std::uintptr_t>(handle), Held<Plain>::kind, name);
  }
  Type& operator*() const noexcept { return *static_cast<Type*>(use_.object()); }
  Type* operator->() const noexcept { return &**this; }
  void release() noexcept { use_.release(); }

 private:
  Use use_;
};

/// An architecture that is not empty.
class Filled : public Borrowed<const lts_architecture> {
 public:
  /// @throws Failure
  Filled(const lts_architecture* handle, const char* name);
};

/// Fills an architecture in place. If memory runs out, it becomes empty rather than a mixture of two.
template <class Fill>
auto overwrite(lts_architecture* architecture, Fill&& fill) {
  const Borrowed<lts_architecture> out(architecture, "architecture");
  try {
    return fill(*out);
  } catch (const std::bad_alloc&) {
    out->family = nullptr;
    out->layers.clear();
    throw;
  }
}

/// Hands an object over to the caller. @throws Failure when there are too many.
template <class Handle>
void give(Handle** out, typename Held<Handle>::Type&& object) {
  auto owned = std::make_unique<typename Held<Handle>::Type>(std::move(object));
  const std::uintptr_t handle = insert(Held<Handle>::kind, owned.get());
  if (handle == 0) fail(LTS_OUT_OF_MEMORY, {"65,536 handles are live; destroy what is not needed any more"});
  static_cast<void>(owned.release());
  *out = reinterpret_cast<Handle*>(handle);  // NOLINT(performance-no-int-to-ptr): never followed
}

/// Runs the body of a function whose result is a handle or a text; the result is NULL if it fails.
template <class Out, class Body>
lts_status guarded_out(const char* function, Out** out, Body&& body) noexcept {
  return guarded(function, [&] {
    required(out, "out") = nullptr;
    body();
  });
}

/// A copy of the text for the caller to free.
void give_text(char** out, std::string_view text);

template <class Handle>
lts_status destroy(const char* function, Handle* handle) noexcept {
  if (handle == nullptr) return LTS_OK;
  return guarded(function, [&] {
    Borrowed<Handle> borrowed(handle, "the handle");
    const std::unique_ptr<typename Held<Handle>::Type> owned(&*borrowed);
    borrowed.release();
  });
}

}  // namespace lts::c_api
