#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <set>

#include "lts/cost.hpp"
#include "lts/search_space.hpp"
#include "space_oracle.hpp"

namespace lts {
namespace {

using oracle::message_of;

SearchSpaceOptions small() {
  SearchSpaceOptions o;
  o.name = "small";
  o.n_layer = {1, 2};
  o.d_model = {8, 12};
  o.n_head = {1, 2, 4};
  o.d_ff = {8, 16};
  return o;
}

std::vector<std::int64_t> range(std::int64_t first, std::int64_t last, std::int64_t step) {
  std::vector<std::int64_t> values;
  for (std::int64_t v = first; v <= last; v += step) values.push_back(v);
  return values;
}

SearchSpaceOptions gpt2_of_the_paper() {
  SearchSpaceOptions o;
  o.name = "gpt2-lts";
  o.n_layer = range(2, 16, 1);
  o.d_model = range(128, 1024, 64);
  o.n_head = {2, 4, 8};
  o.d_ff = range(256, 4096, 64);
  return o;
}

SearchSpaceOptions transformer_xl_of_the_paper() {
  SearchSpaceOptions o = gpt2_of_the_paper();
  o.name = "txl-lts";
  o.family = "transformer_xl";
  o.vocab_size = 267735;
  o.n_positions = 192;
  o.cutoffs = {19997, 39997, 199997};
  o.div_val = {1, 2, 4};
  o.d_embed = {128, 256, 512};
  return o;
}

// --- Against brute force ---

TEST(SearchSpace, SizeIndicesAndMembershipAgreeWithBruteForce) {
  Random random(1);
  int n_spaces = 0;
  int n_empty = 0;
  int n_bounded = 0;
  std::map<std::string, int> families_seen;
  while (n_spaces < 600) {
    const SearchSpaceOptions options = oracle::random_options(random);
    const std::vector<Architecture> expected = oracle::members(options);
    SCOPED_TRACE(oracle::describe(options));
    if (expected.empty()) {
      ++n_empty;
      ASSERT_NE(message_of([&] { SearchSpace space(options); }), "");
      continue;
    }
    ++n_spaces;
    ++families_seen[options.family];
    const SearchSpace space(options);
    n_bounded += space.bounded() ? 1 : 0;
    ASSERT_EQ(space.size(), BigUint(expected.size()));
    for (std::size_t i = 0; i < expected.size(); ++i) {
      ASSERT_EQ(space.at(BigUint(i)), expected[i]) << i;
      ASSERT_EQ(space.index(expected[i]), BigUint(i)) << i;
      ASSERT_EQ(space.why_not(expected[i]), std::nullopt);
      ASSERT_TRUE(space.within_bounds(expected[i]));
    }
    ASSERT_NE(message_of([&] { (void)space.at(space.size()); }), "");
  }
  EXPECT_GT(n_empty, 10);
  EXPECT_GT(n_bounded, 100);
  for (const Family& f : families()) {
    EXPECT_TRUE(f.encoder || families_seen[std::string(f.name)] > 50) << f.name;
  }
}

TEST(SearchSpace, LayersWithoutPartsAgreeWithBruteForce) {
  Random random(11);
  int n_spaces = 0;
  int n_without = 0;  // whose choices would make an architecture without any weights
  while (n_spaces < 300) {
    SearchSpaceOptions options = oracle::random_options(random, 600);
    if (options.family == "transformer_xl") continue;
    options.n_head.clear();
    options.n_kv_head.clear();
    options.heads = {{2, 2}, {0, 0}};
    options.head_dim = options.head_dim_choices.empty() ? 4 : 0;
    if (random.below(3) != 0) options.min_ff_ratio = 0;
    if (!oracle::has(oracle::all_widths(options, 4), 0)) {
      options.d_ff_ratio.empty() ? options.d_ff.push_back(0) : options.d_ff_ratio.push_back(0);
    }
    if (oracle::n_combinations(options) > 8000) continue;
    const std::vector<Architecture> expected = oracle::members(options);
    SCOPED_TRACE(oracle::describe(options));
    if (expected.empty()) {
      ASSERT_NE(message_of([&] { SearchSpace space(options); }), "");
      continue;
    }
    ++n_spaces;
    const SearchSpace space(options);
    ASSERT_EQ(space.size(), BigUint(expected.size()));
    for (std::size_t i = 0; i < expected.size(); ++i) {
      ASSERT_EQ(space.at(BigUint(i)), expected[i]) << i;
      ASSERT_EQ(space.index(expected[i]), BigUint(i)) << i;
    }
    Architecture a;
    for (int i = 0; i < 50; ++i) {
      space.sample(random, a);
      ASSERT_EQ(space.why_not(a), std::nullopt);
      space.sample_choices(random, a);
      ASSERT_EQ(space.why_not(a), std::nullopt);
    }
    Architecture empty = expected.front();
    for (Layer& layer : empty.layers) layer = {.n_head = 0, .n_kv_head = 0, .d_ff = 0};
    ASSERT_FALSE(space.contains(empty));
    n_without += options.min_ff_ratio == 0 && !space.bounded() ? 1 : 0;
  }
  EXPECT_GT(n_without, 30);
}

TEST(SearchSpace, ContainsExactlyTheMembers) {
  // Architectures from a wider space that has all the members and more.
  Random random(2);
  int n_inside = 0;
  int n_outside = 0;
  for (int i = 0; i < 300; ++i) {
    const oracle::Case c = oracle::random_case(random, 1500);
    SCOPED_TRACE(oracle::describe(c.options));
    const SearchSpace space(c.options);
    std::set<std::vector<std::int64_t>> keys;
    for (const Architecture& a : c.members) keys.insert(oracle::key_of(c.options, a));
    for (int k = 0; k < 100; ++k) {
      Architecture a = c.members[random.below(static_cast<std::uint32_t>(c.members.size()))];
      Layer& layer = a.layers[random.below(static_cast<std::uint32_t>(a.layers.size()))];
      switch (random.below(10)) {
        case 0:
          a.d_model = oracle::pick(random, {8, 10, 12, 16, 24});
          break;
        case 1:
          layer.n_head = oracle::pick(random, {1, 2, 3, 4, 6});
          if (c.options.n_kv_head.empty()) layer.n_kv_head = layer.n_head;
          break;
        case 2:
          layer.n_kv_head = oracle::pick(random, {1, 2, 3, 4});
          break;
        case 3:
          layer.d_ff = oracle::pick(random, {8, 9, 12, 24, 32, 48});
          break;
        case 4:
          a.d_embed = oracle::pick(random, {-1, 4, 8, 12});
          break;
        case 5:
          a.div_val = oracle::pick(random, {1, 2, 4});
          break;
        case 6:
          a.layers.push_back(a.layers.front());
          break;
        case 7:
          a.head_dim = oracle::pick(random, {0, 2, 3, 4, 6});
          break;
        case 8:
          a.details.feed_forward_bias = random.below(2) == 0;
          break;
        default:
          a.layers.pop_back();
          break;
      }
      const bool inside = !a.layers.empty() && keys.contains(oracle::key_of(c.options, a));
      ASSERT_EQ(space.contains(a), inside) << oracle::describe(a) << ": " << space.why_not(a).value_or("");
      (inside ? n_inside : n_outside) += 1;
      if (!inside) {
        ASSERT_EQ(message_of([&] { (void)space.index(a); }),
                  "the architecture is not in the space: " + space.why_not(a).value());
      }
    }
  }
  EXPECT_GT(n_inside, 2'000);
  EXPECT_GT(n_outside, 2'000);
}

TEST(SearchSpace, SampleIsUniform) {
  Random random(3);
  for (int i = 0; i < 60; ++i) {
    const oracle::Case c = oracle::random_case(random, 300);
    if (c.members.size() < 2) continue;
    SCOPED_TRACE(oracle::describe(c.options));
    const SearchSpace space(c.options);
    std::vector<double> counts(c.members.size(), 0.0);
    const std::size_t draws = 30 * c.members.size();
    Architecture a;
    for (std::size_t k = 0; k < draws; ++k) {
      space.sample(random, a);
      ++counts.at(static_cast<std::size_t>(space.index(a).low_uint64()));
    }
    ASSERT_LT(oracle::chi_square_deviation(counts, std::vector<double>(counts.size(), 30.0)), 5.0);
  }
}

TEST(SearchSpace, SampleChoicesIsUniformOverDepthsWidthsAndSharedValues) {
  Random random(4);
  for (int i = 0; i < 60; ++i) {
    const oracle::Case c = oracle::random_case(random, 300);
    if (c.members.size() < 2) continue;
    SCOPED_TRACE(oracle::describe(c.options));
    const SearchSpace space(c.options);
    // Members that share all but their layers have equal parts of one share.
    const auto share_of = [&](const Architecture& a) {
      std::vector<std::int64_t> key = oracle::key_of(c.options, a);
      key.resize(9);
      return key;
    };
    std::map<std::vector<std::int64_t>, double> shares;
    for (const Architecture& a : c.members) ++shares[share_of(a)];
    const std::size_t n_draws = 60 * c.members.size();
    const auto draws = static_cast<double>(n_draws);
    std::vector<double> counts(c.members.size(), 0.0);
    std::vector<double> expected;
    for (const Architecture& a : c.members) {
      expected.push_back(draws / static_cast<double>(shares.size()) / shares[share_of(a)]);
    }
    Architecture a;
    for (std::size_t k = 0; k < n_draws; ++k) {
      space.sample_choices(random, a);
      ++counts.at(static_cast<std::size_t>(space.index(a).low_uint64()));
    }
    ASSERT_LT(oracle::chi_square_deviation(counts, expected), 5.0);
  }
}

// --- The spaces of the paper ---

TEST(SearchSpace, Gpt2SpaceOfThePaper) {
  const SearchSpace space(gpt2_of_the_paper());
  EXPECT_EQ(space.size().to_decimal(), "23860986580673728820010483354466658055");
  BigUint expected;
  BigUint power(183);
  for (int n_layer = 2; n_layer <= 16; ++n_layer) {
    power *= 183;
    expected += power;
  }
  expected *= 15;
  EXPECT_EQ(space.size(), expected);

  const Architecture first = space.at(BigUint());
  EXPECT_EQ(first.d_model, 128);
  EXPECT_EQ(first.layers, std::vector<Layer>(2, Layer{.n_head = 2, .n_kv_head = 2, .d_ff = 256}));
  const Architecture last = space.at(space.size() - BigUint(1));
  EXPECT_EQ(last.d_model, 1024);
  EXPECT_EQ(last.layers, std::vector<Layer>(16, Layer{.n_head = 8, .n_kv_head = 8, .d_ff = 4096}));

  Random random(5);
  for (int i = 0; i < 2'000; ++i) {
    const BigUint index = BigUint::random_below(space.size(), random);
    const Architecture a = space.at(index);
    ASSERT_TRUE(space.contains(a));
    ASSERT_EQ(space.index(a), index);
  }
}

TEST(SearchSpace, TransformerXlSpaceOfThePaper) {
  const SearchSpaceOptions options = transformer_xl_of_the_paper();
  const SearchSpace space(options);
  // The adaptive embedding multiplies by three widths and three divisors.
  BigUint expected = SearchSpace(gpt2_of_the_paper()).size();
  expected *= 9;
  EXPECT_EQ(space.size(), expected);
  Random random(6);
  for (int i = 0; i < 500; ++i) {
    const BigUint index = BigUint::random_below(space.size(), random);
    ASSERT_EQ(space.index(space.at(index)), index);
  }
}

TEST(SearchSpace, SampleOfALargeSpaceIsNearlyAlwaysDeepAndSampleChoicesIsNot) {
  const SearchSpace space(gpt2_of_the_paper());
  Random random(7);
  Architecture a;
  std::map<std::int64_t, double> depths;
  std::map<std::int64_t, double> widths;
  constexpr int draws = 30'000;
  int n_deepest = 0;
  for (int i = 0; i < draws; ++i) {
    space.sample(random, a);
    n_deepest += a.n_layer() == 16 ? 1 : 0;
    space.sample_choices(random, a);
    ++depths[a.n_layer()];
    ++widths[a.d_model];
  }
  const double p = 182.0 / 183.0;
  EXPECT_NEAR(n_deepest, draws * p, 5 * std::sqrt(draws * p * (1 - p)));
  for (const auto& counts : {depths, widths}) {
    std::vector<double> values;
    values.reserve(counts.size());
    for (const auto& [key, count] : counts) values.push_back(count);
    ASSERT_EQ(values.size(), 15U);
    EXPECT_LT(oracle::chi_square_deviation(values, std::vector<double>(15, draws / 15.0)), 4.0);
  }
}

TEST(SearchSpace, ALargeBoundedSpaceIsCountedExactly) {
  SearchSpaceOptions options = gpt2_of_the_paper();
  options.decoder_params = {.min = 4'000'000, .max = 100'000'000};
  const SearchSpace bounded(options);
  // Below, inside and above make the whole.
  BigUint sum = bounded.size();
  options.decoder_params = {.min = std::nullopt, .max = 3'999'999};
  sum += SearchSpace(options).size();
  options.decoder_params = {.min = 100'000'001, .max = std::nullopt};
  sum += SearchSpace(options).size();
  EXPECT_EQ(sum.to_decimal(), "23860986580673728820010483354466658055");

  Random random(8);
  for (int i = 0; i < 100; ++i) {
    const Architecture a = bounded.sample(random);
    const std::int64_t n = decoder_params(a);
    ASSERT_TRUE(n >= 4'000'000 && n <= 100'000'000) << n;
    ASSERT_EQ(bounded.at(bounded.index(a)), a);
  }
}

TEST(SearchSpace, SampleChoicesCoversAllDepthsOfATightlyBoundedSpace) {
  SearchSpaceOptions options = gpt2_of_the_paper();
  options.decoder_params = {.min = 19'950'000, .max = 20'050'000};
  const SearchSpace space(options);
  Random random(9);
  Architecture a;
  std::map<std::int64_t, int> depths;
  for (int i = 0; i < 600; ++i) {
    space.sample_choices(random, a);
    ASSERT_TRUE(space.contains(a)) << *space.why_not(a);
    ++depths[a.n_layer()];
  }
  for (std::int64_t n_layer = 2; n_layer <= 16; ++n_layer) {
    options.n_layer = {n_layer};
    const bool possible = message_of([&] { SearchSpace of_one_depth(options); }).empty();
    EXPECT_EQ(depths[n_layer] > 0, possible) << n_layer;
  }
  EXPECT_GT(depths.size(), 10U);
}

// --- Details ---

TEST(SearchSpace, TheOrderOfChoicesDoesNotMatter) {
  SearchSpaceOptions shuffled = small();
  shuffled.n_layer = {2, 1};
  shuffled.d_model = {12, 8};
  shuffled.n_head = {4, 1, 2};
  shuffled.d_ff = {16, 8};
  const SearchSpace a(small());
  const SearchSpace b(shuffled);
  EXPECT_EQ(a.options(), b.options());
  ASSERT_EQ(a.size(), b.size());
  for (std::uint64_t i = 0; BigUint(i) < a.size(); ++i) ASSERT_EQ(a.at(BigUint(i)), b.at(BigUint(i)));
}

TEST(SearchSpace, SampleReusesWhateverItIsGiven) {
  Random random(10);
  const SearchSpace space(small());
  Random same = Random::from_state(random.state());
  Architecture used;
  SearchSpace(transformer_xl_of_the_paper()).sample(same, used);
  same = Random::from_state(random.state());
  for (int i = 0; i < 200; ++i) {
    space.sample(same, used);
    ASSERT_EQ(used, space.sample(random));
    ASSERT_TRUE(space.contains(used));
  }
}

TEST(SearchSpace, SharingWithoutItsOwnChoicesMeansNothing) {
  // n_kv_head follows n_head, which is free.
  SearchSpaceOptions options = small();
  options.shared_n_kv_head = true;
  EXPECT_EQ(SearchSpace(options).size(), SearchSpace(small()).size());
}

TEST(SearchSpace, WhyNot) {
  const SearchSpace space(small());
  const Architecture base = space.at(space.size() - BigUint(1));
  const auto reason = [&](const std::function<void(Architecture&)>& change) {
    Architecture a = base;
    change(a);
    return space.why_not(a).value_or("");
  };
  EXPECT_EQ(reason([](Architecture&) {}), "");
  EXPECT_EQ(reason([](Architecture& a) { a.family = nullptr; }), "family is not set");
  EXPECT_EQ(reason([](Architecture& a) { a.family = &family("llama"); }), "family is llama, the space is of gpt2");
  EXPECT_EQ(reason([](Architecture& a) { a.vocab_size = 7; }), "vocab_size is 7, the space has 50257");
  EXPECT_EQ(reason([](Architecture& a) { a.n_positions = 7; }), "n_positions is 7, the space has 1024");
  EXPECT_EQ(reason([](Architecture& a) { a.head_dim = 7; }), "head_dim is 7, the space has 0");
  EXPECT_EQ(reason([](Architecture& a) { a.cutoffs = {7}; }), "cutoffs differ from those of the space");
  EXPECT_EQ(reason([](Architecture& a) { a.tie_projs = {true}; }), "tie_projs differ from those of the space");
  EXPECT_EQ(reason([](Architecture& a) { a.tie_embedding = false; }), "tie_embedding differs from that of the space");
  EXPECT_EQ(reason([](Architecture& a) { a.layers.clear(); }), "n_layer 0 is not among the choices");
  EXPECT_EQ(reason([](Architecture& a) { a.d_model = 16; }), "d_model 16 is not among the choices");
  EXPECT_EQ(reason([](Architecture& a) { a.d_embed = 4; }), "d_embed 4 is not among the choices");
  EXPECT_EQ(reason([](Architecture& a) { a.div_val = 2; }), "div_val 2 is not among the choices");
  EXPECT_EQ(reason([](Architecture& a) { a.layers[1].n_head = 3; }), "n_head 3 is not among the choices in layer 1");
  EXPECT_EQ(reason([](Architecture& a) { a.layers[1].n_kv_head = 1; }),
            "n_kv_head 1 is not among the choices in layer 1");
  EXPECT_EQ(reason([](Architecture& a) { a.layers[0].d_ff = 9; }), "d_ff 9 is not among the choices in layer 0");

  SearchSpaceOptions ruled = small();
  ruled.min_ff_ratio = 1.0;
  ruled.shared_d_ff = true;
  ruled.decoder_params = {.min = 700, .max = 1100};
  const SearchSpace other(ruled);
  Architecture a = base;  // 12 wide, 4 heads, 16 feed-forward, 2 layers
  a.layers[1].d_ff = 8;
  EXPECT_EQ(other.why_not(a), "a shared dimension differs in layer 1");
  a.layers[0].d_ff = 8;
  EXPECT_EQ(other.why_not(a), "d_ff 8 is below min_ff_ratio * d_model in layer 0");
  a = base;
  SearchSpaceOptions shaped = small();
  shaped.max_ff_ratio = 1.0;
  EXPECT_EQ(SearchSpace(shaped).why_not(a), "d_ff 16 is above max_ff_ratio * d_model in layer 0");
  shaped.max_ff_ratio = {};
  shaped.head_dims = {12, 8};
  EXPECT_EQ(SearchSpace(shaped).why_not(a), "heads 3 wide are not among head_dims in layer 0");
  EXPECT_EQ(other.why_not(a),
            "decoder_params " + std::to_string(oracle::decoder_params(a)) + " is outside [700, 1100]");
  ruled.decoder_params = {};
  ruled.total_params.max = 700'000;
  const SearchSpace third(ruled);
  a.vocab_size = third.options().vocab_size;
  EXPECT_EQ(third.why_not(a).has_value(), oracle::total_params(a) > 700'000);

  SearchSpaceOptions heads = small();
  heads.n_head = {1, 5};
  a = SearchSpace(small()).at(BigUint());
  a.layers[0] = {.n_head = 5, .n_kv_head = 5, .d_ff = 8};
  EXPECT_EQ(SearchSpace(heads).why_not(a), "n_head of layer 0 is 5; it must divide d_model, 8");
}

/// As HW-GPT-Bench and others write them.
SearchSpaceOptions of_the_field() {
  SearchSpaceOptions o = small();
  o.d_ff.clear();
  o.d_ff_ratio = {2.5, 1};
  o.head_dim_choices = {8, 4};
  o.bias = {{true, true, true}, {true, false, false}};
  return o;
}

TEST(SearchSpace, WhyNotOfMultiplesBiasesAndWidthsOfHeads) {
  const SearchSpace space(of_the_field());
  // In each layer 3 heads and 2 multiples.
  EXPECT_EQ(space.size(), BigUint(2 * 2 * 2 * (6 + 36)));
  const Architecture base = space.at(BigUint());
  EXPECT_EQ(base.head_dim, 4);
  EXPECT_EQ(oracle::biases_of(base), (Biases{true, false, false}));
  const auto reason = [&](const std::function<void(Architecture&)>& change) {
    Architecture a = base;
    change(a);
    return space.why_not(a).value_or("");
  };
  EXPECT_EQ(reason([](Architecture& a) { a.head_dim = 8; }), "");
  EXPECT_EQ(reason([](Architecture& a) { a.details = {}; }), "");  // all biases, which the family has
  EXPECT_EQ(reason([](Architecture& a) { a.layers[0].d_ff = 20; }), "");
  EXPECT_EQ(reason([](Architecture& a) { a.head_dim = 0; }), "head_dim 0 is not among the choices");
  EXPECT_EQ(reason([](Architecture& a) { a.layers[0].d_ff = 12; }), "d_ff 12 is not among the choices in layer 0");
  EXPECT_EQ(reason([](Architecture& a) { a.details.qkv_bias = false; }),
            "its biases are not among the choices, or other details differ from those of the space");
  EXPECT_EQ(reason([](Architecture& a) { a.details.norm_epsilon = 0.5; }),
            "its biases are not among the choices, or other details differ from those of the space");
}

TEST(SearchSpace, MultiplesAreWhatTheirDecimalsSay) {
  // As doubles, 1.1 * 320 is above 352, and 8 / 3 * 768 is an integer by rounding.
  SearchSpaceOptions o = of_the_field();
  o.d_model = {320};
  o.d_ff_ratio = {1.1};
  EXPECT_EQ(SearchSpace(o).at(BigUint()).layers[0].d_ff, 352);
  o.d_model = {768};
  o.d_ff_ratio = {8.0 / 3.0};
  EXPECT_EQ(SearchSpace(o).at(BigUint()).layers[0].d_ff, 2048);
  o.d_ff_ratio = {2.6667};
  EXPECT_EQ(message_of([&] { SearchSpace space(o); }),
            "d_ff_ratio has the choice 2.6667; times d_model 768 it is no integer");
}

TEST(SearchSpace, OneChoiceIsAFixedValue) {
  SearchSpaceOptions o = of_the_field();
  o.head_dim_choices = {8};
  o.bias = {{true, false, true}};
  SearchSpaceOptions fixed = o;
  fixed.head_dim_choices.clear();
  fixed.bias.clear();
  fixed.head_dim = 8;
  fixed.details.attention_output_bias = false;
  EXPECT_EQ(SearchSpace(o).options(), SearchSpace(fixed).options());
}

TEST(SearchSpace, RejectionsOfMultiplesBiasesAndWidthsOfHeads) {
  using O = SearchSpaceOptions;
  const auto rejection = [](const std::function<void(O&)>& change) {
    O options = of_the_field();
    change(options);
    return message_of([&] { SearchSpace space(options); });
  };
  const auto ratio = [](std::vector<double> values) { return [values](O& o) { o.d_ff_ratio = values; }; };
  EXPECT_EQ(rejection([](O&) {}), "");
  EXPECT_EQ(rejection([](O& o) { o.d_ff = {8}; }), "d_ff has choices, and so has d_ff_ratio; give one of them");
  EXPECT_EQ(rejection(ratio({1, 2, 1})), "d_ff_ratio has the choice 1 twice; choices must be distinct");
  EXPECT_EQ(rejection(ratio({-0.5})), "d_ff_ratio has the choice -0.5; it must be a number from 0 to 1048576");
  EXPECT_EQ(rejection(ratio({std::nan("")})), "d_ff_ratio has the choice nan; it must be a number from 0 to 1048576");
  EXPECT_EQ(rejection(ratio({1, 1.3})), "d_ff_ratio has the choice 1.3; times d_model 8 it is no integer");
  EXPECT_EQ(rejection(ratio({1048576})), "d_ff_ratio has the choice 1048576; times d_model 8 it is above 1048576");
  EXPECT_EQ(rejection([&](O& o) {
              o.family = "transformer_xl";
              o.bias.clear();
              o.d_ff_ratio = {0};
            }),
            "d_ff_ratio has the choice 0; layers of transformer_xl have a feed-forward network");
  EXPECT_EQ(rejection([](O& o) { o.head_dim = 8; }), "head_dim has a value and choices; give one of them");
  EXPECT_EQ(rejection([](O& o) { o.head_dim_choices = {0}; }), "head_dim has the choice 0; it must be at least 1");
  EXPECT_EQ(rejection([](O& o) { o.bias.push_back(o.bias[0]); }), "bias has a choice twice; choices must be distinct");
  EXPECT_EQ(rejection([](O& o) { o.details.feed_forward_bias = true; }),
            "bias has choices, and feed_forward_bias a value; give one of them");
  EXPECT_EQ(rejection([](O& o) { o.family = "transformer_xl"; }),
            "bias: the biases of transformer_xl cannot be chosen; leave it out");
}

TEST(SearchSpace, ConstructorRejections) {
  const auto rejection = [](const std::function<void(SearchSpaceOptions&)>& change) {
    SearchSpaceOptions options = small();
    change(options);
    return message_of([&] { SearchSpace space(options); });
  };
  using O = SearchSpaceOptions;
  EXPECT_EQ(rejection([](O&) {}), "");
  EXPECT_EQ(rejection([](O& o) { o.family = "rwkv"; }),
            "unknown family 'rwkv'; expected one of gpt2, transformer_xl, llama, hw_gpt, hw_gpt_gated, "
            "hw_gpt_gated_bias, flexibert, flexibert_official, gpt_neox");
  EXPECT_EQ(rejection([](O& o) { o.family = "flexibert"; }),
            "family is flexibert; there are no search spaces of encoders, only counts and proxies");
  EXPECT_EQ(rejection([](O& o) { o.n_layer = {}; }), "n_layer has no choices; give at least one");
  EXPECT_EQ(rejection([](O& o) { o.d_model = {}; }), "d_model has no choices; give at least one");
  const auto pairs = [](O& o, std::vector<Heads> heads) {
    o.n_head.clear();
    o.heads = std::move(heads);
  };
  EXPECT_EQ(rejection([](O& o) {
              o.heads = {{2, 2}};
            }),
            "heads has choices, and so has n_head; give either pairs or both dimensions");
  EXPECT_EQ(rejection([&](O& o) {
              pairs(o, {{2, 2}, {1, 1}, {2, 2}});
            }),
            "heads has the choice [2, 2] twice; choices must be distinct");
  EXPECT_EQ(rejection([&](O& o) {
              pairs(o, {{2, 1}});
            }),
            "heads has the choice [2, 1]; both must be equal, as gpt2 has no grouped-query attention");
  EXPECT_EQ(rejection([&](O& o) {
              pairs(o, {{3, 2}});
              o.family = "llama";
            }),
            "heads has the choice [3, 2]; the first must be a multiple of the second");
  EXPECT_EQ(rejection([&](O& o) {
              pairs(o, {{0, 2}});
            }),
            "heads has the choice [0, 2]; both must be from 1 to 1048576, or 0 for no attention");
  EXPECT_EQ(rejection([&](O& o) {
              pairs(o, {{0, 0}, {2, 2}});
            }),
            "heads has the choice [0, 0]; head_dim must be given, as there may be no layer that tells it");
  EXPECT_EQ(rejection([&](O& o) {
              pairs(o, {{0, 0}, {2, 2}});
              o.family = "transformer_xl";
              o.head_dim = 4;
            }),
            "heads has the choice [0, 0]; layers of transformer_xl have attention");
  EXPECT_EQ(rejection([&](O& o) {
              pairs(o, {{0, 0}});
              o.head_dim = 4;
              o.d_ff = {0};
            }),
            "the choices and rules leave no architecture: n_head and d_ff are 0 in every layer; some layer must have "
            "attention or a feed-forward network");
  EXPECT_EQ(rejection([](O& o) { o.n_head = {}; }), "n_head has no choices; give at least one");
  EXPECT_EQ(rejection([](O& o) { o.d_ff = {}; }), "d_ff has no choices; give at least one");
  EXPECT_EQ(rejection([](O& o) { o.d_embed = {}; }), "d_embed has no choices; give at least one");
  EXPECT_EQ(rejection([](O& o) { o.div_val = {}; }), "div_val has no choices; give at least one");
  EXPECT_EQ(rejection([](O& o) { o.d_ff = {8, 16, 8}; }), "d_ff has the choice 8 twice; choices must be distinct");
  EXPECT_EQ(rejection([](O& o) { o.n_layer = {0, 1}; }), "n_layer has the choice 0; it must be at least 1");
  EXPECT_EQ(rejection([](O& o) { o.n_head = {-2, 1}; }), "n_head has the choice -2; it must be at least 1");
  EXPECT_EQ(rejection([](O& o) { o.d_embed = {-2}; }), "d_embed has the choice -2; it must be at least -1");
  EXPECT_EQ(rejection([](O& o) {
              o.d_embed = {-1, 0};
            }),
            "d_embed has the choice 0; it must be -1 (d_model) or at least 1");
  EXPECT_EQ(rejection([](O& o) { o.div_val = {0}; }), "div_val has the choice 0; it must be at least 1");
  EXPECT_EQ(rejection([](O& o) { o.n_layer = {2, 5000}; }), "n_layer has the choice 5000; it must be at most 4096");
  EXPECT_EQ(rejection([](O& o) { o.n_layer = {1'000'000'000'000}; }),
            "n_layer has the choice 1000000000000; it must be at most 4096");
  EXPECT_EQ(rejection([](O& o) { o.n_kv_head = {1}; }), "n_kv_head: gpt2 has no grouped-query attention; leave it out");
  EXPECT_EQ(rejection([](O& o) { o.min_ff_ratio = -1; }), "min_ff_ratio must be a finite number that is not negative");
  EXPECT_EQ(rejection([](O& o) { o.min_ff_ratio = std::nan(""); }),
            "min_ff_ratio must be a finite number that is not negative");
  for (const double ratio : {std::nan(""), HUGE_VAL, -1.0, 1.0}) {
    EXPECT_EQ(rejection([ratio](O& o) {
                o.min_ff_ratio = 1.5;
                o.max_ff_ratio = ratio;
              }),
              "max_ff_ratio must be a finite number that is not below min_ff_ratio");
  }
  EXPECT_EQ(rejection([](O& o) {
              o.head_dims = {4, 8, 4};
            }),
            "head_dims has the choice 4 twice; choices must be distinct");
  EXPECT_EQ(rejection([](O& o) { o.head_dims = {0, 8}; }), "head_dims has the choice 0; it must be at least 1");
  EXPECT_EQ(rejection([](O& o) { o.decoder_params = {.min = 5, .max = 4}; }),
            "bounds of decoder_params: min 5 is above max 4");
  EXPECT_EQ(rejection([](O& o) { o.total_params = {.min = 5, .max = 4}; }),
            "bounds of total_params: min 5 is above max 4");
  EXPECT_EQ(rejection([](O& o) { o.vocab_size = 0; }),
            "the choices and rules leave no architecture: vocab_size is 0; it must be from 1 to 2147483648");
  EXPECT_EQ(rejection([](O& o) {
              o.n_head = {5, 7};
            }),
            "the choices and rules leave no architecture: n_head of layer 0 is 5; it must divide d_model, 8");
  EXPECT_EQ(rejection([](O& o) { o.min_ff_ratio = 3; }),
            "the choices and rules leave no architecture: no d_ff is at least min_ff_ratio * d_model");
  EXPECT_EQ(rejection([](O& o) { o.max_ff_ratio = 0.5; }),
            "the choices and rules leave no architecture: no d_ff is from min_ff_ratio * d_model to max_ff_ratio * "
            "d_model");
  EXPECT_EQ(rejection([](O& o) {
              o.head_dims = {5, 7};
            }),
            "the choices and rules leave no architecture: no n_head makes heads as wide as head_dims says");
  EXPECT_EQ(rejection([](O& o) {
              o.max_ff_ratio = 0.75;  // for d_model 12
              o.head_dims = {8};
            }),
            "the choices and rules leave no architecture: no d_model has both heads of head_dims and a d_ff within the "
            "ratios");
  EXPECT_EQ(
      rejection([](O& o) {
        o.d_embed = {4};
        o.tie_embedding = false;
      }),
      "the choices and rules leave no architecture: tie_embedding is false; an adaptive embedding is always tied");
  // 8 wide, one layer of 8: 4*64+32 + 2*64+8+8 + 32 + 16 = 480; 12 wide, two layers of 16: 2*1084 + 24.
  EXPECT_EQ(
      rejection([](O& o) { o.decoder_params.max = 479; }),
      "the parameter bounds leave no architecture: decoder_params [-, 479], total_params [-, -], while the choices "
      "reach from 480 to 2192 decoder parameters");
  EXPECT_EQ(rejection([](O& o) { o.decoder_params = {.min = 481, .max = 482}; }),
            "the parameter bounds leave no architecture: decoder_params [481, 482], total_params [-, -], while the "
            "choices reach from 480 to 2192 decoder parameters");
  EXPECT_EQ(rejection([](O& o) {
              o.n_layer = range(1, 100, 1);
              o.d_model = range(8, 800, 8);
              o.d_embed = range(1, 101, 1);
            }),
            "the choices of d_model, d_embed, div_val, n_layer and the shared dimensions make more than 1000000 "
            "combinations; use fewer, or coarser steps");
  EXPECT_EQ(
      rejection([](O& o) {
        o.n_layer = {64};
        o.d_model = range(64, 1024, 64);
        o.d_ff = {101, 1009, 10007, 100003, 1000003};
        o.decoder_params.min = 1;
      }),
      "parameter bounds: the choices make more than 2000000 distinct parameter sums; use coarser steps of d_ff or "
      "fewer heads");
}

// Mistyped ranges: refused at once, where they would take hours, or more memory than there is.
TEST(SearchSpace, TooMuchToBuildIsRefused) {
  const auto refused = [](const std::function<void(SearchSpaceOptions&)>& change) {
    SearchSpaceOptions options = small();
    change(options);
    return message_of([&] { const SearchSpace space(options); });
  };
  using O = SearchSpaceOptions;
  constexpr std::int64_t widest = std::int64_t{1} << 20;
  for (std::vector<std::int64_t> O::*const choices : {&O::d_model, &O::n_head, &O::d_ff, &O::d_embed, &O::div_val}) {
    const std::string message = refused([&](O& o) { o.*choices = {8, widest + 1}; });
    EXPECT_NE(message.find(" has the choice 1048577; it must be at most 1048576"), std::string::npos) << message;
  }
  EXPECT_EQ(refused([](O& o) {
              o.n_head = range(1, 1024, 1);
              o.d_ff = range(1, 4097, 1);
            }),
            "the choices of d_model, n_head, n_kv_head and d_ff make more than 4194304 combinations; use fewer, or "
            "coarser steps");
  EXPECT_EQ(refused([](O& o) {
              o.d_embed = range(1, 1024, 1);
              o.div_val = range(1, 1024, 1);
            }),
            "the choices of d_model, d_embed and div_val make more than 1048576 combinations; use fewer, or coarser "
            "steps");
  constexpr auto* counted =
      "the choices of n_layer and of what goes with it make more combinations than can be counted in 256 MiB; use "
      "fewer, or coarser steps";
  EXPECT_EQ(refused([](O& o) {
              o.n_layer = range(1, max_layers, 1);
              o.d_model = range(8, 800, 8);
              o.d_ff = range(1, 4096, 1);
            }),
            counted);
  EXPECT_EQ(refused([](O& o) {
              o.n_layer = {3};
              o.d_ff.clear();
              for (std::int64_t i = 1; i < 400; ++i) o.d_ff.push_back(i * i * i / 64 + i);
              o.decoder_params.min = 1;
            }).substr(0, 58),
            "parameter bounds: the choices make more than 2000000 disti");
  EXPECT_EQ(refused([](O& o) { o.cutoffs = range(1, 257, 1); }),
            "the choices and rules leave no architecture: cutoffs has 257 entries; it must have at most 256");
}

TEST(SearchSpace, EveryDepthThereIs) {
  SearchSpaceOptions options = small();
  options.n_layer = range(1, max_layers, 1);
  options.d_ff = range(1, 1000, 1);
  const SearchSpace space(options);
  const BigUint last = space.size() - BigUint(1);
  const Architecture deepest = space.at(last);
  EXPECT_EQ(deepest.n_layer(), max_layers);
  EXPECT_EQ(space.index(deepest), last);
  EXPECT_EQ(deepest.layers.back(), (Layer{.n_head = 4, .n_kv_head = 4, .d_ff = 1000}));
}

// Bounds that exclude nothing leave the size that the powers give, however the sums are added up.
TEST(SearchSpace, BoundsThatHoldForAllCountAll) {
  Random random(11);
  for (int i = 0; i < 300; ++i) {
    SearchSpaceOptions options;
    options.family = i % 3 == 0 ? "llama" : i % 3 == 1 ? "gpt2" : "transformer_xl";
    options.n_layer = {1 + random.below(3), 5 + random.below(20)};
    options.d_model = {32, 64};
    options.n_head = {1, 2, 4};
    if (i % 3 == 0) options.n_kv_head = {1, 2};
    const std::int64_t first = 1 + random.below(100);
    const std::int64_t step = 1 + random.below(50);
    options.d_ff = range(first, first + step * random.below(9), step);
    if (random.bernoulli(0.4)) options.d_ff.push_back(options.d_ff.back() + 1 + random.below(100));
    options.shared_n_head = random.bernoulli(0.3);
    options.shared_d_ff = random.bernoulli(0.3);
    const SearchSpace free(options);
    options.decoder_params.min = 1;
    const SearchSpace bounded(options);
    ASSERT_EQ(bounded.size(), free.size()) << i;
    const BigUint index = BigUint::random_below(free.size(), random);
    ASSERT_EQ(bounded.index(bounded.at(index)), index);
    ASSERT_EQ(bounded.at(index), free.at(index));
  }
}

TEST(SearchSpace, CopiesOfABoundedSpaceAreTheSame) {
  SearchSpaceOptions options = small();
  options.decoder_params.max = 2000;
  const auto space = std::make_unique<SearchSpace>(options);
  const SearchSpace copy = *space;
  const Architecture last = space->at(space->size() - BigUint(1));
  EXPECT_EQ(copy.at(copy.size() - BigUint(1)), last);
}

TEST(SearchSpace, BoundsMayBeAnyNumbers) {
  constexpr std::int64_t least = std::numeric_limits<std::int64_t>::min();
  constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max();
  SearchSpaceOptions options = small();
  options.decoder_params = {.min = least, .max = most};
  options.total_params = {.min = -5, .max = most};
  EXPECT_EQ(SearchSpace(options).size(), SearchSpace(small()).size());
  options.total_params = {.min = least, .max = least};
  EXPECT_NE(message_of([&] { SearchSpace space(options); }), "");
  options.total_params = {.min = most, .max = most};
  EXPECT_NE(message_of([&] { SearchSpace space(options); }), "");
}

TEST(SearchSpace, AtIsOutOfRangeFromTheSizeOn) {
  const SearchSpace space(small());
  // 8 wide: 3 heads, 2 widths: 6 + 36; 12 wide the same.
  EXPECT_EQ(space.size(), BigUint(84));
  EXPECT_EQ(message_of([&] { (void)space.at(BigUint(84)); }),
            "index 84 is out of range; the space has 84 architectures");
  EXPECT_EQ(message_of([&] { (void)space.at(BigUint::from_decimal("123456789012345678901234567890")); }),
            "index 123456789012345678901234567890 is out of range; the space has 84 architectures");
}

}  // namespace
}  // namespace lts
