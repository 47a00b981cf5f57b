#include "lts/weights.hpp"

#include <array>

namespace lts {

namespace {
constexpr std::array<std::string_view, n_roles> kRoleNames{"token_embedding",
                                                           "embedding_projection",
                                                           "position_embedding",
                                                           "token_type_embedding",
                                                           "embedding_norm",
                                                           "attention_norm",
                                                           "query",
                                                           "key",
                                                           "value",
                                                           "relative_position",
                                                           "content_bias",
                                                           "position_bias",
                                                           "score",
                                                           "depthwise",
                                                           "pointwise",
                                                           "kernel",
                                                           "convolution",
                                                           "attention_output",
                                                           "feed_forward_norm",
                                                           "gate",
                                                           "up",
                                                           "middle",
                                                           "down",
                                                           "final_norm",
                                                           "head",
                                                           "head_bias",
                                                           "cluster",
                                                           "head_projection"};
}  // namespace

std::string_view role_name(Role role) noexcept { return kRoleNames[static_cast<std::size_t>(role)]; }

std::string_view part_name(Part part) noexcept {
  constexpr std::array<std::string_view, 3> names{"embedding", "decoder", "softmax"};
  return names[static_cast<std::size_t>(part)];
}

std::string_view weight_kind_name(WeightKind kind) noexcept {
  constexpr std::array<std::string_view, 5> names{"matrix", "table", "scale", "bias", "convolution"};
  return names[static_cast<std::size_t>(kind)];
}

std::string weight_name(const Weight& weight) {
  std::string name;
  if (weight.layer >= 0) name.append("layers.").append(std::to_string(weight.layer)).append(".");
  name.append(role_name(weight.role));
  if (weight.role == Role::token_embedding || weight.role == Role::embedding_projection ||
      weight.role == Role::head_projection || weight.role == Role::middle) {
    name.append(".").append(std::to_string(weight.index));
  }
  switch (weight.kind) {
    case WeightKind::matrix:
    case WeightKind::table:
    case WeightKind::convolution:
      return name + ".weight";
    case WeightKind::scale:
      return name + ".scale";
    case WeightKind::bias:
      return name + ".bias";
  }
  return name;
}

}  // namespace lts
