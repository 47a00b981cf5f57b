#include "lts_runner.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <exception>
#include <memory>
#include <new>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "generator.hpp"
#include "opening.hpp"
#include "runtime.hpp"

using lts::runner::Generator;

struct lts_runner {
  explicit lts_runner(Generator opened) : generator(std::move(opened)) {}

  Generator generator;
};

namespace {

// Text that needs no memory for being set, which may have run out.
thread_local std::array<char, 1024> last_error{};  // NOLINT(cppcoreguidelines-avoid-non-const-global-variables)

lts_runner_status failed(lts_runner_status status, const char* why) noexcept {
  std::strncpy(last_error.data(), why, last_error.size() - 1);
  return status;
}

lts_runner_status is_null(const char* what) noexcept {
  const std::string_view name(what);
  last_error.fill('\0');
  name.copy(last_error.data(), last_error.size() - 1);
  std::strncat(last_error.data(), " is NULL; it must not be", last_error.size() - name.size() - 1);
  return LTS_RUNNER_INVALID_ARGUMENT;
}

/// The status of a function, or of the exception that it throws.
template <class Function>
lts_runner_status guarded(lts_runner_status status, const Function& function) noexcept {
  try {
    function();
    return LTS_RUNNER_OK;
  } catch (const std::bad_alloc&) {
    return failed(LTS_RUNNER_OUT_OF_MEMORY, "out of memory");
  } catch (const std::exception& error) {
    return failed(status, error.what());
  } catch (...) {
    return failed(status, "it failed without a reason");
  }
}

/// A structure of the caller, which may be shorter or longer than ours, in our size.
template <class Structure>
std::optional<Structure> known_part(const Structure* given, Structure defaults) {
  if (given->struct_size < sizeof(std::size_t)) return std::nullopt;
  std::memcpy(&defaults, given, std::min(given->struct_size, sizeof defaults));
  return defaults;
}

}  // namespace

const char* lts_runner_last_error(void) noexcept { return last_error.data(); }

lts_runner_status lts_runner_open(const char* model, const lts_runner_options* options, lts_runner** out) noexcept {
  if (out == nullptr) return is_null("out");
  *out = nullptr;
  if (model == nullptr) return is_null("model");
  lts_runner_options chosen = LTS_RUNNER_OPTIONS_INIT;
  if (options != nullptr) {
    const auto known = known_part(options, chosen);
    if (!known) {
      return failed(LTS_RUNNER_INVALID_ARGUMENT, "struct_size of the options is not set; use LTS_RUNNER_OPTIONS_INIT");
    }
    chosen = *known;
  }
  constexpr std::int32_t most_threads = 1024;
  if (chosen.threads < 1 || chosen.threads > most_threads) {
    return failed(LTS_RUNNER_INVALID_ARGUMENT, "threads must be from 1 to 1024");
  }
  return guarded(LTS_RUNNER_NO_MODEL, [&] {
    const std::string folder = chosen.runtime == nullptr ? lts::runner::own_folder() : chosen.runtime;
    *out = std::make_unique<lts_runner>(lts::runner::open_generator(model, folder, chosen.threads)).release();
  });
}

lts_runner_status lts_runner_step(lts_runner* model, const int32_t* tokens, size_t n_tokens,
                                  const float** logits) noexcept {
  if (model == nullptr) return is_null("model");
  if (tokens == nullptr) return is_null("tokens");
  if (logits == nullptr) return is_null("logits");
  std::vector<std::int64_t> wide;
  const lts_runner_status status = guarded(LTS_RUNNER_INVALID_ARGUMENT, [&] {
    // More would not be in the vocabulary's positions anyway, and may be no memory of the caller's.
    const auto most = static_cast<std::size_t>(model->generator.n_positions()) + 1;
    wide.assign(tokens, tokens + std::min(n_tokens, most));
    model->generator.check_tokens(wide);
  });
  if (status != LTS_RUNNER_OK) return status;
  return guarded(LTS_RUNNER_FAILED, [&] { *logits = model->generator.step(wide).data(); });
}

lts_runner_status lts_runner_reset(lts_runner* model) noexcept { return lts_runner_rewind(model, 0); }

lts_runner_status lts_runner_rewind(lts_runner* model, int64_t length) noexcept {
  if (model == nullptr) return is_null("model");
  return guarded(LTS_RUNNER_INVALID_ARGUMENT, [&] { model->generator.rewind(length); });
}

lts_runner_status lts_runner_get_info(const lts_runner* model, lts_runner_info* info) noexcept {
  if (model == nullptr) return is_null("model");
  if (info == nullptr) return is_null("info");
  const std::size_t size = info->struct_size;
  if (size < sizeof(std::size_t)) {
    return failed(LTS_RUNNER_INVALID_ARGUMENT, "struct_size of the info is not set; use LTS_RUNNER_INFO_INIT");
  }
  const Generator& generator = model->generator;
  const lts_runner_info ours{size, generator.vocab_size(), generator.n_positions(), generator.length()};
  std::memcpy(info, &ours, std::min(size, sizeof ours));
  return LTS_RUNNER_OK;
}

void lts_runner_close(lts_runner* model) noexcept {
  if (model == nullptr) return;
  delete model;
  lts::runner::release_memory();
}
