#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <array>
#include <cstdint>
#include <lts/layer_costs.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "convert.hpp"
#include "register.hpp"
#include "workload.hpp"

namespace py = pybind11;
using namespace lts::python;
using lts::Architecture;
using lts::LayerCosts;

namespace {

using ByTwo = Argument<"collections.abc.Mapping[tuple[int, int], float]">;
using ByThree = Argument<"collections.abc.Mapping[tuple[int, int, int], float]">;

/// Calls `add(key, amount)` for every entry of a mapping from N integers to a number.
template <std::size_t N, class Add>
void each_amount(const py::object& table, const std::string& name, Add&& add) {
  if (!py::hasattr(table, "items")) {
    throw py::type_error(name + " must be a dict from " + std::to_string(N) + " integers to a number");
  }
  for (const py::handle item : table.attr("items")()) {
    const auto [key, amount] = item.cast<std::pair<py::object, py::object>>();
    const std::string where = name + "[" + std::string(py::repr(key)) + "]";
    const std::vector<std::int64_t> widths = to_int64s(key, "the key of " + where);
    if (widths.size() != N)
      throw py::value_error("the key of " + where + " must be " + std::to_string(N) + " integers");
    add(widths, to_double(amount, where));
  }
}

LayerCosts make(const ByThree& attention, const ByTwo& feed_forward, const ByThree& rest,
                const std::optional<std::string>& plus) {
  LayerCosts::Tables tables{.plus = plus.value_or("")};
  each_amount<3>(attention, "attention", [&](const auto& key, double value) {
    tables.attention.push_back({key[0], key[1], key[2], value});
  });
  each_amount<2>(feed_forward, "feed_forward", [&](const auto& key, double value) {
    tables.feed_forward.push_back({key[0], key[1], value});
  });
  each_amount<3>(rest, "rest", [&](const auto& key, double value) {
    tables.rest.push_back({key[0], key[1], key[2], value});
  });
  return LayerCosts(std::move(tables));
}

py::array_t<double> predict(const LayerCosts& self, const std::vector<Architecture>& architectures, const Int& n_prompt,
                            const Int& batch, const std::string& precision, const std::string& logits) {
  const lts::Workload load = workload(n_prompt, batch, precision, logits);
  py::array_t<double> result(static_cast<py::ssize_t>(architectures.size()));
  double* out = result.mutable_data();
  const py::gil_scoped_release release;
  for (const Architecture& a : architectures) *out++ = self.predict(a, load);
  return result;
}

std::string representation(const LayerCosts& self) {
  const LayerCosts::Tables& t = self.tables();
  return "<LayerCosts of " + std::to_string(t.attention.size()) + " attentions, " +
         std::to_string(t.feed_forward.size()) + " feed-forward networks and " + std::to_string(t.rest.size()) +
         (t.rest.size() == 1 ? " rest" : " rests") + (t.plus.empty() ? "" : ", plus " + t.plus) + ">";
}

}  // namespace

void register_layer_costs(py::module_& m) {
  py::class_<LayerCosts>(m, "LayerCosts",
                         R"(A cost as a sum of amounts from tables, for estimates without running anything.

The amounts hold for one family, vocabulary and width of heads, and for one workload; none of these is checked.

Parameters
----------
attention
    Amount of the attention of a layer by ``(d_model, n_head, n_kv_head)``.
feed_forward
    Amount of the feed-forward network of a layer by ``(d_model, d_ff)``.
rest
    Amount outside of the layers by ``(d_model, d_embed, div_val)``; a ``d_embed`` of -1 is ``d_model``.
plus
    One of `analytic_names`, which is added to the sum.

Raises
------
ValueError
    For a table without rows, a width out of range, a duplicate key, an amount that is negative or not finite, or an
    unknown analytic quantity.

Examples
--------
>>> import lts
>>> from lts._core import LayerCosts
>>> costs = LayerCosts({(64, 2, 2): 0.5, (64, 4, 4): 0.75}, {(64, 256): 1.0}, {(64, -1, 1): 10.0})
>>> space = lts.SearchSpace(n_layer=[1, 2], d_model=[64], n_head=[2, 4], d_ff=[256])
>>> costs.predict([space.at(0), space.at(5)])
array([11.5, 13.5])
>>> search = lts.Search(space, {"decoder_params": "max", "latency_ms": "min"})
>>> search.run(6, cost_models={"latency_ms": costs})
6)")
      .def(py::init(&make), py::arg("attention"), py::arg("feed_forward"), py::arg("rest"), py::kw_only(),
           py::arg("plus") = py::none())
      .def("predict", &predict, py::arg("architectures"), py::kw_only(), py::arg("n_prompt") = 128,
           py::arg("batch") = 1, py::arg("precision") = "float32", py::arg("logits") = "all",
           R"(Costs in the unit of the amounts: float64, (n,).

Parameters
----------
architectures
    The architectures to predict.
n_prompt, batch, precision, logits
    Workload of the quantity `plus`; see `analytic`.

Raises
------
ValueError
    For an architecture with a key that the tables lack, naming it, or of a mixed family.)")
      .def_property_readonly(
          "plus",
          [](const LayerCosts& s) {
            const std::string& name = s.tables().plus;
            return name.empty() ? std::nullopt : std::optional(name);
          },
          "The analytic quantity that is added, or None.")
      .def("__repr__", &representation);
}
