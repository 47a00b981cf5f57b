#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <cmath>
#include <lts/error.hpp>
#include <lts/importance.hpp>
#include <lts/json.hpp>
#include <vector>

#include "arrays.hpp"
#include "register.hpp"

namespace py = pybind11;
using namespace lts::python;
using lts::LossTable;

namespace {

using Architectures = std::vector<lts::Architecture>;
using Fit = py::typing::Optional<py::typing::Dict<py::str, py::float_>>;

/// Rows of `n_keys` integers, a loss and perhaps a variance; or a mapping from the former to the latter.
class Rows {
 public:
  Rows(py::object given, const char* name, std::size_t n_keys) : name_(name) {
    if (py::hasattr(given, "items")) {  // by keys
      const py::object row_of = py::module_::import("numpy").attr("hstack");
      py::list rows;
      for (const py::handle item : given.attr("items")()) rows.append(row_of(item));
      given = std::move(rows);
    }
    rows_ = to_rows(given, name, n_keys + 1);
  }
  [[nodiscard]] py::ssize_t size() const { return rows_.shape(0); }
  [[nodiscard]] double number(py::ssize_t row, py::ssize_t column) const {
    return column < rows_.shape(1) ? rows_.at(row, column) : 0.0;
  }
  [[nodiscard]] std::int64_t key(py::ssize_t row, py::ssize_t column) const {
    const double value = rows_.at(row, column);
    if (std::abs(value) <= 0x1p53 && std::floor(value) == value) return static_cast<std::int64_t>(value);
    lts::throw_invalid({"row ", std::to_string(row), " of ", name_, ": ", lts::to_text(value),
                        " is not a layer, a number of heads or a width; it must be an integer"});
  }

 private:
  const char* name_;
  Doubles rows_;
};

LossTable make(const ArrayLike& attention, const ArrayLike& feed_forward, double level) {
  LossTable::State state{.level = level};
  const Rows heads(attention, "attention", 3);
  for (py::ssize_t i = 0; i < heads.size(); ++i) {
    state.attention.push_back(
        {heads.key(i, 0), heads.key(i, 1), heads.key(i, 2), heads.number(i, 3), heads.number(i, 4)});
  }
  const Rows widths(feed_forward, "feed_forward", 2);
  for (py::ssize_t i = 0; i < widths.size(); ++i) {
    state.feed_forward.push_back({widths.key(i, 0), widths.key(i, 1), widths.number(i, 2), widths.number(i, 3)});
  }
  return LossTable(std::move(state));
}

template <class Row, class... Keys>
py::array_t<double> rows_of(const std::vector<Row>& table, Keys... keys) {
  constexpr py::ssize_t width = sizeof...(keys) + 2;
  py::array_t<double> rows({static_cast<py::ssize_t>(table.size()), width});
  double* out = rows.mutable_data();
  for (const Row& row : table) {
    ((*out++ = static_cast<double>(row.*keys)), ...);
    *out++ = row.loss;
    *out++ = row.variance;
  }
  return rows;
}

py::array_t<double> predict(const LossTable& self, const Architectures& architectures) {
  py::array_t<double> result(static_cast<py::ssize_t>(architectures.size()));
  double* out = result.mutable_data();
  const py::gil_scoped_release release;
  for (const lts::Architecture& a : architectures) *out++ = self.predict(a);
  return result;
}

py::array_t<double> interval(const LossTable& self, const Architectures& architectures) {
  py::array_t<double> result({static_cast<py::ssize_t>(architectures.size()), py::ssize_t{2}});
  double* out = result.mutable_data();
  const py::gil_scoped_release release;
  for (const lts::Architecture& a : architectures) {
    const lts::Prediction p = self.interval(a);
    *out++ = p.low;
    *out++ = p.high;
  }
  return result;
}

LossTable refit(const LossTable& self, const Architectures& architectures, const ArrayLike& losses, double level) {
  const Doubles values = to_point(losses, "losses", architectures.size());
  return self.refit(architectures, span_of(values), level);
}

Fit fit_of(const LossTable& self) {
  const LossTable::Fit& fit = self.state().fit;
  if (fit.n_samples == 0) return py::none();
  using namespace py::literals;
  return py::dict("n_samples"_a = fit.n_samples, "attention_scale"_a = fit.attention_scale,
                  "feed_forward_scale"_a = fit.feed_forward_scale, "error"_a = fit.error);
}

constexpr const char* kDoc = R"(What a pretrained model loses by keeping less of it: a loss by layer, part and level.

The loss of a sub-network over the original's is the sum of what is in the table; once losses of some were measured, see
`refit`, that of attention and that of feed-forward networks times a scale each. As a column of a search:
``search.run(n, cost_models={"predicted_loss": table})``.

Parameters
----------
attention : array_like, shape (n, 4) or (n, 5), or a mapping
    Rows of layer, n_head, n_kv_head, loss and variance, which is 0 by default; or loss, or loss and variance, by the
    first three. Layers count from 0; losses and variances are not negative.
feed_forward : array_like, shape (n, 3) or (n, 4), or a mapping
    Rows of layer, d_ff, loss and variance; or by the first two.
level
    Share of sub-networks whose loss lies in the predicted interval, from 0.5 to 0.99.

Raises
------
ValueError
    For a number out of range, a row that comes twice, or a layer without rows.

Examples
--------
>>> import lts
>>> table = lts.LossTable({(0, 2, 2): 0.0, (0, 1, 1): 0.5}, {(0, 8): 0.0, (0, 4): 0.25})
>>> small = lts.Architecture("gpt2", 10, 6, 4, n_head=[1], d_ff=[4])
>>> table.predict([small])
array([0.75]))";

}  // namespace

