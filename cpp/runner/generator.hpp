#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "manifest.hpp"
#include "runtime.hpp"
#include "tensor_file.hpp"

namespace lts::runner {

/// A compiled decoder with its cache: tokens in, logits out, at any context. Not for several threads at the same time.
class Generator {
 public:
  /// Loads the library and the weights. TVM must be loaded.
  /// @throws Error when something is missing, or the model does not generate.
  Generator(const Manifest& manifest, TensorFiles& files);

  /// Appends tokens to those in the cache, and returns the logits after the last of them, `vocab_size` numbers that are
  /// there until the next call. Takes as long as the tokens need in chunks of `Generation::chunk`, of which the last is
  /// filled up where that is faster than single tokens.
  /// @throws Error for no token, a token that is not in the vocabulary, or more tokens than there are positions left;
  /// then the cache is as it was.
  std::span<const float> step(std::span<const std::int64_t> tokens);

  /// @throws Error for tokens that `step` refuses.
  void check_tokens(std::span<const std::int64_t> tokens) const;

  /// Forgets all tokens behind the first `length`. @throws Error when there are not as many.
  void rewind(std::int64_t length);

  [[nodiscard]] std::int64_t length() const { return length_; }
  [[nodiscard]] std::int64_t vocab_size() const { return generation_.vocab_size; }
  [[nodiscard]] std::int64_t n_positions() const { return generation_.n_positions; }

 private:
  /// A function of the library and where its arguments are among the tensors; those that change are by name.
  struct Function {
    Object object;
    std::vector<std::string> arguments;
  };

  /// An int64 tensor whose numbers change.
  struct Input {
    Object tensor;
    std::shared_ptr<std::int64_t> numbers;
  };

  void add_input(const std::string& name, std::int64_t size);
  [[nodiscard]] Object run(const Function& function, const std::map<std::string, void*>& own) const;
  Object advance(std::span<const std::int64_t> tokens, std::int64_t past);

  Generation generation_;
  Object library_;
  std::map<std::string, Object> tensors_;
  std::map<std::string, Input> inputs_;
  Function prefill_, decode_, head_;
  Object logits_;
  std::int64_t length_ = 0;
};

}  // namespace lts::runner
