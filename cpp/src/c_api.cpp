#include "c_api.hpp"

#include <algorithm>
#include <array>
#include <stdexcept>

#include "lts/error.hpp"
#include "lts/random.hpp"

namespace lts::c_api {

namespace {

constexpr std::size_t kMaxMessage = 1024;
// Of fixed size, so that running out of memory can be reported, and a thread that ends leaves nothing behind.
// NOLINTNEXTLINE(cppcoreguidelines-avoid-non-const-global-variables): the interface has one message per thread
thread_local std::array<char, kMaxMessage> last_error{};

void set_error(const char* function, std::string_view sentence) noexcept {
  std::size_t n = 0;
  for (std::string_view part : {std::string_view(function), std::string_view(": "), sentence}) {
    const std::size_t room = last_error.size() - 1 - n;
    if (part.size() > room) {
      // Not in the middle of a character.
      std::size_t end = room;
      while (end > 0 && (static_cast<unsigned char>(part[end]) & 0xC0U) == 0x80U) --end;
      part = part.substr(0, end);
    }
    std::copy(part.begin(), part.end(), last_error.begin() + static_cast<std::ptrdiff_t>(n));
    n += part.size();
  }
  last_error[n] = '\0';
}

}  // namespace

void fail(lts_status status, std::initializer_list<std::string_view> parts) { throw Failure(status, sentence(parts)); }

lts_status status_of_exception(const char* function) noexcept {
  try {
    throw;
  } catch (const Failure& failure) {
    set_error(function, failure.what());
    return failure.status();
  } catch (const std::invalid_argument& error) {
    set_error(function, error.what());
    return LTS_INVALID_ARGUMENT;
  } catch (const std::bad_alloc&) {
    set_error(function, "out of memory");
    return LTS_OUT_OF_MEMORY;
  } catch (const std::length_error&) {
    set_error(function, "out of memory: more was asked for than can be addressed");
    return LTS_OUT_OF_MEMORY;
  } catch (const std::exception& error) {
    set_error(function, error.what());
    return LTS_INTERNAL_ERROR;
  } catch (...) {
    set_error(function, "an exception of an unknown kind; functions that are given to the library must not throw");
    return LTS_INTERNAL_ERROR;
  }
}

std::size_t array_size(std::size_t rows, std::size_t columns, const char* name) {
  if (columns > 0 && rows > static_cast<std::size_t>(PTRDIFF_MAX) / sizeof(double) / columns) {
    fail(LTS_INVALID_ARGUMENT, {"the size of ", name, " is beyond all memory"});
  }
  return rows * columns;
}

bool flag(std::int32_t value, const char* name) {
  if (value != 0 && value != 1)
    fail(LTS_INVALID_ARGUMENT, {name, " is ", std::to_string(value), "; it must be 0 or 1"});
  return value == 1;
}

void check(Found found, std::uintptr_t handle, Kind kind, const char* name) {
  if (found == Found::live) return;
  if (handle == 0) fail(LTS_INVALID_ARGUMENT, {name, " is NULL"});
  if (found == Found::busy) fail(LTS_BUSY, {name, " is in use by another call"});
  const Kind other = kind_in(handle);
  const Use use(handle, other, Access::shared);
  if (other != kind && use.found() == Found::live) {
    fail(LTS_INVALID_HANDLE, {name, " is ", name_of(other), "; expected ", name_of(kind)});
  }
  fail(LTS_INVALID_HANDLE, {name, " is not a live handle of ", name_of(kind), "; it was destroyed, or never was one"});
}

Filled::Filled(const lts_architecture* handle, const char* name) : Borrowed(handle, name) {
  if ((*this)->family == nullptr) {
    fail(LTS_INVALID_ARGUMENT, {name, " is empty; fill it first, for example by lts_space_sample"});
  }
}

void give_text(char** out, std::string_view text) {
  char* const copy = static_cast<char*>(::operator new(text.size() + 1));
  std::copy(text.begin(), text.end(), copy);
  copy[text.size()] = '\0';
  *out = copy;
}

}  // namespace lts::c_api

using namespace lts::c_api;  // NOLINT(google-build-using-namespace): what follows is not in a namespace

// NOLINTBEGIN(cppcoreguidelines-macro-usage): only macros make text of numbers before the program runs
#define LTS_TEXT_OF(x) #x
#define LTS_TEXT(x) LTS_TEXT_OF(x)
// NOLINTEND(cppcoreguidelines-macro-usage)

const char* lts_version() noexcept {
  return LTS_TEXT(LTS_VERSION_MAJOR) "." LTS_TEXT(LTS_VERSION_MINOR) "." LTS_TEXT(LTS_VERSION_PATCH);
}

const char* lts_last_error() noexcept { return last_error.data(); }

const char* lts_status_name(lts_status status) noexcept {
  switch (status) {
    case LTS_OK:
      return "LTS_OK";
    case LTS_EXHAUSTED:
      return "LTS_EXHAUSTED";
    case LTS_REPEATED:
      return "LTS_REPEATED";
    case LTS_STOPPED:
      return "LTS_STOPPED";
    case LTS_INVALID_ARGUMENT:
      return "LTS_INVALID_ARGUMENT";
    case LTS_INVALID_HANDLE:
      return "LTS_INVALID_HANDLE";
    case LTS_BUSY:
      return "LTS_BUSY";
    case LTS_OUT_OF_MEMORY:
      return "LTS_OUT_OF_MEMORY";
    case LTS_UNSUPPORTED:
      return "LTS_UNSUPPORTED";
    case LTS_INTERNAL_ERROR:
      return "LTS_INTERNAL_ERROR";
    default:
      return "unknown status";
  }
}

void lts_free_text(char* text) noexcept { ::operator delete(text); }

lts_status lts_random_seed(lts_random* random, uint64_t seed) noexcept {
  return guarded(__func__, [&] {
    const lts::Random generator(seed);
    std::copy(generator.state().begin(), generator.state().end(), &required(random, "random").state[0]);
  });
}
