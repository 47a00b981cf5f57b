#include "run.hpp"

#include <functional>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "error.hpp"
#include "generator.hpp"
#include "manifest.hpp"
#include "output.hpp"
#include "peak_memory.hpp"
#include "processors.hpp"
#include "runtime.hpp"
#include "tensor_file.hpp"

namespace lts::runner {

namespace {

/// Releases the memory of a model when it is gone; otherwise the peak of the next one would be too low.
struct Cleanup {
  Cleanup() = default;
  Cleanup(const Cleanup&) = delete;
  Cleanup& operator=(const Cleanup&) = delete;
  ~Cleanup() { release_memory(); }
};

/// What a model has given, and what that refers to.
struct Outputs {
  std::vector<Object> tensors;
  std::vector<Output> views;
};

/// A loaded model: what is timed is a call of it.
using Model = std::function<Outputs()>;

/// A model of fixed sizes.
Model load_fixed(const Manifest& manifest, TensorFiles& files) {
  const Object library = load_model(files.path(manifest.library));
  // Shared, because a function that can be copied is wanted.
  auto function = std::make_shared<Object>(find_function(library, manifest.function));
  auto arguments = std::make_shared<std::vector<Object>>(load_tensors(files, manifest.inputs));
  std::vector<Object> weights = load_tensors(files, manifest.weights);
  if (!manifest.prepare.empty()) {
    weights = items_of(call(find_function(library, manifest.prepare), handles(weights)));
    // Weights that are used unpacked are mapped again when they are read; the others are no longer needed.
    files.drop();
  }
  for (Object& weight : weights) arguments->push_back(std::move(weight));
  return [=, &manifest] {
    Outputs outputs;
    outputs.tensors = items_of(call(*function, handles(*arguments)));
    if (outputs.tensors.size() != manifest.outputs.size()) {
      fail({"the model gives ", std::to_string(outputs.tensors.size()), " outputs; its manifest names ",
            std::to_string(manifest.outputs.size())});
    }
    for (std::size_t i = 0; i < outputs.tensors.size(); ++i) {
      outputs.views.push_back(view_of(outputs.tensors[i], "the output '" + manifest.outputs[i] + "'"));
    }
    return outputs;
  };
}

/// Tokens behind those that the cache has, of a model that generates; the latter are run here.
Model load_generator(const Request& request, const Manifest& manifest, TensorFiles& files) {
  if (request.tokens.empty()) fail({request.run, " generates: the request must have 'tokens'"});
  auto generator = std::make_shared<Generator>(manifest, files);
  const std::span<const std::int64_t> tokens(request.tokens);
  const auto past = static_cast<std::size_t>(request.past);
  if (past >= tokens.size()) fail({"'past' must be below the number of 'tokens', ", std::to_string(tokens.size())});
  if (past > 0) generator->step(tokens.first(past));
  return [=] {
    generator->rewind(static_cast<std::int64_t>(past));
    const std::span<const float> logits = generator->step(tokens.subspan(past));
    Outputs outputs;
    outputs.views.push_back({.dtype = DType::float32,
                             .shape = {1, static_cast<std::int64_t>(logits.size())},
                             .bytes = std::as_bytes(logits)});
    return outputs;
  };
}

/// Checks the outputs of the first run.
void check(const Request& request, const Manifest& manifest, const std::vector<Output>& outputs, Result& result) {
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    if (!is_finite(outputs[i])) {
      const std::string name = manifest.generation ? "logits" : manifest.outputs[i];
      fail({"the output '", name, "' of ", manifest.phase, " is not finite"});
    }
  }
  const Output& logits = outputs.front();
  result.checksum = hexadecimal(crc32(logits.bytes));
  result.rms = root_mean_square(logits);
  if (request.expected) {
    result.output_error = output_error(logits, request.expected->file);
    result.correct = *result.output_error <= request.expected->tolerance;
  }
  if (!request.checksum.empty()) result.correct = result.correct.value_or(true) && result.checksum == request.checksum;
  if (!request.save.empty()) save(logits, request.save);
}

}  // namespace

Result run(const Request& request, const std::string& folder, std::string_view tvm) {
  Result result;
  use_processors(request.cpus, request.sampling.threads, result.warnings);
  const Manifest manifest = load_manifest(request.run);
  if (manifest.device != "cpu") {
    fail({request.run, " is compiled for the device '", one_line(manifest.device), "'; expected 'cpu'"});
  }
  if (manifest.tvm != tvm) {
    result.warnings.push_back("the model was compiled by TVM " + one_line(manifest.tvm) + "; it runs with " +
                              std::string(tvm));
  }
  TensorFiles files(request.run.substr(0, request.run.rfind('/') + 1), request.files);
  load_runtime(folder);

  const Cleanup cleanup;
  const PeakMemory memory;
  const double start = now();
  const Model model = manifest.generation ? load_generator(request, manifest, files) : load_fixed(manifest, files);
  const double loaded = now();
  check(request, manifest, model().views, result);
  result.timing = time_runs([&] { static_cast<void>(model()); }, request.sampling);
  result.warnings.insert(result.warnings.end(), result.timing.warnings.begin(), result.timing.warnings.end());
  result.peak_memory_mib = memory.mib(result.warnings);
  result.load_seconds = loaded - start;
  result.run_seconds = now() - loaded;
  return result;
}

}  // namespace lts::runner
