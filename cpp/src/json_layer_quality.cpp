#include "json_value.hpp"
#include "lts/json.hpp"

namespace lts {

using detail::Document;
using detail::ObjectReader;
using detail::Where;
using detail::Writer;

namespace {

constexpr std::uint64_t kSchema = 1;
constexpr std::string_view kWhat = "layer quality";

}  // namespace

std::string to_json(const LayerQuality::State& state) {
  Writer out(kWhat);
  out.begin_object()
      .field("schema", kSchema)
      .field("level", state.level)
      .field("n_layer", state.n_layer)
      .field("n_samples", state.n_samples)
      .field("error", state.error)
      .field("quantile", state.quantile);
  out.key("coefficients").begin_object();
  const auto names = quality_term_names();
  for (std::size_t i = 0; i < names.size(); ++i) out.field(names[i], state.coefficients.at(i));
  out.end_object().field("covariance", state.covariance).end_object();
  return out.take();
}

LayerQuality::State layer_quality_from_json(std::string_view text) {
  const Document document(text, kWhat);
  const Where root{.name = kWhat};
  const ObjectReader object(
      document.root(), root,
      {"schema", "level", "n_layer", "n_samples", "error", "quantile", "coefficients", "covariance"});
  object.require_schema(kSchema);
  LayerQuality::State state;
  object.required("level", state.level);
  object.required("n_layer", state.n_layer);
  object.required("n_samples", state.n_samples);
  object.required("error", state.error);
  object.required("quantile", state.quantile);
  object.required("covariance", state.covariance);
  const auto names = quality_term_names();
  const std::vector<std::string_view> allowed(names.begin(), names.end());
  const Where where = object.at("coefficients");
  const ObjectReader coefficients(object.require("coefficients"), where, allowed);
  for (const std::string_view name : names) coefficients.required(name, state.coefficients.emplace_back());
  return LayerQuality(std::move(state)).state();
}

}  // namespace lts
