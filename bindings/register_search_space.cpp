#include <pybind11/stl.h>

#include <lts/json.hpp>
#include <lts/search_space.hpp>

#include "convert.hpp"
#include "py_search_space.hpp"
#include "register.hpp"

namespace py = pybind11;
using namespace lts::python;
using lts::Architecture;
using lts::BigUint;
using lts::SearchSpace;
using State = py::typing::Tuple<py::str>;

namespace {

std::size_t length(const SearchSpace& space) {
  if (space.size() > BigUint(static_cast<std::uint64_t>(PY_SSIZE_T_MAX))) {
    PyErr_SetString(PyExc_OverflowError, "the space has more architectures than len() can say; use its size");
    throw py::error_already_set();
  }
  return static_cast<std::size_t>(space.size().low_uint64());
}

std::string representation(const SearchSpace& space) {
  const std::string digits = space.size().to_decimal();
  std::string size = digits;
  if (digits.size() > 15) {
    size = digits.substr(0, 1) + "." + digits.substr(1, 2) + "e" + std::to_string(digits.size() - 1);
  }
  const std::string name = py::repr(py::cast(space.options().name));
  return "<SearchSpace " + name + " " + space.options().family + ": " + size + " architectures>";
}

/// Enumerates a space in index order; `owner` keeps it alive.
struct SpaceIterator {
  py::object owner;
  const SearchSpace& space;
  BigUint next;
};

constexpr const char* kDoc = R"(A set of architectures: all combinations of the choices that the rules allow.

Immutable, hashable, picklable and safe to share between threads. Iterating enumerates it in index order; ``a in space``
tests membership. Indices follow d_model, head_dim, bias, then the shared dimensions, d_embed, div_val, n_layer, then the layers.

Parameters
----------
name
    Name of the space.
family
    ``gpt2``, ``transformer_xl`` or ``llama``; see `families`.
vocab_size, n_positions, head_dim, cutoffs, tie_projs, tie_embedding
    Fixed values; see `Architecture`. A sequence of head_dim are choices, one for all heads of an architecture.
n_layer, d_model, n_head, d_ff
    Choices: distinct integers in any order.
n_kv_head
    Choices in a family with grouped-query attention; by default n_kv_head is n_head.
heads
    Choices of pairs (n_head, n_kv_head), in place of both; ``shared_n_head`` is then about the pair.
d_ff_ratio
    Choices in place of d_ff: multiples of d_model, which must be integers with every d_model.
bias
    Choices of the biases of an architecture, in place of ``qkv_bias``, ``attention_output_bias`` and
    ``feed_forward_bias``: all three of them, in this order, or one bool for all.
d_embed, div_val
    Choices of the adaptive embedding.
shared_n_head, shared_n_kv_head, shared_d_ff
    Whether the dimension has one value for all layers of an architecture.
min_ff_ratio, max_ff_ratio
    Rules: ``d_ff >= min_ff_ratio * d_model``, ``d_ff <= max_ff_ratio * d_model``.
head_dims
    Rule: the widths that heads may have, ``d_model / n_head`` where ``head_dim`` fixes none; by default any.
decoder_params, total_params
    Rules: inclusive bounds (min, max) of the parameters; None does not constrain.
rotary_theta, norm_epsilon, rotary_dim, rotary_scaling, qkv_bias, attention_output_bias, feed_forward_bias
    Fixed values as well; see `Architecture`.

Raises
------
ValueError
    Naming the dimension or rule that is wrong, or that leaves no architecture.

Examples
--------
>>> import lts
>>> space = lts.SearchSpace(n_layer=range(2, 17), d_model=[256, 512], n_head=[2, 4, 8], d_ff=range(512, 4097, 64))
>>> space.size > 10**35
True
>>> space.index(space.at(12345678901234567890))
12345678901234567890)";

}  // namespace

