#include "json_value.hpp"
#include "lts/json.hpp"

namespace lts {

using detail::Document;
using detail::Json;
using detail::ObjectReader;
using detail::Where;
using detail::Writer;

namespace {

constexpr std::uint64_t kSchema = 1;
constexpr std::string_view kWhat = "loss table";

template <class Row, class... Levels>
void write_rows(Writer& out, std::string_view part, const std::vector<Row>& rows, const Levels&... levels) {
  out.key(part).begin_array();
  for (const Row& row : rows) {
    out.begin_object().field("layer", row.layer);
    (out.field(levels.first, row.*levels.second), ...);
    out.field("loss", row.loss).field("variance", row.variance).end_object();
  }
  out.end_array();
}

template <class Row, class... Levels>
void read_rows(const ObjectReader& object, std::string_view part, std::vector<Row>& rows, const Levels&... levels) {
  const Json& json = object.require(part);
  const Where where = object.at(part);
  detail::check_array(json, where);
  for (std::size_t i = 0; i < json.size(); ++i) {
    const Where at{.parent = &where, .name = {}, .index = i};
    const ObjectReader entry(json[i], at, {"layer", levels.first..., "loss", "variance"});
    Row& row = rows.emplace_back();
    entry.required("layer", row.layer);
    (entry.required(levels.first, row.*levels.second), ...);
    entry.required("loss", row.loss);
    entry.optional("variance", row.variance);
  }
}

constexpr std::pair kHead{std::string_view("n_head"), &LossTable::Attention::n_head};
constexpr std::pair kKvHead{std::string_view("n_kv_head"), &LossTable::Attention::n_kv_head};
constexpr std::pair kFf{std::string_view("d_ff"), &LossTable::FeedForward::d_ff};

}  // namespace

std::string to_json(const LossTable::State& state) {
  Writer out(kWhat);
  out.begin_object().field("schema", kSchema).field("level", state.level);
  write_rows(out, "attention", state.attention, kHead, kKvHead);
  write_rows(out, "feed_forward", state.feed_forward, kFf);
  if (const LossTable::Fit& fit = state.fit; fit.n_samples > 0) {
    out.key("fit")
        .begin_object()
        .field("n_samples", fit.n_samples)
        .field("attention_scale", fit.attention_scale)
        .field("feed_forward_scale", fit.feed_forward_scale)
        .field("error", fit.error)
        .field("weight", fit.weight)
        .field("balance", fit.balance)
        .field("spread", fit.spread)
        .end_object();
  }
  out.end_object();
  return out.take();
}

LossTable::State loss_table_from_json(std::string_view text) {
  const Document document(text, kWhat);
  const Where root{.name = kWhat};
  const ObjectReader object(document.root(), root, {"schema", "level", "attention", "feed_forward", "fit"});
  object.require_schema(kSchema);
  LossTable::State state;
  object.optional("level", state.level);
  read_rows(object, "attention", state.attention, kHead, kKvHead);
  read_rows(object, "feed_forward", state.feed_forward, kFf);
  if (const Json* json = object.find("fit")) {
    const Where where = object.at("fit");
    const ObjectReader fit(
        *json, where, {"n_samples", "attention_scale", "feed_forward_scale", "error", "weight", "balance", "spread"});
    fit.required("n_samples", state.fit.n_samples);
    fit.required("attention_scale", state.fit.attention_scale);
    fit.required("feed_forward_scale", state.fit.feed_forward_scale);
    fit.required("error", state.fit.error);
    state.fit.weight = static_cast<double>(state.fit.n_samples);  // as of tables that said nothing of it
    fit.optional("weight", state.fit.weight);
    fit.required("balance", state.fit.balance);
    fit.required("spread", state.fit.spread);
  }
  return LossTable(std::move(state)).state();
}

}  // namespace lts
