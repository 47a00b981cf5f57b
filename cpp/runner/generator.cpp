#include "generator.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>
#include <utility>

#include "error.hpp"

namespace lts::runner {

namespace {

// With fewer tokens than one in so many of a chunk, single tokens take less time than a chunk that is filled up: the
// products of 128 rows take as long as some 10 of one, which has to read all weights, too.
constexpr std::int64_t kFilled = 12;

/// Zeros that take memory only once they are written.
TensorData zeros(std::size_t bytes) {
  void* const memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  return {static_cast<const std::byte*>(memory),
          [bytes](const std::byte* data) { munmap(const_cast<std::byte*>(data), bytes); }};  // NOLINT(*-const-cast)
}

std::shared_ptr<std::int64_t> numbers(std::size_t size) {
  constexpr std::align_val_t alignment{tensor_alignment};
  void* const memory = ::operator new(size * sizeof(std::int64_t), alignment);
  std::memset(memory, 0, size * sizeof(std::int64_t));
  return {static_cast<std::int64_t*>(memory), [](std::int64_t* data) { ::operator delete(data, alignment); }};
}

}  // namespace

Generator::Generator(const Manifest& manifest, TensorFiles& files) {
  if (!manifest.generation) fail({"the model has no cache: it is compiled for ", one_line(manifest.phase), " alone"});
  generation_ = *manifest.generation;
  library_ = load_model(files.path(manifest.library));
  const auto function = [&](const std::string& name) {
    return Function{.object = find_function(library_, name), .arguments = generation_.functions.at(name)};
  };
  prefill_ = function("prefill");
  decode_ = function("decode");
  head_ = function("head");
  for (const TensorSpec& weight : manifest.weights) tensors_[weight.name] = make_tensor(weight, files.load(weight));
  const Function prepare = function("prepare");
  std::vector<Object> packed;
  if (!generation_.packed.empty()) packed = items_of(run(prepare, {}));
  if (packed.size() != generation_.packed.size()) {
    fail({"the model gives ", std::to_string(packed.size()), " packed weights; its manifest names ",
          std::to_string(generation_.packed.size())});
  }
  for (std::size_t i = 0; i < packed.size(); ++i) tensors_[generation_.packed[i]] = std::move(packed[i]);
  // What is only used packed is not needed any more, and what is used as it is, is mapped again when it is read.
  std::erase_if(tensors_, [&](const auto& entry) {
    const auto uses = [&](const Function& user) {
      return std::find(user.arguments.begin(), user.arguments.end(), entry.first) != user.arguments.end();
    };
    return !uses(prefill_) && !uses(decode_) && !uses(head_);
  });
  files.drop();
  for (const TensorSpec& cache : generation_.caches) {
    if (!std::in_range<std::size_t>(cache.bytes)) throw std::bad_alloc();
    tensors_[cache.name] = make_tensor(cache, zeros(static_cast<std::size_t>(cache.bytes)));
  }
  add_input("chunk", generation_.chunk);
  for (const char* const name : {"token", "past_length", "row"}) add_input(name, 1);
}

void Generator::add_input(const std::string& name, std::int64_t size) {
  TensorSpec spec;
  spec.shape = {size};
  spec.dtype = DType::int64;
  if (name == "chunk" || name == "token") spec.shape.insert(spec.shape.begin(), 1);
  auto memory = numbers(static_cast<std::size_t>(size));
  const TensorData data(memory, reinterpret_cast<const std::byte*>(memory.get()));
  inputs_[name] = {.tensor = make_tensor(spec, data), .numbers = memory};
}

Object Generator::run(const Function& function, const std::map<std::string, void*>& own) const {
  std::vector<void*> arguments;
  arguments.reserve(function.arguments.size());
  for (const std::string& name : function.arguments) {
    const auto given = own.find(name);
    const auto known = tensors_.find(name);
    if (given == own.end() && known == tensors_.end())
      fail({"the manifest does not say what '", one_line(name), "' is"});
    arguments.push_back(given != own.end() ? given->second : known->second.get());
  }
  return call(function.object, arguments);
}

void Generator::check_tokens(std::span<const std::int64_t> tokens) const {
  if (tokens.empty()) fail({"there is no token; expected one or more"});
  const auto wrong = std::find_if(tokens.begin(), tokens.end(),
                                  [&](std::int64_t token) { return token < 0 || token >= generation_.vocab_size; });
  if (wrong != tokens.end()) {
    fail({"the token ", std::to_string(*wrong), " is not in the vocabulary, which has 0 to ",
          std::to_string(generation_.vocab_size - 1)});
  }
  const std::int64_t left = generation_.n_positions - length_;
  if (std::cmp_greater(tokens.size(), left)) {
    fail({std::to_string(tokens.size()), " tokens are too many: of ", std::to_string(generation_.n_positions),
          " positions, ", std::to_string(left), " are left"});
  }
}

/// Runs tokens, at most a chunk, behind `past` ones in the cache; the hidden state of the last.
Object Generator::advance(std::span<const std::int64_t> tokens, std::int64_t past) {
  const bool single = tokens.size() == 1;
  Input& input = inputs_.at(single ? "token" : "chunk");
  std::copy(tokens.begin(), tokens.end(), input.numbers.get());
  // What fills a chunk up is behind the last token, which does not see it.
  if (!single) std::fill(input.numbers.get() + tokens.size(), input.numbers.get() + generation_.chunk, 0);
  *inputs_.at("past_length").numbers = past;
  *inputs_.at("row").numbers = static_cast<std::int64_t>(tokens.size()) - 1;
  return run(single ? decode_ : prefill_, {{"input_ids", input.tensor.get()},
                                           {"past_length", inputs_.at("past_length").tensor.get()},
                                           {"row", inputs_.at("row").tensor.get()}});
}

std::span<const float> Generator::step(std::span<const std::int64_t> tokens) {
  check_tokens(tokens);
  std::int64_t past = length_;
  Object hidden;
  while (!tokens.empty()) {
    const std::int64_t chunk = generation_.chunk;
    std::int64_t taken = std::min(chunk, static_cast<std::int64_t>(tokens.size()));
    if (taken * kFilled < chunk || past + chunk > generation_.n_positions) taken = 1;
    hidden = advance(tokens.first(static_cast<std::size_t>(taken)), past);
    past += taken;
    tokens = tokens.subspan(static_cast<std::size_t>(taken));
  }
  Object logits = run(head_, {{"hidden", hidden.get()}});
  const Output output = view_of(logits, "the output 'logits'");
  if (output.dtype != DType::float32 || std::cmp_not_equal(output.size(), generation_.vocab_size)) {
    fail({"the output 'logits' is not ", std::to_string(generation_.vocab_size), " float32 numbers"});
  }
  logits_ = std::move(logits);
  length_ = past;
  return {reinterpret_cast<const float*>(output.bytes.data()), output.size()};
}

void Generator::rewind(std::int64_t length) {
  if (length < 0 || length > length_) {
    fail({"cannot go back to ", std::to_string(length), " tokens: there are ", std::to_string(length_)});
  }
  length_ = length;
}

}  // namespace lts::runner
