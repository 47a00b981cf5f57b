#include <pybind11/stl.h>

#include <lts/analytic.hpp>
#include <lts/cost.hpp>
#include <lts/error.hpp>

#include "register.hpp"
#include "workload.hpp"

namespace py = pybind11;
using lts::Architecture;
using lts::ParameterCounts;
using lts::python::Int;
using lts::python::workload;

namespace {

py::typing::Dict<py::str, py::int_> by_role(const ParameterCounts& counts) {
  py::typing::Dict<py::str, py::int_> dict;
  for (std::size_t i = 0; i < counts.by_role.size(); ++i) {
    dict[py::cast(lts::role_name(static_cast<lts::Role>(i)))] = counts.by_role[i];
  }
  return dict;
}

void register_counts(py::module_& m) {
  py::class_<ParameterCounts>(m, "ParameterCounts", R"(Parameters in sum and by role; see `count_parameters`.)")
      .def_readonly("attention", &ParameterCounts::attention, "Projections of the attention; norms are not counted.")
      .def_readonly("feed_forward", &ParameterCounts::feed_forward, "Feed-forward networks; norms are not counted.")
      .def_readonly("embedding", &ParameterCounts::embedding, "Token and position embeddings with their projections.")
      .def_readonly("decoder", &ParameterCounts::decoder, "All layers and the final norm.")
      .def_readonly("softmax", &ParameterCounts::softmax, "The output, where its weights are not the embedding's.")
      .def_property_readonly("total", &ParameterCounts::total, "embedding + decoder + softmax.")
      .def_property_readonly("by_role", &by_role, "Parameters of every role; 0 where the family has none.")
      .def("__repr__", [](const ParameterCounts& c) {
        return "<ParameterCounts total=" + std::to_string(c.total()) + " embedding=" + std::to_string(c.embedding) +
               " decoder=" + std::to_string(c.decoder) + " softmax=" + std::to_string(c.softmax) + ">";
      });
  m.def("count_parameters", &lts::count_parameters, py::arg("architecture"),
        "Parameters of the architecture in sum and by role.");
  m.def("decoder_params", &lts::decoder_params, py::arg("architecture"),
        R"(Parameters of all layers and the final norm: the "non-embedding parameters" of the literature.

The training-free quality proxy of LiteTransformerSearch (NeurIPS 2022, arXiv 2203.02094, section 3).)");
  m.def("total_params", &lts::total_params, py::arg("architecture"),
        "All parameters: embedding, decoder and softmax. Tied weights count once.");
}

}  // namespace

void register_cost(py::module_& m) {
  register_counts(m);

  m.def(
      "flops_prefill",
      [](const Architecture& a, const Int& n_prompt, const Int& batch, const std::string& logits) {
        return lts::flops_prefill(a, workload(n_prompt, batch, "float32", logits));
      },
      py::arg("architecture"), py::kw_only(), py::arg("n_prompt") = 128, py::arg("batch") = 1,
      py::arg("logits") = "all",
      R"(Floating-point operations of one prompt pass.

A multiply-add is two; the full n x n attention is counted; norms, softmax and activations are left out.

Parameters
----------
architecture
    The model.
n_prompt
    Tokens of the prompt.
batch
    Sequences at a time.
logits
    Positions that get logits: ``all``, or ``last`` for the last one alone.)");
  m.def(
      "flops_decode",
      [](const Architecture& a, const Int& n_prompt, const Int& batch) {
        return lts::flops_decode(a, workload(n_prompt, batch, "float32", "all"));
      },
      py::arg("architecture"), py::kw_only(), py::arg("n_prompt") = 128, py::arg("batch") = 1,
      "Floating-point operations of one generated token with `n_prompt` tokens of context; see `flops_prefill`.");
  m.def(
      "weight_bytes",
      [](const Architecture& a, const std::string& precision) {
        return lts::weight_bytes(a, workload(py::int_(1), py::int_(1), precision, "all"));
      },
      py::arg("architecture"), py::kw_only(), py::arg("precision") = "float32",
      R"(Bytes of all weights of an exported model, without what aligns them in a file.

With n inputs and m outputs, or rows of a token table, a matrix takes ``4 n m`` in float32, ``2 n m`` in float16,
``n m + 4 m`` in int8, and ``20 m ceil(n / 32)`` in int4. In int8, a table that the output multiplies with as well takes
``2 n m + 4 m``. A projection of an embedding that the output uses the other way round is two matrices in both. All other
weights take 4 bytes each, in float16 2.

Parameters
----------
architecture
    The model.
precision
    Precision of the weights: ``float32``, ``float16``, ``int8`` or ``int4``.)");
  m.def(
      "kv_cache_bytes",
      [](const Architecture& a, const Int& n_prompt, const Int& batch, const std::string& precision) {
        return lts::kv_cache_bytes(a, workload(n_prompt, batch, precision, "all"));
      },
      py::arg("architecture"), py::kw_only(), py::arg("n_prompt") = 128, py::arg("batch") = 1,
      py::arg("precision") = "float32",
      "Bytes of keys and values of `n_prompt` tokens (Transformer-XL: of its memory of layer inputs).");
  m.def(
      "peak_memory_bytes",
      [](const Architecture& a, const Int& n_prompt, const Int& batch, const std::string& precision,
         const std::string& logits) { return lts::peak_memory_bytes(a, workload(n_prompt, batch, precision, logits)); },
      py::arg("architecture"), py::kw_only(), py::arg("n_prompt") = 128, py::arg("batch") = 1,
      py::arg("precision") = "float32", py::arg("logits") = "all",
      "Estimated peak bytes of a prompt pass: weights, cache, logits and the largest activations alive at once.");
  m.def(
      "analytic_names",
      [] {
        const auto names = lts::analytic_names();
        return std::vector<std::string_view>(names.begin(), names.end());
      },
      "Names that `analytic` knows; also the columns that `Search.run` can evaluate.");
  m.def(
      "analytic",
      [](const std::string& name, const Architecture& a, const Int& n_prompt, const Int& batch,
         const std::string& precision,
         const std::string& logits) { return lts::analytic(name)(a, workload(n_prompt, batch, precision, logits)); },
      py::arg("name"), py::arg("architecture"), py::kw_only(), py::arg("n_prompt") = 128, py::arg("batch") = 1,
      py::arg("precision") = "float32", py::arg("logits") = "all",
      R"(An analytic quantity by the name it has as an objective.

Parameters
----------
name
    One of `analytic_names`; names ending in ``_mib`` are in MiB (2**20 bytes).
architecture
    The model.
n_prompt
    Tokens of the prompt pass; also the context of a decode step.
batch
    Sequences at a time.
precision
    Precision of the weights: ``float32``, ``float16``, ``int8`` or ``int4``. Activations are float32, with ``float16``
    that.
logits
    Positions of the prompt that get logits: ``all``, or ``last`` for the last one alone.

Raises
------
ValueError
    For an unknown name, precision or logits, or a number that is not positive.)");
}