void register_search_space(py::module_& m) {
  py::class_<SearchSpace> space(m, "SearchSpace", kDoc);
  py::class_<SpaceIterator>(m, "SearchSpaceIterator", "Enumerates a `SearchSpace` in index order.")
      .def("__iter__", [](SpaceIterator& it) -> SpaceIterator& { return it; })
      .def("__next__", [](SpaceIterator& it) {
        if (it.next >= it.space.size()) throw py::stop_iteration();
        Architecture a = it.space.at(it.next);
        it.next += BigUint(1);
        return a;
      });

  space
      .def(py::init(&make_space), py::kw_only(), py::arg("name") = "unnamed", py::arg("family") = "gpt2",
           py::arg("vocab_size") = 50257, py::arg("n_positions") = 1024, py::arg("head_dim") = 0,
           py::arg("cutoffs") = py::tuple(), py::arg("tie_projs") = py::tuple(),
           py::arg("tie_embedding").noconvert() = py::none(), py::arg("n_layer"), py::arg("d_model"),
           py::arg("n_head") = py::tuple(), py::arg("n_kv_head") = py::tuple(), py::arg("heads") = py::tuple(),
           py::arg("d_ff") = py::tuple(), py::arg("d_embed") = py::make_tuple(-1),
           py::arg("div_val") = py::make_tuple(1), py::arg("shared_n_head").noconvert() = false,
           py::arg("shared_n_kv_head").noconvert() = false, py::arg("shared_d_ff").noconvert() = false,
           py::arg("min_ff_ratio") = 0.0, py::arg("max_ff_ratio") = py::none(), py::arg("head_dims") = py::tuple(),
           py::arg("decoder_params") = py::make_tuple(py::none(), py::none()),
           py::arg("total_params") = py::make_tuple(py::none(), py::none()), py::arg("rotary_theta") = py::none(),
           py::arg("norm_epsilon") = py::none(), py::arg("rotary_dim") = 0, py::arg("rotary_scaling") = py::none(),
           py::arg("qkv_bias").noconvert() = py::none(), py::arg("attention_output_bias").noconvert() = py::none(),
           py::arg("feed_forward_bias").noconvert() = py::none(), py::arg("d_ff_ratio") = py::tuple(),
           py::arg("bias") = py::tuple())
      .def_property_readonly(
          "name", [](const SearchSpace& s) { return s.options().name; }, "Name of the space.")
      .def_property_readonly(
          "family", [](const SearchSpace& s) { return s.options().family; }, "Name of the family.")
      .def_property_readonly("options", &options_of, "The arguments that recreate the space, choices ascending.")
      .def_property_readonly(
          "size", [](const SearchSpace& s) { return int_from_decimal(s.size().to_decimal()); },
          "Exact number of architectures.")
      .def_property_readonly(
          "head_choices", [](const SearchSpace& s) { return pairs_of(lts::head_choices(s.options())); },
          "The pairs (n_head, n_kv_head) that the choices make, ascending, whatever the rules say.")
      .def(
          "d_ff_choices",
          [](const SearchSpace& s, const Int& d_model) {
            return lts::d_ff_choices(s.options(), to_int64(d_model, "d_model"));
          },
          py::arg("d_model"), "The feed-forward widths that go with a d_model, ascending, whatever the rules say.")
      .def("at", &at, py::arg("index"), R"(The architecture of that index.

Raises
------
IndexError
    When the index is negative or not below `size`.)")
      .def(
          "index",
          [](const SearchSpace& s, const Architecture& a) { return int_from_decimal(s.index(a).to_decimal()); },
          py::arg("architecture"), R"(The inverse of `at`.

Raises
------
ValueError
    With the reason of `why_not`.)")
      .def("contains", &SearchSpace::contains, py::arg("architecture"), "Whether the architecture is in the space.")
      .def("why_not", &SearchSpace::why_not, py::arg("architecture"),
           "Why the architecture is not in the space; None when it is.")
      .def("sample", &sample, py::arg("n"), py::arg("seed") = 0, py::arg("method") = "uniform",
           R"(Random architectures of the space, drawn independently.

Parameters
----------
n
    Number of architectures.
seed
    Equal seeds give equal samples on every platform.
method
    ``uniform`` over all architectures, nearly all of which are deep; or ``choices``, uniform over depths, widths and
    other choices as LiteTransformerSearch (arXiv 2203.02094) draws its first population.

Raises
------
ValueError
    For an unknown method, or a negative number.)")
      .def(
          "to_json", [](const SearchSpace& s) { return lts::to_json(s.options()); }, "One line of JSON.")
      .def_static("from_json", &space_from_json, py::arg("text"), R"(The inverse of `to_json`.

Raises
------
ValueError
    With line and column of a syntax error, or naming the field and what would be right; unknown keys are errors.)")
      .def("__len__", &length)
      .def("__bool__", [](const SearchSpace&) { return true; })
      .def("__contains__", &SearchSpace::contains, py::arg("architecture"))
      .def(
          "__contains__", [](const SearchSpace&, const py::object&) { return false; }, py::arg("architecture"))
      .def("__iter__",
           [](const py::object& self) {
             return SpaceIterator{self, self.cast<const SearchSpace&>(), BigUint()};
           })
      .def(
          "__eq__", [](const SearchSpace& a, const SearchSpace& b) { return a.options() == b.options(); },
          py::is_operator())
      .def("__hash__", [](const SearchSpace& s) { return py::hash(py::bytes(lts::to_json(s.options()))); })
      .def("__repr__", &representation)
      .def(py::pickle([](const SearchSpace& s) { return State(py::make_tuple(lts::to_json(s.options()))); },
                      [](const State& state) { return space_from_json(state[0].cast<std::string>()); }));
}
