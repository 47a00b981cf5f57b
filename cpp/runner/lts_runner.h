#ifndef LTS_RUNNER_H_
#define LTS_RUNNER_H_

// Compiled models that generate, for C11 and for languages that call C: tokens in, logits out. See docs/runner.md.
//
//   lts_runner* model = NULL;
//   if (lts_runner_open("model/model.json", NULL, &model) != LTS_RUNNER_OK) puts(lts_runner_last_error());
//
// A function that returns less than LTS_RUNNER_OK has done nothing, and lts_runner_last_error() is one sentence that
// says what was wrong and what would be right. No exception leaves a function. Any number of models may be open at the
// same time; of one, a single thread at a time may use the handle, and only one thread at a time opens models.
// Structures begin with their size as the caller knows it.

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define LTS_RUNNER_NOEXCEPT noexcept
extern "C" {
#else
#define LTS_RUNNER_NOEXCEPT
#endif

/// Result of a call.
typedef int32_t lts_runner_status;
enum {
  LTS_RUNNER_OK = 0,
  LTS_RUNNER_INVALID_ARGUMENT = -1,  ///< NULL, a token that is none, more tokens than there are positions left
  LTS_RUNNER_NO_MODEL = -2,          ///< files that are missing, damaged, of another kind, or for another machine
  LTS_RUNNER_OUT_OF_MEMORY = -3,
  LTS_RUNNER_FAILED = -4  ///< the model, or TVM's runtime, could not do it
};

/// An open model, with the tokens that it has seen.
typedef struct lts_runner lts_runner;

typedef struct lts_runner_options {
  size_t struct_size;
  const char* runtime;  ///< folder of libtvm_ffi.so and libtvm_runtime.so; NULL: that of the program
  int32_t threads;      ///< the same for all models of a process
} lts_runner_options;
#define LTS_RUNNER_OPTIONS_INIT \
  { sizeof(lts_runner_options), NULL, 1 }

typedef struct lts_runner_info {
  size_t struct_size;
  int64_t vocab_size;   ///< tokens are below this; number of logits
  int64_t n_positions;  ///< tokens that there is room for
  int64_t length;       ///< tokens that there are
} lts_runner_info;
#define LTS_RUNNER_INFO_INIT \
  { sizeof(lts_runner_info), 0, 0, 0 }

/// Why the last failed call of this thread failed; "" when none did. Valid until the next call fails.
const char* lts_runner_last_error(void) LTS_RUNNER_NOEXCEPT;

/// Opens a model that `lts-engine export --format tvm` has written.
/// @param model its folder, or the model.json in it
/// @param options NULL: the defaults
/// @param out the model, for lts_runner_close; NULL after an error
lts_runner_status lts_runner_open(const char* model, const lts_runner_options* options,
                                  lts_runner** out) LTS_RUNNER_NOEXCEPT;

/// Appends tokens, one or more, and gives the logits after the last of them: `vocab_size` numbers, which the model owns
/// and which are there until its next call. The first call with a prompt is the prompt pass, later ones with a token
/// each are the steps of generating, and several tokens at once are a further turn. After an error, the tokens are
/// those before.
lts_runner_status lts_runner_step(lts_runner* model, const int32_t* tokens, size_t n_tokens,
                                  const float** logits) LTS_RUNNER_NOEXCEPT;

/// Forgets all tokens.
lts_runner_status lts_runner_reset(lts_runner* model) LTS_RUNNER_NOEXCEPT;

/// Forgets all but the first `length` tokens.
lts_runner_status lts_runner_rewind(lts_runner* model, int64_t length) LTS_RUNNER_NOEXCEPT;

/// Says what the model is, and how far it has come.
lts_runner_status lts_runner_get_info(const lts_runner* model, lts_runner_info* info) LTS_RUNNER_NOEXCEPT;

/// Closes a model and frees its memory. Ignores NULL.
void lts_runner_close(lts_runner* model) LTS_RUNNER_NOEXCEPT;

#ifdef __cplusplus
}
#endif

#endif  // LTS_RUNNER_H_
