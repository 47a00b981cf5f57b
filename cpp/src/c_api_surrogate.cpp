#include <string>
#include <vector>

#include "c_api.hpp"
#include "lts/json.hpp"
#include "lts/pooled.hpp"

using namespace lts::c_api;  // NOLINT(google-build-using-namespace): what follows is not in a namespace

namespace {

lts::SurrogateOptions options_of(const lts_surrogate_options* options) {
  if (options == nullptr) return {};
  checked_size(options, "options");
  const double* const prior = required_array(options->prior, options->n_prior, "options: prior");
  return {.pairwise = flag(options->pairwise, "options: pairwise"),
          .level = options->level,
          .prior = std::vector<double>(prior, prior + options->n_prior)};
}

/// Samples `first` to `first + n` of the arrays.
std::vector<lts::CostSample> samples_of(const lts_architecture* const* architectures, const double* values,
                                        const double* noise, size_t first, size_t n) {
  std::vector<lts::CostSample> samples;
  for (size_t i = first; i < first + n; ++i) {
    const Filled filled(architectures[i], ("architecture " + std::to_string(i)).c_str());
    samples.push_back({*filled, values[i], noise != nullptr ? noise[i] : 0.0});
  }
  return samples;
}

/// Results that are destroyed again unless all of them could be given.
class Given {
 public:
  void give(lts_surrogate** out, lts::Surrogate&& surrogate) {
    handles_.reserve(handles_.size() + 1);
    lts::c_api::give(out, std::move(surrogate));
    handles_.push_back(out);
  }
  void keep() noexcept { handles_.clear(); }
  Given() = default;
  Given(const Given&) = delete;
  Given& operator=(const Given&) = delete;
  ~Given() {
    for (lts_surrogate** out : handles_) {
      static_cast<void>(lts_surrogate_destroy(*out));
      *out = nullptr;
    }
  }

 private:
  std::vector<lts_surrogate**> handles_;
};

}  // namespace

lts_status lts_surrogate_fit(const lts_architecture* const* architectures, const double* values, const double* noise,
                             size_t n, const lts_surrogate_options* options, lts_surrogate** out) noexcept {
  return guarded_out(__func__, out, [&] {
    required_array(architectures, n, "architectures");
    required_array(values, n, "values");
    const lts::SurrogateOptions checked = options_of(options);
    std::vector<lts::CostSample> samples;
    for (std::size_t i = 0; i < n; ++i) {
      const Filled filled(architectures[i], ("architecture " + std::to_string(i)).c_str());
      samples.push_back({*filled, values[i], noise != nullptr ? noise[i] : 0.0});
    }
    give(out, lts::Surrogate::fit(samples, checked));
  });
}

lts_status lts_surrogate_destroy(lts_surrogate* surrogate) noexcept { return destroy(__func__, surrogate); }

lts_status lts_surrogate_from_json(const char* json, lts_surrogate** out) noexcept {
  return guarded_out(__func__, out,
                     [&] { give(out, lts::Surrogate(lts::surrogate_from_json(required_text(json, "json")))); });
}

lts_status lts_surrogate_to_json(const lts_surrogate* surrogate, char** out) noexcept {
  return guarded_out(__func__, out, [&] {
    const Borrowed<const lts_surrogate> borrowed(surrogate, "surrogate");
    give_text(out, lts::to_json(borrowed->state()));
  });
}

lts_status lts_surrogate_get_quality(const lts_surrogate* surrogate, lts_surrogate_quality* quality) noexcept {
  return guarded(__func__, [&] {
    checked_size(quality, "quality");
    const Borrowed<const lts_surrogate> borrowed(surrogate, "surrogate");
    const lts::Surrogate::State& state = borrowed->state();
    quality->n_samples = state.n_samples;
    quality->error = state.error;
    quality->error_max = state.error_max;
  });
}

lts_status lts_surrogate_predict(const lts_surrogate* surrogate, const lts_architecture* architecture,
                                 double* value) noexcept {
  return guarded(__func__, [&] {
    required(value, "value");
    const Borrowed<const lts_surrogate> borrowed(surrogate, "surrogate");
    const Filled filled(architecture, "architecture");
    *value = borrowed->predict(*filled);
  });
}

lts_status lts_surrogate_interval(const lts_surrogate* surrogate, const lts_architecture* architecture, double* value,
                                  double* low, double* high) noexcept {
  return guarded(__func__, [&] {
    required(value, "value");
    const Borrowed<const lts_surrogate> borrowed(surrogate, "surrogate");
    const Filled filled(architecture, "architecture");
    const lts::Prediction prediction = borrowed->interval(*filled);
    *value = prediction.value;
    if (low != nullptr) *low = prediction.low;
    if (high != nullptr) *high = prediction.high;
  });
}

lts_status lts_surrogate_scaled(const lts_surrogate* surrogate, double factor, lts_surrogate** out) noexcept {
  return guarded_out(__func__, out, [&] {
    const Borrowed<const lts_surrogate> borrowed(surrogate, "surrogate");
    give(out, lts::scaled(*borrowed, factor));
  });
}

lts_status lts_surrogate_fit_pooled(const lts_architecture* const* architectures, const double* values,
                                    const double* noise, const size_t* n, size_t n_devices, double level,
                                    lts_surrogate** out, lts_surrogate** unmeasured, double* errors) noexcept {
  return guarded(__func__, [&] {
    if (unmeasured != nullptr) *unmeasured = nullptr;
    required_array(out, n_devices, "out");
    for (size_t d = 0; d < n_devices; ++d) out[d] = nullptr;
    required_array(n, n_devices, "n");
    std::vector<std::vector<lts::CostSample>> devices;
    size_t first = 0;
    for (size_t d = 0; d < n_devices; ++d) {
      if (n[d] > SIZE_MAX - first) fail(LTS_INVALID_ARGUMENT, {"the sum of n is beyond all memory"});
      required_array(architectures, first + n[d], "architectures");
      required_array(values, first + n[d], "values");
      devices.push_back(samples_of(architectures, values, noise, first, n[d]));
      first += n[d];
    }
    lts::Pooled pooled = lts::fit_pooled(devices, level);
    Given given;
    for (size_t d = 0; d < n_devices; ++d) {
      if (errors != nullptr) errors[d] = pooled.devices[d].error_from_others;
      given.give(&out[d], std::move(pooled.devices[d].surrogate));
    }
    if (unmeasured != nullptr) given.give(unmeasured, std::move(pooled.unmeasured));
    given.keep();
  });
}
