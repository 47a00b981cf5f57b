#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <limits>
#include <lts/error.hpp>
#include <lts/knapsack.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "arrays.hpp"
#include "cost_models.hpp"
#include "register.hpp"
#include "workload.hpp"

namespace py = pybind11;
using namespace lts::python;
using lts::Knapsack;
using lts::KnapsackFront;
using lts::SearchSpace;

namespace {

using Parts =
    Argument<"collections.abc.Sequence[collections.abc.Sequence[tuple[typing.SupportsFloat, typing.SupportsIndex]]]">;
using Cost = Argument<"str | Surrogate | LayerCosts">;

template <class T>
py::array_t<T> array_of(std::span<const T> values) {
  return py::array_t<T>(static_cast<py::ssize_t>(values.size()), values.data());
}

Knapsack knapsack(const Parts& given, const OptionalInt& max_cost) {
  if (!is_sequence(given)) throw py::type_error("parts must be a sequence of sequences of (loss, cost)");
  std::vector<std::vector<lts::KnapsackChoice>> parts;
  for (const py::handle part : given) {
    const std::string where = "part " + std::to_string(parts.size());
    if (!is_sequence(part)) throw py::type_error(where + " must be a sequence of (loss, cost)");
    auto& choices = parts.emplace_back();
    for (const py::handle choice : part) {
      const std::string what = "choice " + std::to_string(choices.size()) + " of " + where;
      if (!is_sequence(choice) || py::len(choice) != 2) throw py::type_error(what + " must be (loss, cost)");
      const auto pair = py::reinterpret_borrow<py::sequence>(choice);
      choices.push_back({to_double(pair[0], "the loss of " + what), to_int64(pair[1], "the cost of " + what)});
    }
  }
  const std::int64_t bound =
      max_cost.is_none() ? std::numeric_limits<std::int64_t>::max() : to_int64(max_cost, "max_cost");
  const py::gil_scoped_release release;
  return Knapsack(parts, bound);
}

KnapsackFront knapsack_front(const SearchSpace& space, const lts::LossTable& table, const Cost& cost,
                             std::optional<double> max_cost, double unit, const Int& n_prompt, const Int& batch,
                             const std::string& precision, const std::string& logits) {
  const bool named = py::isinstance<py::str>(cost);
  const std::string name = named ? cost.cast<std::string>() : "cost";
  py::dict by_name;
  if (!named) by_name[py::str(name)] = cost;
  const auto models = py::reinterpret_borrow<CostModelsArgument>(by_name);
  const std::vector<std::string> names{name};
  const Columns columns(names, models, workload(n_prompt, batch, precision, logits));
  const auto cost_of = [&columns](const lts::Architecture& a) {
    double value = 0;
    columns.evaluate(a, {&value, 1});
    return value;
  };
  const py::gil_scoped_release release;
  return KnapsackFront(space, table, cost_of, {.unit = unit, .max_cost = max_cost});
}

/// The last member that costs no more than that.
template <class Front, class Number>
std::size_t best(const Front& front, Number max_cost) {
  const auto costs = front.costs();
  const auto above = std::upper_bound(costs.begin(), costs.end(), max_cost);
  if (above == costs.begin()) {
    lts::throw_invalid({"knapsack: nothing costs as little; the cheapest member costs ",
                        std::string(py::str(py::cast(costs.front())))});
  }
  return static_cast<std::size_t>(above - costs.begin()) - 1;
}

}  // namespace

