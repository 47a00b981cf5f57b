// Runs a GGUF file by llama.cpp, on token ids, in float32 all through: what tests compare exported models with.
//   llama_model MODEL logits OUT ID...       writes float32 logits [ids, tokens] of a pass over the ids to OUT
//   llama_model MODEL generate N ID...       prints N further tokens, each the most likely one
//   llama_model MODEL tokenize TEXT          prints the ids of a text
//   llama_model MODEL quantize OUT FTYPE     writes the model with matrices of another type, a number of llama_ftype
#include <llama.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

namespace {

[[noreturn]] void fail(const char* what) {
  std::fprintf(stderr, "llama_model: %s\n", what);
  std::exit(1);
}

llama_context* open(llama_model* model, std::size_t n) {
  llama_context_params params = llama_context_default_params();
  params.n_ctx = static_cast<unsigned>(n);
  params.n_batch = params.n_ubatch = static_cast<unsigned>(n);
  params.n_threads = params.n_threads_batch = 1;
  params.type_k = params.type_v = GGML_TYPE_F32;  // by default keys and values are rounded to float16
  params.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_DISABLED;
  llama_context* context = llama_init_from_model(model, params);
  if (context == nullptr) fail("cannot make a context");
  return context;
}

const float* decode(llama_context* context, std::vector<llama_token>& ids, int past, int index) {
  llama_batch batch = llama_batch_init(static_cast<int>(ids.size()), 0, 1);
  for (std::size_t i = 0; i < ids.size(); ++i) {
    batch.token[i] = ids[i];
    batch.pos[i] = past + static_cast<int>(i);
    batch.n_seq_id[i] = 1;
    batch.seq_id[i][0] = 0;
    batch.logits[i] = 1;
  }
  batch.n_tokens = static_cast<int>(ids.size());
  if (llama_decode(context, batch) != 0) fail("cannot decode");
  llama_batch_free(batch);
  return llama_get_logits_ith(context, index);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 4) fail("too few arguments");
  llama_log_set(
      [](ggml_log_level level, const char* text, void*) {
        if (level >= GGML_LOG_LEVEL_ERROR) std::fputs(text, stderr);
      },
      nullptr);
  llama_backend_init();
  if (std::strcmp(argv[2], "quantize") == 0) {
    if (argc != 5) fail("expected MODEL quantize OUT FTYPE");
    llama_model_quantize_params params = llama_model_quantize_default_params();
    params.ftype = static_cast<llama_ftype>(std::atoi(argv[4]));
    params.nthread = 1;
    params.allow_requantize = true;
    return static_cast<int>(llama_model_quantize(argv[1], argv[3], &params));
  }
  llama_model* model = llama_model_load_from_file(argv[1], llama_model_default_params());
  if (model == nullptr) fail("cannot load the model");
  const llama_vocab* vocab = llama_model_get_vocab(model);
  const int n_vocab = llama_vocab_n_tokens(vocab);
  const std::string what = argv[2];
  if (what == "tokenize") {
    std::vector<llama_token> ids(4 * std::strlen(argv[3]) + 16);
    const int n = llama_tokenize(vocab, argv[3], static_cast<int>(std::strlen(argv[3])), ids.data(),
                                 static_cast<int>(ids.size()), true, true);
    for (int i = 0; i < n; ++i) std::printf("%d ", ids[static_cast<std::size_t>(i)]);
    return 0;
  }
  std::vector<llama_token> ids;
  for (int i = 4; i < argc; ++i) ids.push_back(std::atoi(argv[i]));
  if (what == "logits") {
    llama_context* context = open(model, ids.size());
    decode(context, ids, 0, 0);
    std::FILE* file = std::fopen(argv[3], "wb");
    if (file == nullptr) fail("cannot write");
    for (std::size_t i = 0; i < ids.size(); ++i) {
      std::fwrite(llama_get_logits_ith(context, static_cast<int>(i)), sizeof(float), static_cast<std::size_t>(n_vocab),
                  file);
    }
    return std::fclose(file);
  }
  const int n = std::atoi(argv[3]);
  llama_context* context = open(model, ids.size() + static_cast<std::size_t>(n));
  const float* logits = decode(context, ids, 0, static_cast<int>(ids.size()) - 1);
  int past = static_cast<int>(ids.size());
  for (int i = 0; i < n; ++i, ++past) {
    const auto next = static_cast<llama_token>(std::max_element(logits, logits + n_vocab) - logits);
    std::printf("%d ", next);
    std::vector<llama_token> one{next};
    logits = decode(context, one, past, 0);
  }
  return 0;
}
