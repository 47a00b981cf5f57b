#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "index.hpp"
#include "lts/architecture.hpp"

namespace on_device {

/// A model's time on this device.
struct Measured {
  double ms = 0;  ///< median
  std::int64_t runs = 0;
};

/// The exception for a model that could not be measured: exit code 3.
class NotMeasured : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

struct MeasureOptions {
  double min_time = 0.3;  ///< seconds of samples of a model
  std::vector<std::size_t> cpus;
};

/// Times of compiled models, each measured when it is first asked for, and of architectures as sums of these.
class Measurements {
 public:
  /// @param keep called before and after every measurement: it saves what is known, and may throw to stop
  Measurements(const Index& index, MeasureOptions options, std::map<std::string, Measured> known,
               std::function<void()> keep)
      : index_(index), options_(std::move(options)), known_(std::move(known)), keep_(std::move(keep)) {}

  /// Milliseconds of one model as a whole. @throws NotMeasured, and whatever `keep` throws.
  double whole(const Model& model);

  /// Milliseconds of an architecture: the sum over its layers and the rest, such as embedding and logits. Two models
  /// with n and m layers of one shape take Tn and Tm: such a layer takes (Tn - Tm) / (n - m), the rest Tn less n times
  /// that. The rest is the same for all shapes of a d_model, so one model of each other shape gives its layer's time.
  double sum(const lts::Architecture& architecture);

  [[nodiscard]] const std::map<std::string, Measured>& known() const { return known_; }

 private:
  double rest(std::int64_t d_model);

  const Index& index_;
  MeasureOptions options_;
  std::map<std::string, Measured> known_;
  std::function<void()> keep_;
  std::set<std::string> warned_;
};

}  // namespace on_device
