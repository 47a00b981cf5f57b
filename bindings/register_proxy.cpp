#include <lts/correlation.hpp>
#include <lts/proxy.hpp>

#include "arrays.hpp"
#include "register.hpp"

namespace py = pybind11;
using namespace lts::python;
using lts::Architecture;

namespace {

template <double (*correlation)(std::span<const double>, std::span<const double>)>
double correlate(const ArrayLike& first, const ArrayLike& second) {
  const Doubles x = py::cast<Doubles>(py::module_::import("numpy").attr("ravel")(first));
  const Doubles y = py::cast<Doubles>(py::module_::import("numpy").attr("ravel")(second));
  const py::gil_scoped_release release;
  return correlation(span_of(x), span_of(y));
}

}  // namespace

void register_proxy(py::module_& m) {
  m.def(
      "geometric", [](const Architecture& a, double alpha) { return lts::geometric(a, alpha); },
      py::arg("architecture"), py::kw_only(), py::arg("alpha") = lts::default_alpha,
      "alpha log P_attention + (1 - alpha) log P_feed_forward: a weighted geometric mean of two parameter counts.");
  m.def(
      "zerolm", [](const Architecture& a, double alpha, double variance) { return lts::zerolm(a, alpha, variance); },
      py::arg("architecture"), py::kw_only(), py::arg("alpha") = lts::default_alpha,
      py::arg("variance") = lts::default_variance,
      R"(ZeroLM at initialization (arXiv 2503.18646), in closed form.

alpha S_attention + (1 - alpha) S_feed_forward, sums over the matrices of the capacity ``||W||_F^2 / min(rows, cols)``,
whose expectation for entries of that variance is ``variance * max(rows, cols)``.)");
  m.def("depth_weighted", &lts::depth_weighted, py::arg("architecture"),
        R"(Experimental, for sub-networks of one super-network: layers counted more the deeper they are.

The sum over the layers of ``(1 + x) (1.25 A + F)``, the last layer counted half: A and F are the parameters of attention
and of the feed-forward network, x runs from 0 for the first layer to 1 for the last.)");
  m.def("spearman", &correlate<lts::spearman>, py::arg("x"), py::arg("y"),
        R"(Spearman's rank correlation; equal values share the mean of their ranks.

Raises
------
ValueError
    For fewer than two pairs, unequal lengths, a value that is not a number, or a constant.)");
  m.def("kendall", &correlate<lts::kendall>, py::arg("x"), py::arg("y"),
        R"(Kendall's tau-b, which corrects for ties (Kendall 1945; Knight 1966). O(n log n).

Raises
------
ValueError
    As `spearman`.)");
}
