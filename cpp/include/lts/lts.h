#ifndef LTS_LTS_H_
#define LTS_LTS_H_

// The whole core for C11 and for languages that call C.
//
// Handles. The caller owns what a function creates through an `out` parameter, and frees it with the function of its
// type that ends in `_destroy`. A handle is not an address: a handle that was destroyed, never existed or is of another
// type is refused with LTS_INVALID_HANDLE (a destroyed one as long as its slot has not been reused some thousand
// times). At most 65,536 are live at once.
//
// Texts are UTF-8 and end in a zero byte. The caller owns a text that a function gives out as `char** out`, and frees
// it with lts_free_text; the library owns those returned as `const char*`. docs/embedding.md describes the JSON.
//
// Errors. A function that returns less than LTS_OK has done nothing, and lts_last_error() is one sentence that says
// what was wrong, where, and what would be right. Any function may return LTS_INVALID_ARGUMENT (a pointer that must not
// be NULL, a number out of range, a wrong text), LTS_INVALID_HANDLE, LTS_BUSY and LTS_OUT_OF_MEMORY; other results are
// documented with the function. After an error outputs are unchanged, with two exceptions: `out` for a handle or a text
// is NULL, and an architecture that could not be filled for lack of memory is empty. No exception leaves a function.
//
// Threads. Any number of calls may read one object (`const`) at once, and different objects may be used concurrently.
// A call returns LTS_BUSY if another call is modifying its object, or if it would modify an object that another call is
// reading. After a fork of a program with several threads, the child must not call the library before it calls exec.
//
// Structures begin with their size as the caller knows it, so that later versions can add fields at the end: initialize
// them with the macro that ends in `_INIT`, which sets the defaults.

#include <stddef.h>
#include <stdint.h>

#define LTS_VERSION_MAJOR 0
#define LTS_VERSION_MINOR 1
#define LTS_VERSION_PATCH 0

#if defined(__GNUC__)
#define LTS_API __attribute__((visibility("default")))
#else
#define LTS_API
#endif

