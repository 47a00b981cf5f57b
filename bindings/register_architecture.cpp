#include <pybind11/stl.h>

#include <lts/architecture.hpp>
#include <lts/json.hpp>
#include <optional>

#include "py_architecture.hpp"
#include "register.hpp"

namespace py = pybind11;
using namespace lts::python;
using lts::Architecture;
using State = py::typing::Tuple<py::str>;

void register_architecture(py::module_& m) {
  py::class_<Architecture>(m, "Architecture", R"(A Transformer language model, described layer by layer.

Immutable, hashable, comparable and picklable; validated when made.

Parameters
----------
family
    Name of the family, such as ``gpt2``, ``transformer_xl`` or ``llama``; see `families`.
vocab_size
    Tokens in the vocabulary.
n_positions
    Longest context that has a learned position; the ``tgt_len`` of the published tables.
d_model
    Width of the residual stream.
n_head, d_ff
    Attention heads and feed-forward width: one number for all layers, or one per layer. A layer without heads has no
    attention, one with a `d_ff` of 0 no feed-forward network, and neither the norm before it.
n_kv_head
    Heads of keys and values, for grouped-query attention; by default `n_head`.
n_layer
    Number of layers; needed only when the three above are single numbers.
head_dim
    Width of a head; 0 for ``d_model / n_head`` of each layer.
d_embed
    Width of the embedding; -1 for `d_model`. Another width makes the embedding adaptive.
div_val
    Each cluster of the adaptive embedding is `div_val` times narrower than the one before.
cutoffs
    Ends of the clusters of the adaptive embedding (Baevski and Auli 2019), ascending.
tie_projs
    Per cluster, whether the softmax shares the projection of the embedding; by default all but the first do.
tie_embedding
    Whether the output weights are the embedding's; None for the default of the family.
mixer
    How tokens are mixed, in families whose layers differ in it (FlexiBERT): ``attention``, ``weighted_attention``,
    ``fourier``, ``cosine``, ``convolution_5`` or ``convolution_9``; one for all layers, or one per layer.
n_ff
    Hidden layers of the feed-forward network, in the same families.
rotary_theta
    Base of the wavelengths of rotary positions; None for the family's.
norm_epsilon
    What the norms add to the variance; None for the family's.
rotary_dim
    Channels at the beginning of each head that are rotated; 0 for all.
rotary_scaling
    Wavelengths for contexts longer than those of the first training, as Llama 3.1 has them: ``factor``,
    ``low_freq_factor``, ``high_freq_factor`` and ``original_positions``.
qkv_bias, attention_output_bias, feed_forward_bias
    Whether the projections to queries, keys and values, that after the attention, and the feed-forward network have
    biases; None for the family's. Qwen 2 is ``llama`` with `qkv_bias`.

Raises
------
ValueError
    Naming the field, the layer, the value and the allowed range; also for lists of different lengths.
TypeError
    For a bool, a float or text where an integer is needed.

Examples
--------
>>> import lts
>>> a = lts.Architecture("gpt2", vocab_size=50257, n_positions=1024, d_model=768, n_head=12, d_ff=3072, n_layer=12)
>>> lts.total_params(a)
124439808
>>> lts.Architecture("gpt2", 50257, 1024, 512, n_head=[8, 4], d_ff=[2048, 1536]).n_layer
2)")
      .def(py::init(&make_architecture), py::arg("family"), py::arg("vocab_size"), py::arg("n_positions"),
           py::arg("d_model"), py::arg("n_head"), py::arg("d_ff"), py::arg("n_kv_head") = py::none(),
           py::arg("n_layer") = py::none(), py::arg("head_dim") = 0, py::arg("d_embed") = -1, py::arg("div_val") = 1,
           py::arg("cutoffs") = py::tuple(), py::arg("tie_projs") = py::tuple(),
           py::arg("tie_embedding").noconvert() = py::none(), py::arg("mixer") = "attention", py::arg("n_ff") = 1,
           py::arg("rotary_theta") = py::none(), py::arg("norm_epsilon") = py::none(), py::arg("rotary_dim") = 0,
           py::arg("rotary_scaling") = py::none(), py::arg("qkv_bias").noconvert() = py::none(),
           py::arg("attention_output_bias").noconvert() = py::none(),
           py::arg("feed_forward_bias").noconvert() = py::none())
      .def_property_readonly(
          "family", [](const Architecture& a) { return a.family->name; }, "Name of the family.")
      .def_property_readonly(
          "traits", [](const Architecture& a) -> const lts::Family& { return *a.family; },
          py::return_value_policy::reference, "What the family has in common.")
      .def_readonly("vocab_size", &Architecture::vocab_size, "Tokens in the vocabulary.")
      .def_readonly("n_positions", &Architecture::n_positions, "Longest context that has a learned position.")
      .def_readonly("d_model", &Architecture::d_model, "Width of the residual stream.")
      .def_property_readonly("n_layer", &Architecture::n_layer, "Number of layers.")
      .def_property_readonly("n_head", &n_heads, "Attention heads of each layer.")
      .def_property_readonly("n_kv_head", &n_kv_heads, "Heads of keys and values of each layer.")
      .def_property_readonly("d_ff", &d_ffs, "Feed-forward width of each layer.")
      .def_property_readonly("mixer", &mixers, "How each layer mixes tokens; ``attention`` in most families.")
      .def_property_readonly("rotary_theta", &Architecture::rotary_theta,
                             "Base of the wavelengths of rotary positions.")
      .def_property_readonly("norm_epsilon", &Architecture::norm_epsilon, "Added to the variance by the norms.")
      .def_property_readonly(
          "rotary_dim", [](const Architecture& a) { return a.details.rotary_dim; },
          "Channels at the beginning of each head that are rotated; 0 for all.")
      .def_property_readonly(
          "rotary_scaling",
          [](const Architecture& a) -> std::optional<py::typing::Dict<py::str, py::object>> {
            if (!a.details.rotary_scaling) return std::nullopt;
            return scaling_of(a.details);
          },
          "How wavelengths are stretched for long contexts; None where they are not.")
      .def_property_readonly("qkv_bias", &Architecture::qkv_bias,
                             "Whether the projections to queries, keys and values have biases.")
      .def_property_readonly("attention_output_bias", &Architecture::attention_output_bias,
                             "Whether the projection after the attention has a bias.")
      .def_property_readonly("feed_forward_bias", &Architecture::feed_forward_bias,
                             "Whether the feed-forward network has biases.")
      .def_property_readonly("n_ff", &n_ffs, "Hidden layers of the feed-forward network of each layer.")
      .def_readonly("head_dim", &Architecture::head_dim, "Width of a head as configured; 0 for d_model / n_head.")
      .def_property_readonly(
          "head_dims",
          [](const Architecture& a) {
            return of_layers(a, [&a](const lts::Layer& layer) { return a.width_of_head(layer); });
          },
          "Width of the heads of each layer; 0 where it has none and `head_dim` says nothing.")
      .def_readonly("d_embed", &Architecture::d_embed, "Width of the embedding as configured; -1 for d_model.")
      .def_property_readonly("embedding_width", &Architecture::embedding_width, "Width of the embedding.")
      .def_readonly("div_val", &Architecture::div_val, "How much narrower each cluster is than the one before.")
      .def_readonly("cutoffs", &Architecture::cutoffs, "Ends of the clusters as configured.")
      .def_property_readonly("clean_cutoffs", &lts::clean_cutoffs,
                             "Ends of the clusters: `cutoffs` cut at the first entry above `vocab_size`, the last one "
                             "set to `vocab_size`.")
      .def_readonly("tie_projs", &Architecture::tie_projs, "Per cluster, whether the projection is shared.")
      .def_readonly("tie_embedding", &Architecture::tie_embedding, "Whether the output weights are the embedding's.")
      .def_property_readonly(
          "adaptive", &Architecture::adaptive,
          "Whether input and output use the adaptive embedding (Baevski and Auli 2019; Grave et al. 2017).")
      .def_property_readonly("uniform", &Architecture::uniform, "Whether all layers are equal.")
      .def("to_json", py::overload_cast<const Architecture&>(&lts::to_json),
           "One line of JSON; equal architectures give equal text.")
      .def_static("from_json", &lts::architecture_from_json, py::arg("text"), R"(The inverse of `to_json`.

Raises
------
ValueError
    With line and column of a syntax error, or naming the field and what would be right; unknown keys are errors.)")
      .def("to_dict", &to_dict, "The fields of `to_json` as a dictionary.")
      .def_static("from_dict", &from_dict, py::arg("values"), R"(The inverse of `to_dict`.

Raises
------
ValueError
    As `from_json`.)")
      .def(
          "__eq__", [](const Architecture& a, const Architecture& b) { return a == b; }, py::is_operator())
      .def("__hash__", [](const Architecture& a) { return py::hash(py::bytes(lts::to_json(a))); })
      .def("__repr__", &representation)
      .def("__copy__", [](const Architecture& a) { return a; })
      .def(
          "__deepcopy__", [](const Architecture& a, const py::typing::Dict<py::int_, py::object>&) { return a; },
          py::arg("memo"))
      .def(py::pickle([](const Architecture& a) { return State(py::make_tuple(lts::to_json(a))); },
                      [](const State& state) { return lts::architecture_from_json(state[0].cast<std::string>()); }));

  m.def("without_empty_layers", &lts::without_empty_layers, py::arg("architecture"),
        R"(The same function in fewer layers: those with neither attention nor feed-forward network are left out.

Parameters
----------
architecture
    Of whose layers some have ``n_head`` and ``d_ff`` 0.)");
}
