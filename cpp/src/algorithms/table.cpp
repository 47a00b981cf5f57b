#include "lts/algorithms/table.hpp"

#include <array>
#include <string>

#include "lts/error.hpp"

namespace lts {

namespace {

struct Row {
  AlgorithmOptions defaults;
  AlgorithmDescription (*describe)(AlgorithmOptions&);
  std::unique_ptr<Algorithm> (*make)(const AlgorithmOptions&);
};

template <class Each>
AlgorithmDescription describe_one(AlgorithmOptions& options) {
  return Each::describe(*std::get_if<typename Each::Options>(&options));
}

template <class Each>
std::unique_ptr<Algorithm> make_one(const AlgorithmOptions& options) {
  return std::make_unique<Each>(*std::get_if<typename Each::Options>(&options));
}

template <class... Each>
constexpr std::array<Row, sizeof...(Each)> rows(AlgorithmTable<Each...> /*all*/) {
  return {Row{typename Each::Options{}, &describe_one<Each>, &make_one<Each>}...};
}

template <class... Each>
constexpr std::array<std::string_view, sizeof...(Each)> names(AlgorithmTable<Each...> /*all*/) {
  return {Each::name...};
}

constexpr auto kRows = rows(Algorithms{});
constexpr auto kNames = names(Algorithms{});

}  // namespace

std::span<const std::string_view> algorithm_names() noexcept { return kNames; }

std::string_view algorithm_name(const AlgorithmOptions& options) noexcept { return kNames[options.index()]; }

AlgorithmOptions algorithm_options(std::string_view name) {
  std::string known;
  for (std::size_t i = 0; i < kNames.size(); ++i) {
    if (kNames[i] == name) return kRows[i].defaults;
    known.append(known.empty() ? "" : ", ").append(kNames[i]);
  }
  throw_invalid({"unknown algorithm '", name, "'; expected one of ", known});
}

AlgorithmDescription describe(AlgorithmOptions& options) { return kRows[options.index()].describe(options); }

std::unique_ptr<Algorithm> make_algorithm(const AlgorithmOptions& options) {
  return kRows[options.index()].make(options);
}

}  // namespace lts
