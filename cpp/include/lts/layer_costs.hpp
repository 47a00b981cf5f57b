#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "lts/analytic.hpp"
#include "lts/architecture.hpp"
#include "lts/cost.hpp"

namespace lts {

/// A cost as a sum of amounts from tables: for the attention and the feed-forward network of every layer, and for what
/// is outside of the layers; a layer without one of the two has no amount for it. For estimates of a device without
/// running anything.
///
/// The amounts hold for one family, vocabulary and width of heads, and for one workload; none of these is checked.
class LayerCosts {
 public:
  struct Attention {
    std::int64_t d_model = 0;
    std::int64_t n_head = 0;
    std::int64_t n_kv_head = 0;
    double value = 0.0;
  };
  struct FeedForward {
    std::int64_t d_model = 0;
    std::int64_t d_ff = 0;
    double value = 0.0;
  };
  struct Rest {
    std::int64_t d_model = 0;
    std::int64_t d_embed = -1;  ///< -1: d_model
    std::int64_t div_val = 1;
    double value = 0.0;
  };
  /// The amounts, finite and not negative, all in one unit; every key once, in any order.
  struct Tables {
    std::vector<Attention> attention = {};
    std::vector<FeedForward> feed_forward = {};
    std::vector<Rest> rest = {};
    std::string plus = {};  ///< the analytic quantity that is added, or nothing; see `analytic_names`
  };

  /// O(rows). @throws std::invalid_argument naming the table and the row: a table without rows, a width out of range, a
  /// key that comes twice, an amount that is negative or not finite; or an unknown analytic quantity.
  explicit LayerCosts(Tables tables);

  [[nodiscard]] const Tables& tables() const noexcept { return tables_; }

  /// The cost, in the unit of the amounts; the workload is that of the analytic quantity. O(n_layer), without
  /// allocating.
  /// @throws std::invalid_argument naming what the tables lack: a key, or layers of a mixed family.
  [[nodiscard]] double predict(const Architecture& architecture, const Workload& workload = {}) const;

 private:
  /// Numbers by key; no key is 0. A hash table with open addressing and linear probing, at most half full.
  class Lookup {
   public:
    explicit Lookup(std::size_t n_keys);
    /// False when the key is there already.
    bool insert(std::uint64_t key, double value);
    /// Null when the key is not there.
    [[nodiscard]] const double* find(std::uint64_t key) const noexcept {
      for (std::size_t i = home(key);; i = (i + 1) & (slots_.size() - 1)) {
        if (slots_[i].key == 0) return nullptr;
        if (slots_[i].key == key) return &slots_[i].value;
      }
    }

   private:
    struct Slot {
      std::uint64_t key = 0;
      double value = 0.0;
    };
    /// Fibonacci hashing (Knuth, The Art of Computer Programming, volume 3, section 6.4).
    [[nodiscard]] std::size_t home(std::uint64_t key) const noexcept {
      return static_cast<std::size_t>((key * 0x9e3779b97f4a7c15U) >> shift_);
    }

    std::vector<Slot> slots_;  ///< a power of two
    int shift_;
  };

  template <class Row>
  static Lookup lookup_of(std::string_view table, const std::vector<Row>& rows);
  [[noreturn]] void refuse(const Architecture& architecture) const;

  Tables tables_;
  Lookup attention_;
  Lookup feed_forward_;
  Lookup rest_;
  AnalyticFunction plus_ = nullptr;
};

}  // namespace lts
