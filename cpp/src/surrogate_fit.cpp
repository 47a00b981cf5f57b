#include "surrogate_fit.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <string>
#include <utility>

#include "lts/error.hpp"
#include "portable_log.hpp"
#include "surrogate_problem.hpp"
#include "surrogate_quantile.hpp"

namespace lts {

using detail::leverage;
using detail::Problem;

namespace {

// A sample this many robust standard deviations above what the others predict, and at least this share, is treated as
// an outlier (the machine paused). Too-fast outliers do not occur.
constexpr double kOutlier = 6.0;
constexpr double kLeastOutlier = 0.5;
constexpr int kOutlierRounds = 3;
// Up to this many samples, left-out predictions come from separate fits; with more, from the leverages.
constexpr std::size_t kExactLeftOut = 100;
constexpr double kMostLeverage = 0.95;
// Up to this many samples, intervals know that the pull was chosen; with more, the choice hardly depends on one of
// them.
constexpr std::size_t kExactChoice = 30;
// Strengths with which a fit may be drawn towards a prior, weakest first, without 0.
constexpr std::array kPulls{1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0};

// Squares of costs stay within the range of numbers.
constexpr double kSmallest = 1e-100;
constexpr double kLargest = 1e100;

struct LeftOut {
  std::vector<double> predicted;
  std::vector<double> standardized;  ///< |value / predicted - 1| over its standard error
  std::vector<bool> slower;          ///< whether each sample is slower than predicted
};

/// The share of a sample in its own prediction.
double own_share(const Problem& problem, std::span<const double> covariance, std::size_t i) {
  const double w = problem.weight(i);
  return std::min(kMostLeverage, w * w * leverage(covariance, problem.width(), problem.row(i), problem.value(i)));
}

/// The relative error of a prediction of a sample, however bad.
double error_of(const Problem& problem, std::size_t i, double predicted) {
  return predicted > 0 ? std::abs(problem.value(i) / predicted - 1) : 1e9;
}

LeftOut leave_out(const Problem& problem, const std::vector<bool>& kept, double pull) {
  const std::vector<double> x = problem.solve(kept, pull);
  const std::vector<double> covariance = problem.covariance(kept, pull, x);
  const auto n_kept = static_cast<std::size_t>(std::count(kept.begin(), kept.end(), true));
  LeftOut out;
  std::vector<bool> others = kept;
  out.slower.assign(problem.size(), false);
  for (std::size_t i = 0; i < problem.size(); ++i) {
    const double inside = own_share(problem, covariance, i);
    double predicted = problem.predict(x, i);
    double shrink = 1;
    if (kept[i]) {
      shrink = std::sqrt(1 - inside);
      if (n_kept <= kExactLeftOut) {
        others[i] = false;
        predicted = problem.predict(problem.solve(others, pull), i);
        others[i] = true;
      } else {
        predicted = problem.value(i) + (predicted - problem.value(i)) / (1 - inside);
      }
    }
    out.predicted.push_back(predicted);
    out.slower[i] = problem.value(i) > predicted;
    out.standardized.push_back(error_of(problem, i, predicted) * shrink);
  }
  return out;
}

double mean_error(const Problem& problem, const std::vector<bool>& kept, const LeftOut& left_out, double* most) {
  double sum = 0;
  std::size_t n = 0;
  for (std::size_t i = 0; i < problem.size(); ++i) {
    if (!kept[i]) continue;
    const double error = std::abs(left_out.predicted[i] / problem.value(i) - 1);
    sum += error;
    *most = std::max(*most, error);
    ++n;
  }
  return n > 0 ? sum / static_cast<double>(n) : 0.0;
}

/// Of the mean of the errors.
double standard_error(const Problem& problem, const std::vector<bool>& kept, const LeftOut& left_out, double mean) {
  double sum = 0;
  double n = 0;
  for (std::size_t i = 0; i < problem.size(); ++i) {
    if (!kept[i]) continue;
    const double off = std::abs(left_out.predicted[i] / problem.value(i) - 1) - mean;
    sum += off * off;
    ++n;
  }
  return n > 1 ? std::sqrt(sum / (n * (n - 1))) : 0.0;
}

/// The pull towards the prior with which left-out samples are predicted best; where the prior is trusted, the strongest
/// that is worse by no more than a standard error (Breiman et al. 1984, section 3.4.3). Of a few samples the least
/// error is chance.
double choose_pull(const Problem& problem, const std::vector<bool>& kept) {
  if (!problem.has_prior()) return 0;
  std::array<double, kPulls.size()> means{};
  double least = std::numeric_limits<double>::infinity();
  double bar = least;
  for (std::size_t i = kPulls.size(); i-- > 0;) {
    double most = 0;
    const LeftOut left_out = leave_out(problem, kept, kPulls[i]);
    means[i] = mean_error(problem, kept, left_out, &most);
    if (!(means[i] < least)) continue;
    least = means[i];
    bar = least + (problem.trusts_prior() ? standard_error(problem, kept, left_out, least) : 0.0);
  }
  for (std::size_t i = kPulls.size(); i-- > 0;) {
    if (means[i] <= bar) return kPulls[i];
  }
  return kPulls.back();
}

/// How far a new sample may be from its prediction, in standard errors of the linear model.
///
/// Every sample that is kept is predicted from the others, by which the pull is chosen as well: it would else have been
/// chosen for a small error of this sample.
double quantile_of(const Problem& problem, const std::vector<bool>& kept, double pull, const LeftOut& left_out,
                   double level) {
  const auto n_kept = static_cast<std::size_t>(std::count(kept.begin(), kept.end(), true));
  const bool exact = n_kept <= kExactLeftOut;
  const bool chosen_again = problem.has_prior() && n_kept <= kExactChoice;
  std::vector<double> errors;
  std::vector<double> weights;
  std::vector<std::vector<double>> parts;
  std::vector<bool> others = kept;
  for (std::size_t i = 0; i < problem.size(); ++i) {
    if (!kept[i]) continue;
    weights.push_back(problem.weight(i));
    errors.push_back(left_out.standardized[i]);
    if (!exact) continue;
    others[i] = false;
    const double without = chosen_again ? choose_pull(problem, others) : pull;
    const std::vector<double> x = problem.solve(others, without);
    parts.push_back(problem.parts_of_error(i, others, without, problem.covariance(others, without, x)));
    others[i] = true;
    if (without == pull) continue;
    const std::vector<double> all = problem.covariance(kept, without, problem.solve(kept, without));
    errors.back() = error_of(problem, i, problem.predict(x, i)) * std::sqrt(1 - own_share(problem, all, i));
  }
  const double independent = exact ? detail::independent_errors(parts) : static_cast<double>(n_kept);
  return detail::error_quantile(std::move(errors), weights, independent, level);
}

/// Chooses which samples to keep; at most an eighth is left out.
bool drop_outliers(const LeftOut& left_out, std::vector<bool>& kept) {
  std::vector<double> errors;
  for (std::size_t i = 0; i < kept.size(); ++i) {
    if (kept[i]) errors.push_back(left_out.standardized[i]);
  }
  // The median of absolute errors of a normal distribution is 0.6745 of its standard deviation.
  const double limit = std::max(kLeastOutlier, kOutlier * detail::median(errors) / 0.6745);
  std::vector<std::pair<double, std::size_t>> beyond;
  for (std::size_t i = 0; i < kept.size(); ++i) {
    if (kept[i] && left_out.slower[i] && left_out.standardized[i] > limit)
      beyond.emplace_back(left_out.standardized[i], i);
  }
  std::sort(beyond.rbegin(), beyond.rend());
  const auto dropped = kept.size() - errors.size();
  const std::size_t room = std::max<std::size_t>(1, kept.size() / 8);
  bool changed = false;
  for (const auto& [error, i] : beyond) {
    // First the worst one alone, because it may make the others look bad.
    if (dropped >= room || changed) break;
    kept[i] = false;
    changed = true;
  }
  return changed;
}

void check(std::span<const CostSample> samples, const SurrogateOptions& options) {
  if (!options.prior.empty()) {
    if (options.pairwise) throw_invalid({"surrogate: a prior goes with additive terms, not with pairwise ones"});
    if (options.prior.size() != n_cost_terms) {
      throw_invalid({"surrogate: the prior has ", std::to_string(options.prior.size()), " coefficients; there are ",
                     std::to_string(n_cost_terms), " terms"});
    }
    for (const double coefficient : options.prior) {
      if (!(coefficient >= 0) || !std::isfinite(coefficient)) {
        throw_invalid({"surrogate: coefficients of the prior must be finite and not negative"});
      }
    }
  }
  const std::size_t least = options.prior.empty() ? 3 : 2;
  if (samples.size() < least) {
    throw_invalid(
        {"surrogate: ", std::to_string(samples.size()), " samples; a fit needs ", std::to_string(least), " or more"});
  }
  if (!(options.level >= 0.5 && options.level <= 0.99)) {
    throw_invalid({"surrogate: level is ", to_text(options.level), "; it must be from 0.5 to 0.99"});
  }
  detail::check_samples(samples, "surrogate: ");
}

/// Samples as a problem, and how they are fitted best: which are kept, and how strongly the prior pulls.
struct Choices {
  double unit;  ///< of the values: about their geometric mean, so that squares stay within range in any unit
  Problem problem;
  std::vector<bool> kept;
  double pull;
  LeftOut left_out;
};

Choices chosen(std::span<const CostSample> samples, const SurrogateOptions& options) {
  check(samples, options);
  std::int64_t exponents = 0;
  for (const CostSample& sample : samples) exponents += detail::exponent_of(sample.value);
  const double unit = detail::power_of_two(static_cast<int>(exponents / static_cast<std::int64_t>(samples.size())));
  std::vector<CostSample> scaled(samples.begin(), samples.end());
  for (CostSample& sample : scaled) sample.value /= unit;
  Choices c{unit, Problem(scaled, options), std::vector<bool>(samples.size(), true), 0, {}};
  c.pull = choose_pull(c.problem, c.kept);
  c.left_out = leave_out(c.problem, c.kept, c.pull);
  const int rounds = c.kept.size() >= 8 ? std::max<int>(1, static_cast<int>(c.kept.size() / 8)) : 0;
  for (int i = 0; i < std::min(rounds, kOutlierRounds) && drop_outliers(c.left_out, c.kept); ++i) {
    c.pull = choose_pull(c.problem, c.kept);
    c.left_out = leave_out(c.problem, c.kept, c.pull);
  }
  return c;
}

}  // namespace

void detail::check_samples(std::span<const CostSample> samples, std::string_view where) {
  for (std::size_t i = 0; i < samples.size(); ++i) {
    const auto fail = [&](std::string_view why) { throw_invalid({where, "sample ", std::to_string(i), ": ", why}); };
    validate(samples[i].architecture);
    if (!(samples[i].value >= kSmallest && samples[i].value <= kLargest)) {
      fail("the value must be above 0, from 1e-100 to 1e100");
    }
    if (!(samples[i].noise >= 0) || !std::isfinite(samples[i].noise)) {
      fail("the noise must be finite and not negative");
    }
  }
}

std::vector<double> detail::fitted_coefficients(std::span<const CostSample> samples, const SurrogateOptions& options) {
  const Choices c = chosen(samples, options);
  std::vector<double> coefficients = c.problem.solve(c.kept, c.pull);
  for (double& coefficient : coefficients) coefficient *= c.unit;
  return coefficients;
}

Surrogate Surrogate::fit(std::span<const CostSample> samples, const SurrogateOptions& options, SurrogateFit* quality) {
  auto [unit, problem, kept, pull, left_out] = chosen(samples, options);
  State state;
  state.pairwise = options.pairwise;
  state.level = options.level;
  state.n_samples = problem.size();
  state.coefficients = problem.solve(kept, pull);
  state.covariance = problem.covariance(kept, pull, state.coefficients);
  state.error = mean_error(problem, kept, left_out, &state.error_max);
  state.quantile = quantile_of(problem, kept, pull, left_out, options.level);
  for (double& coefficient : state.coefficients) coefficient *= unit;
  // Covariances are used relative to the square of a prediction.
  for (double& covariance : state.covariance) covariance *= unit * unit;
  if (quality != nullptr) {
    for (double& predicted : left_out.predicted) predicted *= unit;
    quality->left_out = std::move(left_out.predicted);
    quality->outlier.assign(kept.size(), false);
    for (std::size_t i = 0; i < kept.size(); ++i) quality->outlier[i] = !kept[i];
    quality->error = state.error;
    quality->error_max = state.error_max;
  }
  return Surrogate(std::move(state));
}

}  // namespace lts
