#include "index.hpp"

#include <span>
#include <stdexcept>
#include <string_view>
#include <utility>

#include "lts/json.hpp"
#include "runner/error.hpp"
#include "runner/fields.hpp"
#include "runner/output.hpp"
#include "runner/tensor_file.hpp"

namespace on_device {

using lts::runner::fail;
using lts::runner::Fields;
using lts::runner::Json;

namespace {

constexpr std::int64_t kMaxThreads = 1024;

/// Calls a function of the core on a part of the file; its error says where that is.
template <class Function>
auto read(const std::string& where, const Function& function) {
  try {
    return function();
  } catch (const std::invalid_argument& error) {
    fail({where, ": ", error.what()});
  }
}

/// A path below the folder: a folder that was prepared elsewhere must not make the program load anything else.
std::string path_of(const Fields& fields, std::string_view key) {
  std::string path = fields.text(key);
  if (path.empty() || path.front() == '/' || path.find("..") != std::string::npos) {
    fields.refuse(key, "a path below the folder");
  }
  return path;
}

void read_model(const Json& json, const std::string& where, Index& index) {
  const Fields fields(json, where);
  fields.allow({"use", "model", "architecture"});
  Model model;
  model.path = path_of(fields, "model");
  const std::string architecture = fields.at("architecture").dump();
  model.architecture = read(where, [&] { return lts::architecture_from_json(architecture); });
  const std::string use = fields.text("use");
  if (use != "check" && !model.architecture.uniform()) fail({where, ": the layers of a '", use, "' must be equal"});
  if (use == "layer") {
    const Shape shape = shape_of(model.architecture, model.architecture.layers.front());
    index.layers.emplace(shape, std::move(model));
  } else if (use == "rest") {
    const auto d_model = model.architecture.d_model;
    index.rest.emplace(d_model, std::move(model));
  } else if (use == "check") {
    index.checks.push_back(std::move(model));
  } else {
    fields.refuse("use", "layer, rest or check");
  }
}

}  // namespace

Shape shape_of(const lts::Architecture& architecture, const lts::Layer& layer) {
  return {architecture.d_model, layer.n_head, layer.n_kv_head, layer.d_ff};
}

Index load_index(const std::string& folder) {
  Index index;
  index.folder = folder.ends_with('/') ? folder : folder + "/";
  const std::string path = index.folder + "shapes.json";
  const lts::runner::MappedFile file(path);
  const std::span bytes(file.data(), file.size());
  index.checksum = lts::runner::hexadecimal(lts::runner::crc32(bytes));
  const Json json = lts::runner::parse_json({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, path);
  const Fields fields(json, path);
  fields.allow({"schema", "triple", "tvm", "threads", "n_prompt", "weights", "space", "models"});
  if (fields.integer("schema", 0, INT64_MAX) != 1) fields.refuse("schema", "1");
  index.tvm = fields.text("tvm");
  index.threads = static_cast<int>(fields.integer("threads", 1, kMaxThreads));
  index.weights = path_of(fields, "weights");
  const std::string space = fields.at("space").dump();
  index.space = read(path + ": 'space'", [&] {
    return lts::SearchSpace(lts::search_space_from_json(space)).options();  // checked as a whole
  });
  std::size_t n = 0;
  for (const Json& model : fields.array("models")) {
    read_model(model, path + ": models[" + std::to_string(n++) + "]", index);
  }
  for (const auto& [d_model, model] : index.rest) {
    const auto found = index.layers.find(shape_of(model.architecture, model.architecture.layers.front()));
    if (found == index.layers.end() || found->second.architecture.n_layer() == model.architecture.n_layer()) {
      fail({path, ": ", model.path, " needs a 'layer' of the same shape with another number of layers"});
    }
  }
  return index;
}

}  // namespace on_device
