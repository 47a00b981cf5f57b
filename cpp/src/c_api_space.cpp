#include <algorithm>

#include "c_api.hpp"
#include "lts/big_uint.hpp"
#include "lts/json.hpp"
#include "lts/random.hpp"

using namespace lts::c_api;  // NOLINT(google-build-using-namespace): what follows is not in a namespace
using lts::SearchSpace;

namespace {

/// Draws by a member function of the space, and advances the generator.
template <class Draw>
void draw(const lts_space* space, lts_random* random, lts_architecture* architecture, Draw&& with) {
  required(random, "random");
  lts::Random::State state{};
  std::copy_n(&random->state[0], state.size(), state.begin());
  lts::Random generator = lts::Random::from_state(state);
  const Borrowed<const lts_space> borrowed(space, "space");
  overwrite(architecture, [&](lts::Architecture& out) { with(*borrowed, generator, out); });
  std::copy(generator.state().begin(), generator.state().end(), &random->state[0]);
}

}  // namespace

lts_status lts_space_from_json(const char* json, lts_space** out) noexcept {
  return guarded_out(__func__, out,
                     [&] { give(out, SearchSpace(lts::search_space_from_json(required_text(json, "json")))); });
}

lts_status lts_space_to_json(const lts_space* space, char** out) noexcept {
  return guarded_out(__func__, out, [&] {
    const Borrowed<const lts_space> borrowed(space, "space");
    give_text(out, lts::to_json(borrowed->options()));
  });
}

lts_status lts_space_destroy(lts_space* space) noexcept { return destroy(__func__, space); }

lts_status lts_space_size(const lts_space* space, char** out) noexcept {
  return guarded_out(__func__, out, [&] {
    const Borrowed<const lts_space> borrowed(space, "space");
    give_text(out, borrowed->size().to_decimal());
  });
}

lts_status lts_space_at(const lts_space* space, const char* index, lts_architecture* architecture) noexcept {
  return guarded(__func__, [&] {
    const Borrowed<const lts_space> borrowed(space, "space");
    const Borrowed<lts_architecture> out(architecture, "architecture");
    *out = borrowed->at(lts::BigUint::from_decimal(required_text(index, "index")));
  });
}

lts_status lts_space_index(const lts_space* space, const lts_architecture* architecture, char** out) noexcept {
  return guarded_out(__func__, out, [&] {
    const Borrowed<const lts_space> borrowed(space, "space");
    const Filled filled(architecture, "architecture");
    give_text(out, borrowed->index(*filled).to_decimal());
  });
}

lts_status lts_space_why_not(const lts_space* space, const lts_architecture* architecture, char** out) noexcept {
  return guarded_out(__func__, out, [&] {
    const Borrowed<const lts_space> borrowed(space, "space");
    const Filled filled(architecture, "architecture");
    if (const auto reason = borrowed->why_not(*filled)) give_text(out, *reason);
  });
}

lts_status lts_space_sample(const lts_space* space, lts_random* random, lts_architecture* architecture) noexcept {
  return guarded(__func__, [&] {
    draw(space, random, architecture,
         [](const SearchSpace& s, lts::Random& r, lts::Architecture& out) { s.sample(r, out); });
  });
}

lts_status lts_space_sample_choices(const lts_space* space, lts_random* random,
                                    lts_architecture* architecture) noexcept {
  return guarded(__func__, [&] {
    draw(space, random, architecture,
         [](const SearchSpace& s, lts::Random& r, lts::Architecture& out) { s.sample_choices(r, out); });
  });
}
