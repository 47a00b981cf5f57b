// What is done with an algorithm before and after its work: its options are checked, its state is saved and restored.
#include <string>

#include "lts/algorithms/algorithm.hpp"
#include "lts/error.hpp"

namespace lts {

void check_options(std::string_view algorithm, const AlgorithmDescription& description) {
  for (const AlgorithmOption& option : description.options) {
    const auto* const* const count = std::get_if<std::uint32_t*>(&option.value);
    const double value = count != nullptr ? **count : **std::get_if<double*>(&option.value);
    if (value >= option.minimum && value <= option.maximum) continue;
    const auto text = [whole = count != nullptr](double number) {
      return whole ? std::to_string(static_cast<std::uint32_t>(number)) : to_text(number);
    };
    throw_invalid({"algorithm ", algorithm, ": ", option.name, " is ", text(value), "; allowed are ",
                   text(option.minimum), " to ", text(option.maximum)});
  }
}

AlgorithmState Algorithm::save() {
  const AlgorithmStateMembers own = members();
  AlgorithmState saved;
  if (own.counter != nullptr) saved.counter = *own.counter;
  if (own.queue != nullptr) saved.queue = *own.queue;
  if (own.population != nullptr) saved.population = *own.population;
  if (own.offspring != nullptr) saved.offspring = *own.offspring;
  if (own.uses != nullptr) saved.uses = *own.uses;
  if (own.ids != nullptr) {
    for (const std::uint64_t id : *own.ids) saved.uses.emplace_back(id, 0);
  }
  return saved;
}

namespace {

[[noreturn]] void refuse(std::string_view what) {
  throw_invalid({"search state: ", what, ": the algorithm of the search remembers no such thing"});
}

template <class List>
void take(List& saved, List* own, std::string_view what) {
  if (own != nullptr) {
    *own = std::move(saved);
  } else if (!saved.empty()) {
    refuse(what);
  }
}

}  // namespace

void Algorithm::restore(AlgorithmState saved) {
  const AlgorithmStateMembers own = members();
  if (own.counter != nullptr) {
    *own.counter = saved.counter;
  } else if (saved.counter != 0) {
    refuse("counter");
  }
  take(saved.queue, own.queue, "queue");
  take(saved.population, own.population, "population");
  take(saved.offspring, own.offspring, "offspring");
  if (own.ids == nullptr) {
    take(saved.uses, own.uses, "uses");
    return;
  }
  own.ids->clear();
  for (const auto& [id, n] : saved.uses) {
    if (n != 0) refuse("uses");
    own.ids->push_back(id);
  }
}

}  // namespace lts
