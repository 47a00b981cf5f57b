#include "manifest.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "error.hpp"
#include "fields.hpp"
#include "tensor_file.hpp"

namespace lts::runner {

namespace {

constexpr std::int64_t kSchema = 1;
constexpr std::int64_t kGenerationSchema = 2;
constexpr std::int64_t kMaxTokens = std::int64_t{1} << 31U;
constexpr std::size_t kMaxDims = 16;
constexpr std::uint64_t kMaxBytes = std::uint64_t{64} << 20U;
constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();

struct DTypeRow {
  DType dtype;
  std::string_view name;
  std::size_t bytes;
};
constexpr std::array<DTypeRow, 7> kDTypes{{{DType::float32, "float32", 4},
                                           {DType::float16, "float16", 2},
                                           {DType::int64, "int64", 8},
                                           {DType::int32, "int32", 4},
                                           {DType::int8, "int8", 1},
                                           {DType::uint8, "uint8", 1},
                                           {DType::boolean, "bool", 1}}};

DType read_dtype(const Fields& fields) {
  const std::string name = fields.text("dtype");
  const auto* const row =
      std::find_if(kDTypes.begin(), kDTypes.end(), [&](const DTypeRow& known) { return known.name == name; });
  if (row == kDTypes.end()) fields.refuse("dtype", kDTypeNames);
  return row->dtype;
}

std::vector<TensorSpec> read_tensors(const Fields& fields, std::string_view key, const std::string& what) {
  std::vector<TensorSpec> tensors;
  for (const Json& json : fields.array(key)) {
    const std::string where = what + ": " + std::string(key) + "[" + std::to_string(tensors.size()) + "]";
    const Fields tensor(json, where);
    TensorSpec& spec = tensors.emplace_back();
    spec.name = tensor.text("name");
    spec.shape = tensor.integers("shape", 0, kMax);
    if (spec.shape.size() > kMaxDims) fail({where, " has more than ", std::to_string(kMaxDims), " dimensions"});
    spec.dtype = read_dtype(tensor);
    spec.file = tensor.text("file");
    spec.offset = tensor.has("offset") ? static_cast<std::uint64_t>(tensor.integer("offset", 0, kMax)) : 0;
    spec.bytes = tensor_bytes(spec.shape, spec.dtype, where);
  }
  return tensors;
}

Generation read_generation(const Fields& fields, const std::string& what) {
  Generation generation;
  generation.vocab_size = fields.integer("vocab_size", 1, kMaxTokens - 1);
  generation.n_positions = fields.integer("n_positions", 1, kMaxTokens - 1);
  generation.chunk = fields.integer("chunk", 1, kMaxTokens - 1);
  for (const Json& json : fields.array("caches")) {
    const std::string where = what + ": caches[" + std::to_string(generation.caches.size()) + "]";
    const Fields cache(json, where);
    TensorSpec& spec = generation.caches.emplace_back();
    spec.name = cache.text("name");
    spec.shape = cache.integers("shape", 1, kMax);
    if (spec.shape.size() > kMaxDims) fail({where, " has more than ", std::to_string(kMaxDims), " dimensions"});
    spec.bytes = tensor_bytes(spec.shape, spec.dtype, where);
  }
  generation.packed = fields.texts("packed");
  const Fields functions(fields.at("functions"), what + ": 'functions'");
  for (const char* const name : {"prefill", "decode", "head", "prepare"}) {
    generation.functions[name] = functions.texts(name);
  }
  return generation;
}

}  // namespace

std::string_view dtype_name(DType dtype) { return kDTypes[static_cast<std::size_t>(dtype)].name; }

std::size_t item_bytes(DType dtype) { return kDTypes[static_cast<std::size_t>(dtype)].bytes; }

std::uint64_t tensor_bytes(const std::vector<std::int64_t>& shape, DType dtype, std::string_view what) {
  // An empty tensor has no bytes, however large its other dimensions are.
  if (std::find(shape.begin(), shape.end(), 0) != shape.end()) return 0;
  std::uint64_t bytes = item_bytes(dtype);
  for (const auto size : shape) {
    if (__builtin_mul_overflow(bytes, static_cast<std::uint64_t>(size), &bytes) ||
        bytes > static_cast<std::uint64_t>(kMax)) {
      fail({what, " is larger than any memory"});
    }
  }
  return bytes;
}

Manifest parse_manifest(std::string_view text, std::string_view what_) {
  const std::string what(what_);
  const Json json = parse_json(text, what);
  const Fields fields(json, what);
  const std::int64_t schema = fields.integer("schema", 0, kMax);
  if (schema != kSchema && schema != kGenerationSchema) fields.refuse("schema", "1 or 2");
  Manifest manifest;
  manifest.phase = fields.text("phase");
  manifest.device = fields.text("device");
  manifest.tvm = fields.text("tvm");
  manifest.library = fields.text("library");
  manifest.weights = read_tensors(fields, "weights", what);
  if (schema == kGenerationSchema) {
    manifest.generation = read_generation(fields, what);
    return manifest;
  }
  manifest.function = fields.text("function");
  if (fields.has("prepare") && !fields.at("prepare").is_null()) manifest.prepare = fields.text("prepare");
  manifest.inputs = read_tensors(fields, "inputs", what);
  manifest.outputs = fields.texts("outputs");
  if (manifest.outputs.empty()) fields.refuse("outputs", "an array with a name or more");
  return manifest;
}

Manifest load_manifest(const std::string& path) {
  const MappedFile file(path);
  if (file.size() > kMaxBytes) fail({path, " is too large for a manifest"});
  return parse_manifest({reinterpret_cast<const char*>(file.data()), file.size()}, path);
}

}  // namespace lts::runner
