#include "lts/algorithms/algorithm.hpp"

#include <algorithm>
#include <numeric>

namespace lts {

namespace {

constexpr std::size_t kFirstSlots = 64;
constexpr int kTries = 64;                                    // random draws before something else is done
constexpr std::uint64_t kScannable = std::uint64_t{1} << 22;  // spaces up to this size are used up to the last member

/// 0 marks a free slot.
constexpr std::uint64_t stored(std::uint64_t hash) noexcept { return hash == 0 ? 1 : hash; }

/// Visits the indices in steps of a random stride without common divisor with the size, so that every member that is
/// left comes equally soon: size / left probes on average.
std::optional<Genotype> claim_by_index(const SearchContext& context, std::uint32_t size) {
  std::uint64_t index = context.random.below(size);
  std::uint64_t stride = 1;
  if (size > 1) {
    do {
      stride = 1 + context.random.below(size - 1);
    } while (std::gcd(stride, std::uint64_t{size}) != 1);
  }
  for (std::uint32_t i = 0; i < size; ++i, index = (index + stride) % size) {
    Genotype genotype = context.encoding.encode(context.space.at(BigUint(index)));
    if (context.claim(genotype)) return genotype;
  }
  return std::nullopt;
}

}  // namespace

bool SeenSet::insert(std::uint64_t hash) {
  if (4 * (size_ + 1) > 3 * slots_.size()) grow();
  const std::size_t mask = slots_.size() - 1;
  const std::uint64_t entry = stored(hash);
  for (std::size_t i = static_cast<std::size_t>(entry) & mask;; i = (i + 1) & mask) {
    if (slots_[i] == entry) return false;
    if (slots_[i] == 0) {
      slots_[i] = entry;
      ++size_;
      return true;
    }
  }
}

bool SeenSet::contains(std::uint64_t hash) const noexcept {
  if (slots_.empty()) return false;
  const std::size_t mask = slots_.size() - 1;
  const std::uint64_t entry = stored(hash);
  for (std::size_t i = static_cast<std::size_t>(entry) & mask; slots_[i] != 0; i = (i + 1) & mask) {
    if (slots_[i] == entry) return true;
  }
  return false;
}

std::vector<std::uint64_t> SeenSet::sorted() const {
  std::vector<std::uint64_t> hashes;
  hashes.reserve(size_);
  std::copy_if(slots_.begin(), slots_.end(), std::back_inserter(hashes), [](std::uint64_t h) { return h != 0; });
  std::sort(hashes.begin(), hashes.end());
  return hashes;
}

void SeenSet::grow() {
  std::vector<std::uint64_t> slots(slots_.empty() ? kFirstSlots : 2 * slots_.size());
  const std::size_t mask = slots.size() - 1;
  for (const std::uint64_t entry : slots_) {
    if (entry == 0) continue;
    std::size_t i = static_cast<std::size_t>(entry) & mask;
    while (slots[i] != 0) i = (i + 1) & mask;
    slots[i] = entry;
  }
  slots_ = std::move(slots);
}

std::optional<Genotype> claim_random(const SearchContext& context) {
  const BigUint& size = context.space.size();
  const bool scannable = size <= BigUint(kScannable);
  if (scannable && context.seen.size() >= size.low_uint64()) return std::nullopt;
  for (int i = 0; i < kTries; ++i) {
    Genotype genotype = random_genotype(context.encoding, context.random);
    if (context.claim(genotype)) return genotype;
  }
  if (scannable) return claim_by_index(context, static_cast<std::uint32_t>(size.low_uint64()));
  // What is drawn choice by choice is used up; what is left are the many members of the deepest kind.
  for (int i = 0; i < kTries; ++i) {
    Genotype genotype = context.encoding.encode(context.space.sample(context.random));
    if (context.claim(genotype)) return genotype;
  }
  return std::nullopt;
}

}  // namespace lts
