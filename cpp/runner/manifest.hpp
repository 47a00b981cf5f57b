#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace lts::runner {

enum class DType { float32, float16, int64, int32, int8, uint8, boolean };

/// Their names, for people.
inline constexpr std::string_view kDTypeNames = "float32, float16, int64, int32, int8, uint8 or bool";

std::string_view dtype_name(DType dtype);
std::size_t item_bytes(DType dtype);

/// A tensor in a file: little-endian, dense, row-major.
struct TensorSpec {
  std::string name;
  std::vector<std::int64_t> shape;
  DType dtype = DType::float32;
  std::string file;
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;  ///< size, which follows from shape and type
};

/// How a model that generates is called, see `Generator`.
struct Generation {
  std::int64_t vocab_size = 0;
  std::int64_t n_positions = 0;
  std::int64_t chunk = 0;           ///< tokens that `prefill` takes
  std::vector<TensorSpec> caches;   ///< float32, zero at first; in no file
  std::vector<std::string> packed;  ///< names of what `prepare` gives
  /// Names of the arguments of `prefill`, `decode`, `head` and `prepare`: inputs, caches, weights and packed weights.
  std::map<std::string, std::vector<std::string>> functions;
};

/// A compiled model, as its model.json describes it. One that generates has neither inputs nor outputs here.
struct Manifest {
  std::string phase;
  std::string device;
  std::string tvm;      ///< version of TVM that compiled it
  std::string library;  ///< file name
  std::string function;
  std::string prepare;  ///< empty when there is none
  std::vector<TensorSpec> inputs;
  std::vector<TensorSpec> weights;
  std::vector<std::string> outputs;
  std::optional<Generation> generation;
};

/// Number of items of a shape times their size. @throws Error naming `what` when that exceeds 63 bits.
std::uint64_t tensor_bytes(const std::vector<std::int64_t>& shape, DType dtype, std::string_view what);

/// @throws Error naming `what` for anything that is not a manifest of a schema that this program knows.
Manifest parse_manifest(std::string_view text, std::string_view what);

/// @throws Error when the file cannot be read or is not a manifest.
Manifest load_manifest(const std::string& path);

}  // namespace lts::runner