void register_importance(py::module_& m) {
  py::class_<LossTable>(m, "LossTable", kDoc)
      .def(py::init(&make), py::arg("attention"), py::arg("feed_forward"), py::kw_only(), py::arg("level") = 0.9)
      .def("predict", &predict, py::arg("architectures"),
           R"(Losses over the original's: float64, (n,).

Raises ValueError naming the level, or the number of layers, that the table lacks.)")
      .def("interval", &interval, py::arg("architectures"),
           R"(Low and high ends of the intervals of the losses, from 0 on: float64, (n, 2).

From the variances of the table, and once it is fitted from these and the errors of the samples.)")
      .def("refit", &refit, py::arg("architectures"), py::arg("losses"), py::kw_only(), py::arg("level") = 0.9,
           R"(The same table, fitted to measured losses: a scale for each kind of part, and an interval.

Least squares, weighted by one over the table's variances, or of relative errors. What loses nothing is left out.

Parameters
----------
architectures
    What was measured: at least 3 that lose something by the table.
losses : array_like, shape (n,)
    Their losses over the original's, finite.
level
    As for the table.

Raises
------
ValueError
    For too few samples, or a loss that is not finite; or as `predict`.)")
      .def_property_readonly(
          "attention",
          [](const LossTable& s) {
            using Row = LossTable::Attention;
            return rows_of(s.state().attention, &Row::layer, &Row::n_head, &Row::n_kv_head);
          },
          "Layer, n_head, n_kv_head, loss and variance, in this order: float64, (n, 5).")
      .def_property_readonly(
          "feed_forward",
          [](const LossTable& s) {
            using Row = LossTable::FeedForward;
            return rows_of(s.state().feed_forward, &Row::layer, &Row::d_ff);
          },
          "Layer, d_ff, loss and variance, in this order: float64, (n, 4).")
      .def_property_readonly("fit", &fit_of,
                             "Once fitted: n_samples, attention_scale, feed_forward_scale, and error, the standard "
                             "deviation of a loss over what the table says of it.")
      .def_property_readonly("n_layer", &LossTable::n_layer, "Number of layers.")
      .def_property_readonly(
          "level", [](const LossTable& s) { return s.state().level; }, "Share of losses within their intervals.")
      .def(
          "to_json", [](const LossTable& s) { return lts::to_json(s.state()); }, "One line of JSON.")
      .def_static(
          "from_json", [](const std::string& text) { return LossTable(lts::loss_table_from_json(text)); },
          py::arg("text"), "The inverse of `to_json`. Raises ValueError naming what is wrong with it.")
      .def("__repr__", [](const LossTable& s) {
        const std::uint64_t n = s.state().fit.n_samples;
        return "<LossTable of " + std::to_string(s.n_layer()) + " layers" +
               (n == 0 ? "" : ", fitted to " + std::to_string(n) + " samples") + ">";
      });
}
