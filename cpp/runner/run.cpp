#include "run.hpp"

#include <sched.h>

#include <cstdlib>
#include <optional>
#include <utility>
#include <vector>

#include "error.hpp"
#include "manifest.hpp"
#include "output.hpp"
#include "peak_memory.hpp"
#include "runtime.hpp"
#include "tensor_file.hpp"

namespace lts::runner {

namespace {

/// The processors and threads with which this process runs models, fixed by the first one.
struct Processors {
  std::vector<std::size_t> cpus;
  int threads = 1;
  bool pinned = true;
};
std::optional<Processors> processors;  // NOLINT(cppcoreguidelines-avoid-non-const-global-variables): the process's

/// Pins this process, and tells TVM how many threads to start, which it reads when it is loaded.
void set_processors(const Request& request) {
  Processors wanted{.cpus = request.cpus, .threads = request.sampling.threads};
  if (!wanted.cpus.empty()) {
    cpu_set_t set;
    CPU_ZERO(&set);
    for (const auto cpu : wanted.cpus) CPU_SET(cpu, &set);
    wanted.pinned = sched_setaffinity(0, sizeof set, &set) == 0;
  }
  const std::string threads = std::to_string(wanted.threads);
  setenv("TVM_NUM_THREADS", threads.c_str(), 1);
  setenv("OMP_NUM_THREADS", threads.c_str(), 1);
  setenv("TVM_BIND_THREADS", "0", 1);  // TVM would pin threads to processors that are not ours
  processors = std::move(wanted);
}

void use_processors(const Request& request, std::vector<std::string>& warnings) {
  if (!processors) set_processors(request);
  if (processors->threads != request.sampling.threads) {
    fail({"this process runs models with 'threads' = ", std::to_string(processors->threads), ", not ",
          std::to_string(request.sampling.threads), ": use another process"});
  }
  if (processors->cpus != request.cpus) {
    fail({"this process runs models on other processors than the 'cpus' of the request: use another process"});
  }
  // The process may have lost the chosen processors since; then the model runs on those that are allowed.
  if (!processors->pinned) {
    warnings.emplace_back("the process cannot be pinned to the processors that were asked for");
  }
}

/// Releases the memory of a model when it is gone; otherwise the peak of the next one would be too low.
struct Cleanup {
  Cleanup() = default;
  Cleanup(const Cleanup&) = delete;
  Cleanup& operator=(const Cleanup&) = delete;
  ~Cleanup() { release_memory(); }
};

/// A function of the model with its arguments.
struct Call {
  Object function;
  std::vector<Object> arguments;
};

std::vector<void*> handles(const std::vector<Object>& objects) {
  std::vector<void*> result;
  result.reserve(objects.size());
  for (const auto& object : objects) result.push_back(object.get());
  return result;
}

void load_tensors(TensorFiles& files, const std::vector<TensorSpec>& specs, std::vector<Object>& out) {
  for (const auto& spec : specs) out.push_back(make_tensor(spec, files.load(spec)));
}

Call load(const Manifest& manifest, TensorFiles& files) {
  const Object model = load_model(files.path(manifest.library));
  Call main;
  main.function = find_function(model, manifest.function);
  load_tensors(files, manifest.inputs, main.arguments);
  if (manifest.prepare.empty()) {
    load_tensors(files, manifest.weights, main.arguments);
    return main;
  }
  std::vector<Object> weights;
  load_tensors(files, manifest.weights, weights);
  const Object prepare = find_function(model, manifest.prepare);
  for (Object& packed : items_of(call(prepare, handles(weights)))) {
    main.arguments.push_back(std::move(packed));
  }
  // Weights that are used unpacked are mapped again when they are read; the others are no longer needed.
  files.drop();
  return main;
}

/// Checks the outputs of the first run.
void check(const Request& request, const Manifest& manifest, const std::vector<Output>& outputs, Result& result) {
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    if (!is_finite(outputs[i])) {
      fail({"the output '", manifest.outputs[i], "' of ", manifest.phase, " is not finite"});
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
  use_processors(request, result.warnings);
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
  const Call main = load(manifest, files);
  const double loaded = now();
  const std::vector<void*> arguments = handles(main.arguments);
  {
    const auto tensors = items_of(call(main.function, arguments));
    if (tensors.size() != manifest.outputs.size()) {
      fail({"the model gives ", std::to_string(tensors.size()), " outputs; its manifest names ",
            std::to_string(manifest.outputs.size())});
    }
    std::vector<Output> outputs;
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      outputs.push_back(view_of(tensors[i], "the output '" + manifest.outputs[i] + "'"));
    }
    check(request, manifest, outputs, result);
  }
  result.timing = time_runs([&] { static_cast<void>(call(main.function, arguments)); }, request.sampling);
  result.warnings.insert(result.warnings.end(), result.timing.warnings.begin(), result.timing.warnings.end());
  result.peak_memory_mib = memory.mib(result.warnings);
  result.load_seconds = loaded - start;
  result.run_seconds = now() - loaded;
  return result;
}

}  // namespace lts::runner