void register_knapsack(py::module_& m) {
  py::class_<Knapsack>(m, "Knapsack", "The exact front of losses and costs that add up over parts; see `knapsack`.")
      .def_property_readonly(
          "costs", [](const Knapsack& s) { return array_of(s.costs()); }, "Costs, ascending: int64, (n,).")
      .def_property_readonly(
          "losses", [](const Knapsack& s) { return array_of(s.losses()); }, "Losses, descending: float64, (n,).")
      .def(
          "choices",
          [](const Knapsack& s, const Int& index) {
            const std::vector<std::size_t> choices = s.choices(to_uint64(index, "index"));
            const std::vector<std::int64_t> numbers(choices.begin(), choices.end());
            return array_of(std::span<const std::int64_t>(numbers));
          },
          py::arg("index"), "Which choice each part has in a member: int64, (parts,). ValueError when there is none.")
      .def(
          "best", [](const Knapsack& s, const Int& max_cost) { return best(s, to_int64(max_cost, "max_cost")); },
          py::arg("max_cost"), "Index of the member that loses least for a cost up to that. ValueError for too little.")
      .def("__len__", [](const Knapsack& s) { return s.costs().size(); });
  m.def("knapsack", &knapsack, py::arg("parts"), py::arg("max_cost") = py::none(),
        R"(The exact Pareto front of losses and costs that add up over parts, each of which has one of its choices.

The multiple-choice knapsack problem by dynamic programming over parts and costs (Kellerer, Pferschy and Pisinger 2004,
section 11.5): time and memory grow with the number of costs that a sum may have, in units of their common divisor.

Parameters
----------
parts
    For every part its choices as (loss, cost), costs as integers.
max_cost
    Largest cost of a member; by default any.

Raises
------
ValueError
    For a part without choices, a number out of range, a `max_cost` below the least sum, or more than 2**27 costs and
    parts.

Examples
--------
>>> import lts
>>> front = lts.knapsack([[(0.5, 1), (0.0, 4)], [(0.25, 1), (0.0, 2)]])
>>> front.costs, front.losses
(array([2, 3, 5, 6]), array([0.75, 0.5 , 0.25, 0.  ]))
>>> front.choices(front.best(4))
array([0, 1]))");

  py::class_<KnapsackFront>(m, "KnapsackFront", "The exact front of a space; see `knapsack_front`.")
      .def_property_readonly(
          "costs", [](const KnapsackFront& s) { return array_of(s.costs()); }, "Costs, ascending: float64, (n,).")
      .def_property_readonly(
          "losses", [](const KnapsackFront& s) { return array_of(s.losses()); },
          "Predicted losses, descending: float64, (n,).")
      .def(
          "at", [](const KnapsackFront& s, const Int& index) { return s.at(to_uint64(index, "index")); },
          py::arg("index"), "The architecture of a member. ValueError when there is none.")
      .def("best", &best<KnapsackFront, double>, py::arg("max_cost"),
           "Index of the member that loses least for a cost up to that. ValueError for too little.")
      .def("__len__", [](const KnapsackFront& s) { return s.costs().size(); });
  m.def("knapsack_front", &knapsack_front, py::arg("space"), py::arg("table"), py::arg("cost") = "decoder_params",
        py::kw_only(), py::arg("max_cost") = py::none(), py::arg("unit") = 1.0, py::arg("n_prompt") = 128,
        py::arg("batch") = 1, py::arg("precision") = "float32", py::arg("logits") = "all",
        R"(The exact Pareto front of a space for predicted losses and a cost that adds up over the parts of layers.

Parameters
----------
space
    With one d_model, n_layer, d_embed and div_val, without shared dimensions and bounds of parameters.
table
    A `LossTable` of every level of the space.
cost
    One of `analytic_names`, or a cost model. It must be a sum over attention and feed-forward networks of the layers.
max_cost
    Largest cost of a member; by default any.
unit
    Costs of parts are rounded to its multiples: 1 is exact for what is counted, 0.001 does for milliseconds.
n_prompt, batch, precision, logits
    See `analytic`.

Raises
------
ValueError
    For another space, a level that the table lacks, a cost that is not such a sum, or a `max_cost` below the cheapest.

Examples
--------
>>> import lts
>>> space = lts.SearchSpace(n_layer=[1], d_model=[4], heads=[(1, 1), (2, 2)], d_ff=[4, 8])
>>> table = lts.LossTable({(0, 2, 2): 0.0, (0, 1, 1): 0.5}, {(0, 8): 0.0, (0, 4): 0.25})
>>> front = lts.knapsack_front(space, table)
>>> front.at(front.best(200)).d_ff
[8])");
}
