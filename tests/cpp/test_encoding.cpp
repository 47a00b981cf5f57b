#include <gtest/gtest.h>

#include <array>
#include <set>

#include "lts/encoding.hpp"
#include "space_oracle.hpp"

namespace lts {
namespace {

using oracle::message_of;
using Dimension = Encoding::Dimension;

SearchSpaceOptions three_layers() {
  SearchSpaceOptions o;
  o.n_layer = {1, 2, 3};
  o.d_model = {8, 12};
  o.n_head = {1, 2, 3, 4};
  o.d_ff = {8, 16, 32};
  return o;
}

Genotype random_genes(const Encoding& encoding, Random& random) {
  Genotype genotype;
  for (const Encoding::Gene& gene : encoding.genes()) {
    genotype.push_back(static_cast<std::uint16_t>(random.below(gene.n_choices)));
  }
  return genotype;
}

std::vector<std::string> layout(const Encoding& encoding) {
  static const char* const names[] = {"d_model",   "n_layer", "d_embed",  "div_val", "n_head",
                                      "n_kv_head", "d_ff",    "head_dim", "bias"};
  std::vector<std::string> lines;
  for (const Encoding::Gene& gene : encoding.genes()) {
    lines.push_back(names[static_cast<std::size_t>(gene.dimension)] + std::string(" ") + std::to_string(gene.layer) +
                    " " + std::to_string(gene.n_choices));
  }
  return lines;
}

TEST(Encoding, LayoutOfTheGenes) {
  const SearchSpace plain(three_layers());
  EXPECT_EQ(layout(Encoding(plain)), (std::vector<std::string>{"d_model -1 2", "n_layer -1 3", "n_head 0 4", "d_ff 0 3",
                                                               "n_head 1 4", "d_ff 1 3", "n_head 2 4", "d_ff 2 3"}));
  SearchSpaceOptions o = three_layers();
  o.family = "llama";
  o.n_kv_head = {1, 2};
  o.shared_d_ff = true;
  const SearchSpace llama(o);
  EXPECT_EQ(layout(Encoding(llama)),
            (std::vector<std::string>{"d_model -1 2", "n_layer -1 3", "d_ff -1 3", "n_head 0 4", "n_kv_head 0 2",
                                      "n_head 1 4", "n_kv_head 1 2", "n_head 2 4", "n_kv_head 2 2"}));
  o = three_layers();
  o.family = "transformer_xl";
  o.n_layer = {2};
  o.d_embed = {-1, 4};
  o.div_val = {1, 2};
  o.shared_n_head = o.shared_d_ff = true;
  const SearchSpace xl(o);
  EXPECT_EQ(layout(Encoding(xl)),
            (std::vector<std::string>{"d_model -1 2", "d_embed -1 2", "div_val -1 2", "n_head -1 4", "d_ff -1 3"}));
  o = three_layers();
  o.n_layer = {1};
  o.d_ff.clear();
  o.d_ff_ratio = {1, 1.5, 2, 4};
  o.head_dim_choices = {4, 6, 8};
  o.bias = {{true, true, true}, {false, false, false}};
  const SearchSpace of_the_field(o);
  EXPECT_EQ(layout(Encoding(of_the_field)),
            (std::vector<std::string>{"d_model -1 2", "head_dim -1 3", "bias -1 2", "n_head 0 4", "d_ff 0 4"}));
  o = three_layers();
  o.n_layer = {3};
  o.d_model = {12};
  o.n_head = {3};
  o.d_ff = {8};
  const SearchSpace single(o);
  const Encoding nothing(single);
  EXPECT_EQ(nothing.size(), 0U);
  EXPECT_EQ(nothing.decode(Genotype{}), single.at(BigUint()));
  EXPECT_EQ(nothing.encode(single.at(BigUint())), Genotype{});
  EXPECT_EQ(nothing.n_layer({}), 3);
}

TEST(Encoding, AnotherDModelKeepsTheMultiple) {
  SearchSpaceOptions o = three_layers();
  o.d_ff.clear();
  o.d_ff_ratio = {1, 1.5, 4};
  const SearchSpace space(o);
  const Encoding encoding(space);
  Architecture a;
  for (std::uint16_t ratio = 0; ratio < 3; ++ratio) {
    for (std::uint16_t d_model = 0; d_model < 2; ++d_model) {
      encoding.decode(Genotype{d_model, 1, 0, ratio, 0, ratio, 0, 0}, a);
      const std::int64_t expected = (d_model == 0 ? std::array{8, 12, 32} : std::array{12, 18, 48})[ratio];
      EXPECT_EQ(a.layers[0].d_ff, expected);
      EXPECT_EQ(a.layers[1].d_ff, expected);
    }
  }
}

TEST(Encoding, IsABijectionWithTheMembers) {
  Random random(1);
  for (int i = 0; i < 200; ++i) {
    const oracle::Case c = oracle::random_case(random, 2000);
    SCOPED_TRACE(oracle::describe(c.options));
    const SearchSpace space(c.options);
    const Encoding encoding(space);
    ASSERT_EQ(&encoding.space(), &space);
    std::set<Genotype> seen;
    std::set<std::uint64_t> hashes;
    Architecture reused;
    for (const Architecture& a : c.members) {
      Genotype genotype = encoding.encode(a);
      ASSERT_EQ(genotype.size(), encoding.size());
      ASSERT_EQ(encoding.n_layer(genotype), a.n_layer());
      ASSERT_EQ(encoding.decode(genotype), a);
      encoding.decode(genotype, reused);
      ASSERT_EQ(reused, a);
      // Canonical already: absent layers have 0, nothing is left to repair, and no randomness is used for it.
      Genotype copy = genotype;
      encoding.canonicalize(copy);
      ASSERT_EQ(copy, genotype);
      Random before = Random::from_state(random.state());
      ASSERT_TRUE(encoding.repair(copy, before));
      ASSERT_EQ(copy, genotype);
      ASSERT_EQ(before.state(), random.state());
      for (std::size_t g = 0; g < genotype.size(); ++g) {
        if (encoding.genes()[g].layer >= a.n_layer()) {
          ASSERT_EQ(genotype[g], 0);
        }
      }
      ASSERT_TRUE(hashes.insert(hash_of(genotype)).second);
      ASSERT_TRUE(seen.insert(std::move(genotype)).second);
    }
  }
}

TEST(Encoding, AnyGenesDecodeToThemselvesInCanonicalForm) {
  Random random(2);
  for (int i = 0; i < 100; ++i) {
    const oracle::Case c = oracle::random_case(random, 2000);
    SCOPED_TRACE(oracle::describe(c.options));
    const SearchSpace space(c.options);
    const Encoding encoding(space);
    for (int k = 0; k < 50; ++k) {
      Genotype genotype = random_genes(encoding, random);
      const Architecture a = encoding.decode(genotype);
      ASSERT_EQ(a.n_layer(), encoding.n_layer(genotype));
      encoding.canonicalize(genotype);
      ASSERT_EQ(encoding.decode(genotype), a);
      ASSERT_EQ(encoding.encode(a), genotype);
      // The genes of absent layers do not matter.
      ASSERT_EQ(space.contains(a), oracle::keeps_rules(c.options, a)) << oracle::describe(a);
    }
  }
}

TEST(Encoding, RepairGivesAMemberOrFalse) {
  Random random(3);
  int n_repaired = 0;
  int n_refused = 0;
  for (int i = 0; i < 400; ++i) {
    const oracle::Case c = oracle::random_case(random, 2000);
    SCOPED_TRACE(oracle::describe(c.options));
    const SearchSpace space(c.options);
    const Encoding encoding(space);
    std::set<std::vector<std::int64_t>> outer;  // combinations of all but layers that exist
    for (const Architecture& a : c.members) outer.insert({a.d_model, a.head_dim, a.d_embed, a.div_val, a.n_layer()});
    for (int k = 0; k < 50; ++k) {
      const Genotype before = random_genes(encoding, random);
      const Architecture a = encoding.decode(before);
      Genotype after = before;
      const bool repaired = encoding.repair(after, random);
      (repaired ? n_repaired : n_refused) += 1;
      if (!repaired) {
        ASSERT_FALSE(space.contains(a));
        // Without bounds and shared key-value heads it must be d_model and its like that leave no choice.
        if (!space.bounded() && !(space.options().shared_n_kv_head)) {
          ASSERT_FALSE(outer.contains({a.d_model, a.head_dim, a.d_embed, a.div_val, a.n_layer()}))
              << oracle::describe(a);
        }
        continue;
      }
      const Architecture b = encoding.decode(after);
      ASSERT_EQ(space.why_not(b), std::nullopt) << oracle::describe(b);
      ASSERT_EQ(encoding.encode(b), after) << "not canonical";
      // Only genes that rules speak of are touched.
      ASSERT_EQ(b.d_model, a.d_model);
      ASSERT_EQ(b.n_layer(), a.n_layer());
      ASSERT_EQ(b.d_embed, a.d_embed);
      ASSERT_EQ(b.div_val, a.div_val);
      ASSERT_EQ(b.head_dim, a.head_dim);
      ASSERT_EQ(b.details, a.details);
      if (space.contains(a)) {
        ASSERT_EQ(a, b);
      }
    }
  }
  EXPECT_GT(n_repaired, 5'000);
  EXPECT_GT(n_refused, 1'000);
}

TEST(Encoding, RepairReplacesOnlyWhatBreaksARule) {
  SearchSpaceOptions o = three_layers();
  o.n_layer = {3};
  const SearchSpace space(o);
  const Encoding encoding(space);
  Random random(4);
  // d_model 8; heads 3 (no), 4 and 1; widths 32, 8, 16.
  const Genotype broken{0, 2, 2, 3, 0, 0, 1};
  std::set<std::uint16_t> drawn;
  for (int i = 0; i < 100; ++i) {
    Genotype genotype = broken;
    ASSERT_TRUE(encoding.repair(genotype, random));
    drawn.insert(genotype[1]);
    genotype[1] = broken[1];
    ASSERT_EQ(genotype, broken);
  }
  EXPECT_EQ(drawn, (std::set<std::uint16_t>{0, 1, 3}));
}

TEST(Encoding, RepairRedrawsHeadsThatNoKeyValueHeadsServe) {
  SearchSpaceOptions o;
  o.family = "llama";
  o.n_layer = {1};
  o.d_model = {12};
  o.n_head = {2, 3};
  o.n_kv_head = {2};
  o.d_ff = {8};
  const SearchSpace space(o);
  const Encoding encoding(space);
  Random random(5);
  Genotype genotype{1};
  ASSERT_TRUE(encoding.repair(genotype, random));
  EXPECT_EQ(genotype, Genotype{0});
}

TEST(Encoding, DecodeRejectsWhatIsOutOfRange) {
  const SearchSpace space(three_layers());
  const Encoding encoding(space);
  EXPECT_EQ(message_of([&] { (void)encoding.decode(Genotype{0, 0}); }), "genotype has 2 genes; the space has 8");
  EXPECT_EQ(message_of([&] {
              (void)encoding.decode(Genotype{0, 3, 0, 0, 0, 0, 0, 0});
            }),
            "gene 1 is 3; n_layer has 3 choices");
  EXPECT_EQ(message_of([&] {
              (void)encoding.decode(Genotype{0, 0, 4, 0, 0, 0, 0, 0});
            }),
            "gene 2 is 4; n_head has 4 choices");
  EXPECT_EQ(message_of([&] {
              (void)encoding.decode(Genotype{0, 0, 0, 0, 0, 0, 0, 65535});
            }),
            "gene 7 is 65535; d_ff has 3 choices");
}

TEST(Encoding, EncodeRejectsOtherValues) {
  const SearchSpace space(three_layers());
  const Encoding encoding(space);
  const Architecture member = space.at(BigUint(100));
  const auto rejection = [&](auto&& change) {
    Architecture a = member;
    change(a);
    return message_of([&] { (void)encoding.encode(a); });
  };
  EXPECT_EQ(rejection([](Architecture&) {}), "");
  EXPECT_EQ(rejection([](Architecture& a) { a.d_model = 10; }), "d_model 10 is not among the choices of the space");
  EXPECT_EQ(rejection([](Architecture& a) { a.layers.clear(); }), "n_layer 0 is not among the choices of the space");
  EXPECT_EQ(rejection([](Architecture& a) { a.layers.resize(4); }), "n_layer 4 is not among the choices of the space");
  EXPECT_EQ(rejection([](Architecture& a) { a.layers[0].n_head = 6; }),
            "n_head 6 is not among the choices of the space");
  EXPECT_EQ(rejection([](Architecture& a) { a.layers[0].d_ff = 7; }), "d_ff 7 is not among the choices of the space");
  EXPECT_EQ(rejection([](Architecture& a) { a.d_embed = 4; }), "d_embed 4 is not among the choices of the space");
  EXPECT_EQ(rejection([](Architecture& a) { a.div_val = 4; }), "div_val 4 is not among the choices of the space");
}

TEST(Encoding, DecodeIntoForgetsWhatWasThere) {
  SearchSpaceOptions o = three_layers();
  o.family = "transformer_xl";
  o.vocab_size = 50;
  o.cutoffs = {10, 20, 60};
  o.d_embed = {4, 8};
  const SearchSpace xl(o);
  const SearchSpace plain(three_layers());
  const Encoding one(xl);
  const Encoding other(plain);
  Random random(6);
  Architecture a;
  for (int i = 0; i < 100; ++i) {
    const Architecture x = xl.sample(random);
    one.decode(one.encode(x), a);
    ASSERT_EQ(a, x);
    const Architecture y = plain.sample(random);
    other.decode(other.encode(y), a);
    ASSERT_EQ(a, y);
  }
}

TEST(Encoding, RejectsTooManyChoices) {
  SearchSpaceOptions o = three_layers();
  o.n_head = {1};
  o.d_ff.clear();
  for (std::int64_t f = 1; f <= 65'536; ++f) o.d_ff.push_back(f);
  const SearchSpace large(o);
  EXPECT_EQ(message_of([&] { Encoding encoding(large); }), "d_ff has 65536 choices; at most 65535 are supported");
  o.d_ff.pop_back();
  const SearchSpace fits(o);
  const Encoding encoding(fits);
  const Architecture last = fits.at(fits.size() - BigUint(1));
  EXPECT_EQ(encoding.decode(encoding.encode(last)), last);
}

TEST(Encoding, HashIsFnvFinishedBySplitmix) {
  const auto expected = [](const Genotype& genotype) {
    std::uint64_t h = 14695981039346656037U;
    for (const std::uint16_t gene : genotype) {
      h ^= gene;
      h *= 1099511628211U;
    }
    h = (h ^ (h >> 30)) * 0xbf58476d1ce4e5b9U;
    h = (h ^ (h >> 27)) * 0x94d049bb133111ebU;
    return h ^ (h >> 31);
  };
  EXPECT_EQ(hash_of(Genotype{}), expected({}));
  EXPECT_EQ(hash_of(Genotype{1, 2, 3}), expected({1, 2, 3}));
  EXPECT_EQ(hash_of(Genotype{0, 65535}), expected({0, 65535}));
  EXPECT_NE(hash_of(Genotype{0}), hash_of(Genotype{0, 0}));
}

}  // namespace
}  // namespace lts
