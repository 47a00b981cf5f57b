#include "measurements.hpp"

#include <algorithm>
#include <iostream>
#include <new>

#include "runner/error.hpp"
#include "runner/run.hpp"

namespace on_device {

namespace {

double median_ms(std::vector<std::int64_t> samples_ns) {
  std::sort(samples_ns.begin(), samples_ns.end());
  const auto n = samples_ns.size();
  return static_cast<double>(samples_ns[(n - 1) / 2] + samples_ns[n / 2]) / 2e6;
}

}  // namespace

double Measurements::whole(const Model& model) {
  if (const auto found = known_.find(model.path); found != known_.end()) return found->second.ms;
  keep_();
  lts::runner::Request request;
  request.run = index_.folder + model.path;
  request.files[index_.weights] = index_.folder + index_.weights;
  request.cpus = options_.cpus;
  request.sampling.threads = index_.threads;
  request.sampling.min_time = options_.min_time;
  lts::runner::Result result;
  try {
    result = lts::runner::run(request, index_.folder, index_.tvm);
  } catch (const lts::runner::Error& error) {
    throw NotMeasured(error.what());
  } catch (const std::bad_alloc&) {
    throw NotMeasured(request.run + " needs more memory than there is");
  }
  for (const auto& warning : result.warnings) {
    if (warned_.insert(warning).second) std::cerr << "warning: " << warning << '\n';
  }
  const Measured measured{.ms = median_ms(result.timing.samples_ns),
                          .runs = static_cast<std::int64_t>(result.timing.samples_ns.size())};
  known_[model.path] = measured;
  std::cerr << "measured " << model.path << ": " << measured.ms << " ms, median of " << measured.runs << " runs\n";
  keep_();
  return measured.ms;
}

double Measurements::rest(std::int64_t d_model) {
  const auto found = index_.rest.find(d_model);
  if (found == index_.rest.end()) {
    lts::runner::fail(
        {"shapes.json has no 'rest' with d_model ", std::to_string(d_model), ": prepare the folder again"});
  }
  const auto& architecture = found->second.architecture;
  const Model& same = index_.layers.at(shape_of(architecture, architecture.layers.front()));
  const auto n = static_cast<double>(same.architecture.n_layer());
  const auto m = static_cast<double>(architecture.n_layer());
  const double ms = whole(same);
  return ms - n * (ms - whole(found->second)) / (n - m);
}

double Measurements::sum(const lts::Architecture& architecture) {
  const double rest_ms = rest(architecture.d_model);
  double ms = rest_ms;
  for (const auto& layer : architecture.layers) {
    const Shape shape = shape_of(architecture, layer);
    const auto found = index_.layers.find(shape);
    if (found == index_.layers.end()) {
      lts::runner::fail({"shapes.json has no layer with d_model ", std::to_string(shape.d_model), ", n_head ",
                         std::to_string(shape.n_head), ", n_kv_head ", std::to_string(shape.n_kv_head), ", d_ff ",
                         std::to_string(shape.d_ff), ": prepare the folder again"});
    }
    const Model& model = found->second;
    ms += (whole(model) - rest_ms) / static_cast<double>(model.architecture.n_layer());
  }
  return ms;
}

}  // namespace on_device