#ifdef __cplusplus
#define LTS_NOEXCEPT noexcept
extern "C" {
#else
#define LTS_NOEXCEPT
#endif

/// Result of a call: below 0 an error, above 0 an outcome without a result.
typedef int32_t lts_status;
enum {
  LTS_OK = 0,
  LTS_EXHAUSTED = 1,          ///< the search space is used up
  LTS_REPEATED = 2,           ///< the architecture was a candidate before
  LTS_STOPPED = 3,            ///< the measure function said LTS_STOP
  LTS_INVALID_ARGUMENT = -1,  ///< NULL, a number out of range, a wrong text
  LTS_INVALID_HANDLE = -2,    ///< destroyed, of another type, or not a handle
  LTS_BUSY = -3,              ///< another call is using the object
  LTS_OUT_OF_MEMORY = -4,     ///< a search that ran out of memory can only be destroyed
  LTS_UNSUPPORTED = -5,       ///< not in this build, or not now
  LTS_INTERNAL_ERROR = -6     ///< a bug in the library
};

typedef struct lts_space lts_space;                ///< search space; never changes
typedef struct lts_architecture lts_architecture;  ///< a Transformer language model, or empty
typedef struct lts_archive lts_archive;            ///< Pareto archive
typedef struct lts_surrogate lts_surrogate;        ///< cost model fitted to measurements; never changes
typedef struct lts_search lts_search;

// --- General ---

/// Version of the library that runs, such as "0.1.0".
LTS_API const char* lts_version(void) LTS_NOEXCEPT;

/// Why the last failed call of this thread failed; "" when none did. Valid until the next call fails.
LTS_API const char* lts_last_error(void) LTS_NOEXCEPT;

/// Name of a status, such as "LTS_OK" for 0; "unknown status" for any other number. The library owns the text.
LTS_API const char* lts_status_name(lts_status status) LTS_NOEXCEPT;

/// Frees a text. Ignores NULL.
LTS_API void lts_free_text(char* text) LTS_NOEXCEPT;

/// Where the library gets its memory. Both functions may be called by any thread that calls the library.
typedef struct lts_allocator {
  size_t struct_size;
  /// Returns `size` bytes, at least 1, at a multiple of `alignment`, a power of two; NULL when out of memory.
  void* (*allocate)(void* user, size_t size, size_t alignment);
  /// Frees memory that `allocate` returned.
  void (*deallocate)(void* user, void* memory);
  void* user;  ///< passed to both; must live as long as they are used
} lts_allocator;
#define LTS_ALLOCATOR_INIT \
  { sizeof(lts_allocator), NULL, NULL, NULL }

/// Makes the library use another allocator; NULL: malloc and free. (The memory of exceptions does not come from it.)
/// LTS_BUSY while the library holds memory: destroy what it gave out. LTS_UNSUPPORTED in the static library, which uses
/// `operator new` of the program that it is linked into. Do not call it while another thread calls the library.
LTS_API lts_status lts_set_allocator(const lts_allocator* allocator) LTS_NOEXCEPT;

/// A generator of random numbers (xoshiro256++): one seed gives one sequence on every platform.
typedef struct lts_random {
  uint64_t state[4];
} lts_random;

/// Starts the sequence of a seed.
LTS_API lts_status lts_random_seed(lts_random* random, uint64_t seed) LTS_NOEXCEPT;

// --- Architectures ---

typedef int32_t lts_dimension;
enum {
  // of the architecture
  LTS_VOCAB_SIZE = 0,
  LTS_N_POSITIONS = 1,
  LTS_N_LAYER = 2,
  LTS_D_MODEL = 3,
  LTS_HEAD_DIM = 4,  ///< 0: d_model / n_head of each layer
  LTS_D_EMBED = 5,   ///< -1: d_model
  LTS_DIV_VAL = 6,
  LTS_TIE_EMBEDDING = 7,  ///< 0 or 1
  LTS_ROTARY_DIM = 8,     ///< channels of a head that are rotated; 0: all
  LTS_QKV_BIAS = 9,       ///< 0 or 1, as the next two
  LTS_ATTENTION_OUTPUT_BIAS = 10,
  LTS_FEED_FORWARD_BIAS = 11,
  // of each layer
  LTS_N_HEAD = 100,  ///< 0: no attention, nor its norm
  LTS_N_KV_HEAD = 101,
  LTS_D_FF = 102,  ///< 0: no feed-forward network, nor its norm
  LTS_N_FF = 103,  ///< hidden layers of the feed-forward network
  LTS_MIXER = 104  ///< 0 attention, 1 weighted_attention, 2 fourier, 3 cosine, 4 convolution_5, 5 convolution_9
};

/// Creates an empty architecture, to be filled by lts_space_sample, lts_search_ask and so on. Functions that read an
/// architecture refuse an empty one.
LTS_API lts_status lts_architecture_create(lts_architecture** out) LTS_NOEXCEPT;
/// Destroys an architecture. LTS_OK for NULL; LTS_BUSY while another call uses it, which leaves it alive.
LTS_API lts_status lts_architecture_destroy(lts_architecture* architecture) LTS_NOEXCEPT;

/// An architecture from its JSON, checked. The JSON also has what no dimension is: `rotary_theta`, `norm_epsilon` and
/// `rotary_scaling`, where they are not the family's.
LTS_API lts_status lts_architecture_from_json(const char* json, lts_architecture** out) LTS_NOEXCEPT;
/// One line of JSON; equal architectures give equal texts.
LTS_API lts_status lts_architecture_to_json(const lts_architecture* architecture, char** out) LTS_NOEXCEPT;

/// Makes `to` the same as `from`, which may be empty.
LTS_API lts_status lts_architecture_copy(lts_architecture* to, const lts_architecture* from) LTS_NOEXCEPT;
/// Makes `to` the same as `from` without the layers that have neither attention nor feed-forward network.
LTS_API lts_status lts_architecture_without_empty_layers(lts_architecture* to,
                                                         const lts_architecture* from) LTS_NOEXCEPT;
/// 1 when both are the same, else 0. Empty ones are equal.
LTS_API lts_status lts_architecture_equal(const lts_architecture* a, const lts_architecture* b,
                                          int* equal) LTS_NOEXCEPT;

/// Name of the family, such as "gpt2". The library owns the text, which stays valid as long as the library is
/// loaded.
LTS_API lts_status lts_architecture_family(const lts_architecture* architecture, const char** name) LTS_NOEXCEPT;

/// A dimension of the architecture, or of one layer: `layer` from 0, and 0 for those of the architecture.
LTS_API lts_status lts_architecture_get(const lts_architecture* architecture, lts_dimension dimension, size_t layer,
                                        int64_t* value) LTS_NOEXCEPT;

/// A dimension of every layer, in order. `n_values` is the number of layers.
LTS_API lts_status lts_architecture_get_layers(const lts_architecture* architecture, lts_dimension dimension,
                                               int64_t* values, size_t n_values) LTS_NOEXCEPT;

// --- Counts and proxies: exact or estimated from the architecture alone, O(layers), without allocating ---

/// What a cost is estimated for.
typedef struct lts_workload {
  size_t struct_size;
  int64_t batch;            ///< 1 to 2^20
  int64_t n_prompt;         ///< tokens of the prompt, and the context of a decode step; 1 to 2^20
  int32_t weight_bits;      ///< 32, 16, 8 or 4
  int32_t activation_bits;  ///< likewise
  int32_t last_logits;      ///< 1: only the last position of the prompt gets logits; 0: all
} lts_workload;
#define LTS_WORKLOAD_INIT \
  { sizeof(lts_workload), 1, 128, 32, 32, 0 }

/// The name at an index among those that lts_count knows, such as decoder_params; NULL when there are fewer.
LTS_API const char* lts_count_name(size_t index) LTS_NOEXCEPT;

/// One count, estimate or proxy by name; `_mib` in MiB, `flops_` in floating-point operations. `workload` may be NULL
/// for the defaults.
LTS_API lts_status lts_count(const lts_architecture* architecture, const char* name, const lts_workload* workload,
                             double* value) LTS_NOEXCEPT;

/// Parameters by part. The decoder is all but embedding and softmax: its size ranks architectures (arXiv 2203.02094).
typedef struct lts_parameter_counts {
  size_t struct_size;
  int64_t attention;
  int64_t feed_forward;
  int64_t embedding;
  int64_t decoder;
  int64_t softmax;
  int64_t total;
} lts_parameter_counts;
#define LTS_PARAMETER_COUNTS_INIT \
  { sizeof(lts_parameter_counts), 0, 0, 0, 0, 0, 0 }

/// Counts parameters, exactly.
LTS_API lts_status lts_count_parameters(const lts_architecture* architecture,
                                        lts_parameter_counts* counts) LTS_NOEXCEPT;

/// alpha log P_attention + (1 - alpha) log P_feed_forward; alpha from 0 to 1.
LTS_API lts_status lts_geometric(const lts_architecture* architecture, double alpha, double* value) LTS_NOEXCEPT;

/// ZeroLM (arXiv 2503.18646) for weights of that variance; alpha from 0 to 1.
LTS_API lts_status lts_zerolm(const lts_architecture* architecture, double alpha, double variance,
                              double* value) LTS_NOEXCEPT;

// --- Search spaces ---

/// A search space from its JSON. LTS_INVALID_ARGUMENT also when the rules leave no architecture.
LTS_API lts_status lts_space_from_json(const char* json, lts_space** out) LTS_NOEXCEPT;
/// One line of JSON with every choice and rule.
LTS_API lts_status lts_space_to_json(const lts_space* space, char** out) LTS_NOEXCEPT;
/// Destroys a space; searches in it have a copy. LTS_OK for NULL; LTS_BUSY while another call uses it.
LTS_API lts_status lts_space_destroy(lts_space* space) LTS_NOEXCEPT;

/// The exact number of architectures, in decimal digits.
LTS_API lts_status lts_space_size(const lts_space* space, char** out) LTS_NOEXCEPT;

/// The architecture at an index, given in decimal digits, from 0 to below the size.
LTS_API lts_status lts_space_at(const lts_space* space, const char* index, lts_architecture* architecture) LTS_NOEXCEPT;

/// The index of an architecture, in decimal digits. LTS_INVALID_ARGUMENT with the reason when it is not in the space.
LTS_API lts_status lts_space_index(const lts_space* space, const lts_architecture* architecture,
                                   char** out) LTS_NOEXCEPT;

/// Why the architecture is not in the space; NULL when it is.
LTS_API lts_status lts_space_why_not(const lts_space* space, const lts_architecture* architecture,
                                     char** out) LTS_NOEXCEPT;

/// Draws an architecture, each as likely as any other: nearly always one of the deepest.
LTS_API lts_status lts_space_sample(const lts_space* space, lts_random* random,
                                    lts_architecture* architecture) LTS_NOEXCEPT;

/// Draws an architecture, each depth and width as likely as any other.
LTS_API lts_status lts_space_sample_choices(const lts_space* space, lts_random* random,
                                            lts_architecture* architecture) LTS_NOEXCEPT;

// --- Pareto fronts: points are rows of `n_objectives` numbers, all minimized, none NaN ---

/// Creates an empty archive for points of `n_objectives` numbers, at least 1.
LTS_API lts_status lts_archive_create(size_t n_objectives, lts_archive** out) LTS_NOEXCEPT;
/// Destroys an archive. LTS_OK for NULL; LTS_BUSY while another call uses it.
LTS_API lts_status lts_archive_destroy(lts_archive* archive) LTS_NOEXCEPT;

/// Adds the point unless a member dominates or equals it, and drops those that it dominates. `stayed`, which may be
/// NULL, becomes 1 or 0.
LTS_API lts_status lts_archive_insert(lts_archive* archive, const double* point, size_t n_objectives, uint64_t id,
                                      int* stayed) LTS_NOEXCEPT;

/// Whether a member dominates or equals the point: 1 or 0.
LTS_API lts_status lts_archive_covers(const lts_archive* archive, const double* point, size_t n_objectives,
                                      int* covers) LTS_NOEXCEPT;

/// Number of members.
LTS_API lts_status lts_archive_size(const lts_archive* archive, size_t* size) LTS_NOEXCEPT;

/// Copies the members in the order of insertion. `size` must be that of the archive; `points` has room for
/// size * n_objectives numbers, `ids` for size. Either may be NULL.
LTS_API lts_status lts_archive_members(const lts_archive* archive, double* points, uint64_t* ids,
                                       size_t size) LTS_NOEXCEPT;

/// Drops all members.
LTS_API lts_status lts_archive_clear(lts_archive* archive) LTS_NOEXCEPT;

/// Volume that the points dominate below the reference point, which is finite. `points` may be NULL when `n_points` is
/// 0.
LTS_API lts_status lts_hypervolume(const double* points, size_t n_points, const double* reference, size_t n_objectives,
                                   double* volume) LTS_NOEXCEPT;

/// Front number of each point, 0 for the non-dominated ones.
LTS_API lts_status lts_nondominated_sort(const double* points, size_t n_points, size_t n_objectives,
                                         uint32_t* fronts) LTS_NOEXCEPT;

/// Crowding distance of each point of one front (NSGA-II).
LTS_API lts_status lts_crowding_distance(const double* points, size_t n_points, size_t n_objectives,
                                         double* distances) LTS_NOEXCEPT;

// --- Surrogates: costs predicted from a few measurements ---

typedef struct lts_surrogate_options {
  size_t struct_size;
  double level;         ///< share of architectures whose cost lies in the predicted interval; 0.5 to 0.99
  int32_t pairwise;     ///< 1: also products of terms, for devices on which costs do not simply add up
  const double* prior;  ///< coefficients of a similar device, in the order of lts_surrogate_to_json; or NULL
  size_t n_prior;       ///< 11, or 0 without a prior; not with pairwise
} lts_surrogate_options;
#define LTS_SURROGATE_OPTIONS_INIT \
  { sizeof(lts_surrogate_options), 0.9, 0, NULL, 0 }

/// Fits a surrogate to `n` measured architectures: at least 3, with a prior 2. Values are from 1e-100 to 1e100 in any
/// unit; `noise`, their relative standard errors, and `options` may be NULL.
LTS_API lts_status lts_surrogate_fit(const lts_architecture* const* architectures, const double* values,
                                     const double* noise, size_t n, const lts_surrogate_options* options,
                                     lts_surrogate** out) LTS_NOEXCEPT;
/// Destroys a surrogate. LTS_OK for NULL; LTS_BUSY while another call uses it.
LTS_API lts_status lts_surrogate_destroy(lts_surrogate* surrogate) LTS_NOEXCEPT;

/// A surrogate from what lts_surrogate_to_json wrote.
LTS_API lts_status lts_surrogate_from_json(const char* json, lts_surrogate** out) LTS_NOEXCEPT;
/// One line of JSON; the surrogate read from it predicts the same. `coefficients` are in the unit of the measurements
/// per unit of the term.
LTS_API lts_status lts_surrogate_to_json(const lts_surrogate* surrogate, char** out) LTS_NOEXCEPT;

/// How well a surrogate predicts measurements it has not seen: each of them from all others.
typedef struct lts_surrogate_quality {
  size_t struct_size;
  uint64_t n_samples;
  double error;      ///< mean of |prediction / value - 1|
  double error_max;  ///< the largest of them
} lts_surrogate_quality;
#define LTS_SURROGATE_QUALITY_INIT \
  { sizeof(lts_surrogate_quality), 0, 0.0, 0.0 }

/// The quality of the fit.
LTS_API lts_status lts_surrogate_get_quality(const lts_surrogate* surrogate,
                                             lts_surrogate_quality* quality) LTS_NOEXCEPT;

/// Predicts the cost, in the unit of the measurements. O(layers), without allocating.
LTS_API lts_status lts_surrogate_predict(const lts_surrogate* surrogate, const lts_architecture* architecture,
                                         double* value) LTS_NOEXCEPT;

/// The same with the interval of the level asked for; `low` and `high` may be NULL.
LTS_API lts_status lts_surrogate_interval(const lts_surrogate* surrogate, const lts_architecture* architecture,
                                          double* value, double* low, double* high) LTS_NOEXCEPT;

/// A surrogate of the same costs in another unit, `factor` times, from 1e-150 to 1e150.
LTS_API lts_status lts_surrogate_scaled(const lts_surrogate* surrogate, double factor,
                                        lts_surrogate** out) LTS_NOEXCEPT;

/// Fits the costs of several devices at once, each to its own measurements and to what the others share.
///
/// Measurements stand device by device in `architectures`, `values` and, unless it is NULL, `noise`; `n` says how many
/// each device has, one of them at least 3. Units and architectures may differ. `out` receives a surrogate for each
/// device, relative for one without measurements; `unmeasured`, unless it is NULL, one for any further device: relative
/// costs, of which the mean over the architectures of all measurements is 1, for lts_surrogate_scaled where the unit is
/// known. `errors`, unless it is NULL, receives for each device the mean relative error of predicting its measurements
/// from the other devices, 0 where there are none. When it fails, all surrogates are NULL.
LTS_API lts_status lts_surrogate_fit_pooled(const lts_architecture* const* architectures, const double* values,
                                            const double* noise, const size_t* n, size_t n_devices, double level,
                                            lts_surrogate** out, lts_surrogate** unmeasured,
                                            double* errors) LTS_NOEXCEPT;

// --- Search: ask for candidates, tell what they cost ---

typedef struct lts_search_options {
  size_t struct_size;
  const char* const* objectives;  ///< such as "decoder_params:max", "latency_ms:min"; at least one
  size_t n_objectives;
  const char* const* constraints;  ///< such as "peak_memory_mib<=512"
  size_t n_constraints;
  const char* algorithm;  ///< its name, such as "lts", or JSON with options: {"name":"lts","n_parents":10}
  uint64_t seed;
} lts_search_options;
#define LTS_SEARCH_OPTIONS_INIT \
  { sizeof(lts_search_options), NULL, 0, NULL, 0, "lts", 0 }

/// Creates a search in a space, of which it keeps a copy. The same seed and the same calls give the same candidates on
/// every platform.
LTS_API lts_status lts_search_create(const lts_space* space, const lts_search_options* options,
                                     lts_search** out) LTS_NOEXCEPT;

/// Destroys a search. LTS_OK for NULL; LTS_BUSY while another call uses it.
LTS_API lts_status lts_search_destroy(lts_search* search) LTS_NOEXCEPT;

/// The whole state as one line of JSON.
LTS_API lts_status lts_search_save(const lts_search* search, char** out) LTS_NOEXCEPT;

/// A search that resumes from a saved state. LTS_INVALID_ARGUMENT when the state contradicts itself.
LTS_API lts_status lts_search_restore(const char* json, lts_search** out) LTS_NOEXCEPT;

/// The next candidate. LTS_EXHAUSTED when there is none; no architecture comes twice. `architecture` is overwritten,
/// without allocating when it is reused.
LTS_API lts_status lts_search_ask(lts_search* search, lts_architecture* architecture, uint64_t* id) LTS_NOEXCEPT;

/// Adds an architecture of your own as a candidate. LTS_REPEATED when it was a candidate before; LTS_INVALID_ARGUMENT,
/// with the reason, when it is not in the space.
LTS_API lts_status lts_search_add(lts_search* search, const lts_architecture* architecture, uint64_t* id) LTS_NOEXCEPT;

/// Tells the search the values of a candidate: one finite value per column, in the order of lts_search_column.
/// LTS_INVALID_ARGUMENT also for an id that was not asked, or was told before.
LTS_API lts_status lts_search_tell(lts_search* search, uint64_t id, const double* values, size_t n_values) LTS_NOEXCEPT;

/// Tells the search that a candidate could not be measured. It is not asked again. Errors as for lts_search_tell.
LTS_API lts_status lts_search_tell_failed(lts_search* search, uint64_t id) LTS_NOEXCEPT;

/// What a measure function returns.
enum { LTS_MEASURED = 0, LTS_FAILED = 1, LTS_STOP = 2 };

/// Measures a candidate: fills one value per column. It may call any function of the library except lts_search_run for
/// this search, and must not throw. The library owns the architecture, which lives until the function returns.
typedef int (*lts_measure)(void* user, uint64_t id, const lts_architecture* architecture, double* values,
                           size_t n_values);

/// Asks, measures and tells, `n` times. Candidates that were asked and not told come first: those that were being
/// measured when the state was saved. LTS_EXHAUSTED when the space is used up. LTS_STOPPED when the function returned
/// LTS_STOP: its candidate stays pending. LTS_BUSY while the search is being run. `n_told`, which may be NULL, becomes
/// the number of candidates measured or failed, whatever is returned.
LTS_API lts_status lts_search_run(lts_search* search, uint64_t n, lts_measure measure, void* user,
                                  uint64_t* n_told) LTS_NOEXCEPT;

typedef struct lts_search_progress {
  size_t struct_size;
  uint64_t n_asked;
  uint64_t n_told;  ///< with values
  uint64_t n_failed;
  uint64_t n_pending;  ///< asked and not told
  uint64_t front_size;
  uint64_t n_objectives;
  uint64_t n_columns;  ///< objectives, then columns that only constraints name
} lts_search_progress;
#define LTS_SEARCH_PROGRESS_INIT \
  { sizeof(lts_search_progress), 0, 0, 0, 0, 0, 0, 0 }

/// Progress of the search.
LTS_API lts_status lts_search_get_progress(const lts_search* search, lts_search_progress* progress) LTS_NOEXCEPT;

/// Name of a column, from 0. The search owns the text, which lives as long.
LTS_API lts_status lts_search_column(const lts_search* search, size_t index, const char** name) LTS_NOEXCEPT;

/// The first pending candidate (asked, not told) whose id is `from` or more. LTS_EXHAUSTED when there is none.
LTS_API lts_status lts_search_next_pending(const lts_search* search, uint64_t from, lts_architecture* architecture,
                                           uint64_t* id) LTS_NOEXCEPT;

/// A member of the Pareto front, from 0, with one value per objective, in its own direction. `architecture`, `id` and
/// `values` may be NULL.
LTS_API lts_status lts_search_front(const lts_search* search, size_t index, lts_architecture* architecture,
                                    uint64_t* id, double* values, size_t n_values) LTS_NOEXCEPT;

/// The space that is searched, as a handle of its own.
LTS_API lts_status lts_search_space(const lts_search* search, lts_space** out) LTS_NOEXCEPT;

#ifdef __cplusplus
}
#endif

#endif  // LTS_LTS_H_
