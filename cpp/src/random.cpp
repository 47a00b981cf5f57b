#include "lts/random.hpp"

#include "lts/error.hpp"

namespace lts {

Random Random::from_state(const State& state) {
  if (state == State{}) throw_invalid({"random state: all four words are 0; at least one must not be"});
  Random random;
  random.state_ = state;
  return random;
}

}  // namespace lts
