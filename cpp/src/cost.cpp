#include "lts/cost.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <string>

#include "lts/error.hpp"

namespace lts {

namespace {

void require_decoder(const Architecture& a) {
  if (a.family->encoder) {
    throw_invalid({"family is ", a.family->name, ", an encoder; operations and memory are known of decoders only"});
  }
}

/// Bytes of that many elements, rounded up. Saturates far above any memory: a batch of long prompts can ask for it.
std::int64_t bytes(double elements, Precision precision) {
  constexpr double most = 0x1.0p60;
  const double exact = std::min(elements * static_cast<double>(precision) / 8, most);
  const auto whole = static_cast<std::int64_t>(exact);
  return whole + (static_cast<double>(whole) < exact ? 1 : 0);
}

/// Bytes of a matrix or table in int8 or int4, by its outputs (or rows) and the numbers of each.
std::int64_t quantized_bytes(std::int64_t outputs, std::int64_t inputs, Precision precision) {
  constexpr std::int64_t block = 32;  // numbers with one scale in int4
  constexpr std::int64_t scale = 4;
  if (precision == Precision::int8) return outputs * (inputs + scale);
  return outputs * ((inputs + block - 1) / block) * (block / 2 + scale);
}

/// Whether the output multiplies with a projection of the embedding, too. With `div_val` 1 there is one for all
/// clusters.
bool projects_back(const Architecture& a, const Weight& projection) {
  if (a.div_val != 1) return projection_tied(a, static_cast<std::size_t>(projection.index));
  for (std::size_t i = 0; i < n_clusters(a); ++i) {
    if (projection_tied(a, i)) return true;
  }
  return false;
}

/// Bytes of a weight in int8 or int4. Not inlined into each of the places that visit a weight.
[[gnu::noinline]] std::int64_t quantized_bytes(const Architecture& a, const Weight& w, Precision precision) {
  const bool table = w.kind == WeightKind::table;
  const bool of_tokens = table && w.role == Role::token_embedding;
  if (w.kind != WeightKind::matrix && !of_tokens) return bytes(static_cast<double>(w.size()), Precision::float32);
  const std::int64_t stored =
      table ? quantized_bytes(w.rows, w.cols, precision) : quantized_bytes(w.cols, w.rows, precision);
  // The vectors of the clusters are rows of the first table of an adaptive embedding.
  const bool both_ways = w.role == Role::cluster || (of_tokens && (a.adaptive() || a.tie_embedding));
  if (both_ways && precision == Precision::int8) return stored + w.size();  // transposed, with the same scales
  if (w.role == Role::embedding_projection && projects_back(a, w)) {
    return stored + quantized_bytes(w.rows, w.cols, precision);
  }
  return stored;
}

std::int64_t kv_width(const Architecture& a, const Layer& layer) {
  return (a.family->attention == Attention::grouped_query ? layer.n_kv_head : layer.n_head) * a.width_of_head(layer);
}

/// Multiply-adds of a token with weights of the output that are the embedding's, and so not in the inventory again.
double tied_multiply_adds(const Architecture& a) {
  if (!a.adaptive()) return a.tie_embedding ? static_cast<double>(a.vocab_size * a.d_model) : 0.0;
  double sum = 0;
  const bool projected = a.div_val != 1 || a.embedding_width() != a.d_model;
  visit_clusters(a, [&](const Cluster& cluster) {
    sum += static_cast<double>((cluster.end - cluster.begin) * cluster.width);
    if (projected && projection_tied(a, cluster.index)) sum += static_cast<double>(cluster.width * a.d_model);
  });
  return sum;
}

/// Whether a token is multiplied with all of a weight. Tail clusters of the input embedding project only their own
/// tokens: one projection per token in all.
bool multiplies(const Weight& w) {
  return w.kind == WeightKind::matrix && !(w.role == Role::embedding_projection && w.index > 0);
}

/// Multiply-adds of a position that gets logits: with the output and, of an adaptive one, its clusters.
double head_multiply_adds(const Architecture& a) {
  double sum = tied_multiply_adds(a);
  visit_softmax_weights(a, [&sum](const Weight& w) {
    if (multiplies(w)) sum += static_cast<double>(w.size());
  });
  return sum;
}

/// Multiply-adds of `n_new` tokens that attend to `n_all` positions, themselves included.
double multiply_adds(const Architecture& a, double n_new, double n_all) {
  require_decoder(a);
  double sum = 0;
  visit_weights(a, [&](const Weight& w) {
    if (!multiplies(w)) return;
    const bool of_memory = a.family->position == Position::relative &&
                           (w.role == Role::relative_position || w.role == Role::key || w.role == Role::value);
    sum += static_cast<double>(w.size()) * (of_memory ? n_all : n_new);
  });
  for (const Layer& layer : a.layers) {
    const auto width = static_cast<double>(layer.n_head * a.width_of_head(layer));
    const double scores = a.family->position == Position::relative ? 2 : 1;  // content and position
    sum += (scores + 1) * width * n_new * n_all;
  }
  return sum + tied_multiply_adds(a) * n_new;
}

}  // namespace

Precision precision(std::string_view name) {
  constexpr std::array<std::pair<std::string_view, Precision>, 4> known{{{"float32", Precision::float32},
                                                                         {"float16", Precision::float16},
                                                                         {"int8", Precision::int8},
                                                                         {"int4", Precision::int4}}};
  for (const auto& [key, value] : known) {
    if (key == name) return value;
  }
  throw_invalid({"unknown precision '", name, "'; expected float32, float16, int8 or int4"});
}

Logits logits(std::string_view name) {
  if (name == "all") return Logits::all;
  if (name == "last") return Logits::last;
  throw_invalid({"unknown logits '", name, "'; expected all or last"});
}

ParameterCounts count_parameters(const Architecture& a) {
  ParameterCounts counts;
  visit_weights(a, [&counts](const Weight& w) {
    counts.by_role[static_cast<std::size_t>(w.role)] += w.size();
    switch (part_of(w.role)) {
      case Part::embedding:
        counts.embedding += w.size();
        break;
      case Part::decoder:
        counts.decoder += w.size();
        break;
      case Part::softmax:
        counts.softmax += w.size();
        break;
    }
    if (is_attention(w.role)) counts.attention += w.size();
    if (is_feed_forward(w.role)) counts.feed_forward += w.size();
  });
  return counts;
}

std::int64_t layer_params(const Architecture& a, const Layer& layer) {
  std::int64_t sum = 0;
  visit_layer_weights(a, layer, 0, [&sum](const Weight& w) { sum += w.size(); });
  return sum;
}

std::int64_t decoder_params(const Architecture& a) {
  std::int64_t sum = 0;
  visit_decoder_weights(a, [&sum](const Weight& w) { sum += w.size(); });
  return sum;
}

std::int64_t total_params(const Architecture& a) {
  std::int64_t sum = 0;
  visit_weights(a, [&sum](const Weight& w) { sum += w.size(); });
  return sum;
}

double output_multiply_adds(const Architecture& a) {
  double sum = head_multiply_adds(a);
  visit_embedding_weights(a, [&sum](const Weight& w) {
    if (multiplies(w)) sum += static_cast<double>(w.size());
  });
  return sum;
}

void validate(const Workload& workload) {
  constexpr std::int64_t most = 1 << 20;
  const auto check = [](std::int64_t number, std::string_view name) {
    if (number >= 1 && number <= most) return;
    throw_invalid({name, " is ", std::to_string(number), "; it must be from 1 to ", std::to_string(most)});
  };
  check(workload.n_prompt, "n_prompt");
  check(workload.batch, "batch");
}

double flops_prefill(const Architecture& a, const Workload& workload) {
  const auto n = static_cast<double>(workload.n_prompt);
  double sum = multiply_adds(a, n, n);
  if (workload.logits == Logits::last) sum -= (n - 1) * head_multiply_adds(a);
  return 2 * static_cast<double>(workload.batch) * sum;
}

double flops_decode(const Architecture& a, const Workload& workload) {
  return 2 * static_cast<double>(workload.batch) * multiply_adds(a, 1, static_cast<double>(workload.n_prompt + 1));
}

std::int64_t weight_bytes(const Architecture& a, const Workload& workload) {
  if (workload.weights == Precision::float32 || workload.weights == Precision::float16) {
    return bytes(static_cast<double>(total_params(a)), workload.weights);
  }
  std::int64_t sum = 0;
  visit_weights(a, [&](const Weight& w) { sum += quantized_bytes(a, w, workload.weights); });
  return sum;
}

std::int64_t kv_cache_bytes(const Architecture& a, const Workload& workload) {
  require_decoder(a);
  std::int64_t width = 0;
  for (const Layer& layer : a.layers) {
    width += a.family->position == Position::relative ? a.d_model : 2 * kv_width(a, layer);
  }
  return bytes(static_cast<double>(workload.batch * workload.n_prompt) * static_cast<double>(width),
               workload.activations);
}

std::int64_t peak_memory_bytes(const Architecture& a, const Workload& workload) {
  require_decoder(a);
  const auto n_prompt = static_cast<double>(workload.n_prompt);
  const double tokens = static_cast<double>(workload.batch) * n_prompt;
  double alive = 0;  // elements, of the layer that needs most
  for (const Layer& layer : a.layers) {
    const auto width = static_cast<double>(2 * layer.n_head * a.width_of_head(layer) + 2 * kv_width(a, layer));
    const double scores = 2 * n_prompt * static_cast<double>(layer.n_head);  // before and after the softmax
    const double gated = a.family->feed_forward == FeedForward::swiglu ? 3 : 2;
    alive = std::max({alive, tokens * (width + scores), gated * tokens * static_cast<double>(layer.d_ff)});
  }
  const double residual = 2 * tokens * static_cast<double>(a.d_model);
  const double positions = workload.logits == Logits::last ? static_cast<double>(workload.batch) : tokens;
  const double logits = positions * static_cast<double>(a.vocab_size) + tokens * static_cast<double>(a.d_model);
  return weight_bytes(a, workload) + kv_cache_bytes(a, workload) +
         bytes(std::max(alive + residual, logits), workload.activations);
}

}  // namespace lts
