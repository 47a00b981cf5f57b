#include "layers.hpp"

#include <lts/error.hpp>
#include <optional>
#include <string>

#include "convert.hpp"

namespace py = pybind11;

namespace lts::python {

namespace {

/// Mixers as numbers, from one name or a sequence of them.
std::vector<std::int64_t> to_mixers(py::handle given) {
  std::vector<std::int64_t> values;
  const auto add = [&values](py::handle name) {
    if (!py::isinstance<py::str>(name)) throw py::type_error("mixer must be text, or a sequence of it");
    values.push_back(static_cast<std::int64_t>(lts::mixer(name.cast<std::string>())));
  };
  if (is_sequence(given)) {
    for (const py::handle name : given) add(name);
  } else {
    add(given);
  }
  return values;
}

}  // namespace

PerLayer::PerLayer(std::string_view name_, py::handle given) : name(name_), scalar(!is_sequence(given)) {
  if (name == "mixer") {
    values = to_mixers(given);
  } else if (scalar) {
    values = {to_int64(given, name)};
  } else {
    values = to_int64s(given, name);
  }
}

std::vector<Layer> make_layers(py::handle n_layer, const PerLayer& n_head, const PerLayer& n_kv_head,
                               const PerLayer& d_ff, const PerLayer& mixer, const PerLayer& n_ff) {
  std::optional<std::int64_t> depth;
  std::string source = "n_layer";
  if (!n_layer.is_none()) depth = to_int64(n_layer, "n_layer");
  if (depth && (*depth < 1 || *depth > max_layers)) {
    throw_invalid({"n_layer is ", std::to_string(*depth), "; it must be from 1 to ", std::to_string(max_layers)});
  }
  for (const PerLayer* p : {&n_head, &n_kv_head, &d_ff, &mixer, &n_ff}) {
    if (p->scalar) continue;
    if (depth && *depth != p->size()) {
      const std::string expected = std::to_string(*depth);
      throw_invalid({p->name, " has ", std::to_string(p->size()), " entries, but ", source,
                     source == "n_layer" ? " is " : " has ", expected, "; there must be one per layer"});
    }
    if (!depth) source = p->name;
    depth = p->size();
  }
  if (!depth) throw_invalid({"n_layer is missing; it is needed when n_head, n_kv_head and d_ff are single numbers"});
  std::vector<Layer> layers(static_cast<std::size_t>(*depth));
  for (std::size_t l = 0; l < layers.size(); ++l) {
    layers[l] = {.n_head = n_head.at(l),
                 .n_kv_head = n_kv_head.at(l),
                 .d_ff = d_ff.at(l),
                 .n_ff = n_ff.at(l),
                 .mixer = static_cast<Mixer>(mixer.at(l))};
  }
  return layers;
}

}  // namespace lts::python
