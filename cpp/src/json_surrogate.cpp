#include "json_value.hpp"
#include "lts/error.hpp"
#include "lts/json.hpp"

namespace lts {

using detail::Document;
using detail::ObjectReader;
using detail::Where;
using detail::Writer;

namespace {

constexpr std::uint64_t kSchema = 1;
constexpr std::string_view kWhat = "surrogate";

}  // namespace

std::string to_json(const Surrogate::State& state) {
  Writer out(kWhat);
  out.begin_object()
      .field("schema", kSchema)
      .field("pairwise", state.pairwise)
      .field("level", state.level)
      .field("n_samples", state.n_samples)
      .field("error", state.error)
      .field("error_max", state.error_max)
      .field("quantile", state.quantile);
  out.key("coefficients").begin_object();
  const std::vector<std::string> names = surrogate_feature_names(state.pairwise);
  for (std::size_t i = 0; i < names.size(); ++i) out.field(names[i], state.coefficients.at(i));
  out.end_object().field("covariance", state.covariance).end_object();
  return out.take();
}

Surrogate::State surrogate_from_json(std::string_view text) {
  const Document document(text, kWhat);
  const Where root{.name = kWhat};
  const ObjectReader object(
      document.root(), root,
      {"schema", "pairwise", "level", "n_samples", "error", "error_max", "quantile", "coefficients", "covariance"});
  object.require_schema(kSchema);
  Surrogate::State state;
  object.optional("pairwise", state.pairwise);
  object.required("level", state.level);
  object.required("n_samples", state.n_samples);
  object.required("error", state.error);
  object.required("error_max", state.error_max);
  object.required("quantile", state.quantile);
  object.required("covariance", state.covariance);
  const std::vector<std::string> names = surrogate_feature_names(state.pairwise);
  const std::vector<std::string_view> allowed(names.begin(), names.end());
  const Where where = object.at("coefficients");
  const ObjectReader coefficients(object.require("coefficients"), where, allowed);
  for (const std::string& name : names) coefficients.required(name, state.coefficients.emplace_back());
  return Surrogate(std::move(state)).state();
}

}  // namespace lts
