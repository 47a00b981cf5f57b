// Searches a space of GPT-2s from C: candidates come from the library, their costs from `measure` below, and the state
// is saved now and then, so that the same command resumes a run that was killed.
//
//   embed_c [--trials N] [--seed N] [--every N] [--state FILE] [--log FILE]

#include <errno.h>
#include <inttypes.h>
#include <lts/lts.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { EXIT_USAGE = 2, EXIT_INTERRUPTED = 130, MAX_LAYERS = 16 };

static const char space_json[] =
    "{\"name\":\"embedded\",\"family\":\"gpt2\",\"vocab_size\":8192,\"n_positions\":256,"
    "\"n_layer\":[2,3,4,5,6,7,8,9,10,11,12,13,14,15,16],\"d_model\":[128,192,256,320,384,448,512],"
    "\"n_head\":[2,4,8],\"d_ff\":[256,384,512,768,1024,1280,1536,1792,2048],\"min_ff_ratio\":1.0}";

static volatile sig_atomic_t interrupted = 0;
static void interrupt(int signal_number) {
  (void)signal_number;
  interrupted = 1;
}

struct options {
  uint64_t trials, seed, every;
  const char *state, *log;
};

struct run {
  lts_search* search;
  const struct options* options;
  FILE* log;
  uint64_t n_unsaved;
};

// --- What a candidate costs ---

// This is a model of a small processor in whole nanoseconds and bytes, so that one seed gives one search on every
// processor. In its place you would run the candidate, or layers of it, on the device and time it.
static int measure(void* user, uint64_t id, const lts_architecture* architecture, double* values, size_t n_values) {
  struct run* run = user;
  int64_t d_model, n_layer, d_ff[MAX_LAYERS], n_head[MAX_LAYERS];
  lts_parameter_counts counts = LTS_PARAMETER_COUNTS_INIT;
  if (interrupted) return LTS_STOP;
  if (lts_architecture_get(architecture, LTS_D_MODEL, 0, &d_model) != LTS_OK ||
      lts_architecture_get(architecture, LTS_N_LAYER, 0, &n_layer) != LTS_OK || n_layer > MAX_LAYERS ||
      lts_architecture_get_layers(architecture, LTS_D_FF, d_ff, (size_t)n_layer) != LTS_OK ||
      lts_architecture_get_layers(architecture, LTS_N_HEAD, n_head, (size_t)n_layer) != LTS_OK ||
      lts_count_parameters(architecture, &counts) != LTS_OK) {
    return LTS_FAILED;
  }
  int64_t nanoseconds = 20000 + 8192 * d_model / 8;
  for (int64_t l = 0; l < n_layer; ++l) {
    nanoseconds += 3000 + 400 * n_head[l];                     // overhead of each layer and head
    nanoseconds += (4 * d_model + 2 * d_ff[l]) * d_model / 8;  // 8 multiply-adds a nanosecond
  }
  values[0] = (double)counts.decoder;
  values[1] = (double)nanoseconds / 1e6;
  values[2] = (double)(counts.total * 4) / (1024.0 * 1024.0);
  (void)n_values;
  if (run->log != NULL) {
    char* json = NULL;
    if (lts_architecture_to_json(architecture, &json) != LTS_OK) return LTS_FAILED;
    fprintf(run->log, "%" PRIu64 " %.17g %.17g %s\n", id, values[1], values[2], json);
    lts_free_text(json);
  }
  return LTS_MEASURED;
}

// --- State: a file that is whole at any time ---

static int save(struct run* run) {
  const char* path = run->options->state;
  char unfinished[4096];
  char* json = NULL;
  run->n_unsaved = 0;
  if (path == NULL) return 0;
  if (run->log != NULL) fflush(run->log);
  if (snprintf(unfinished, sizeof unfinished, "%s.tmp", path) >= (int)sizeof unfinished) {
    fprintf(stderr, "embed_c: the name %s is too long\n", path);
    return -1;
  }
  if (lts_search_save(run->search, &json) != LTS_OK) {
    fprintf(stderr, "embed_c: %s\n", lts_last_error());
    return -1;
  }
  FILE* file = fopen(unfinished, "w");
  int failed = file == NULL || fputs(json, file) == EOF || fflush(file) != 0 || fsync(fileno(file)) != 0;
  const int why = errno;
  if (file != NULL && fclose(file) != 0) failed = 1;
  lts_free_text(json);
  if (failed || rename(unfinished, path) != 0) {
    fprintf(stderr, "embed_c: cannot write %s: %s\n", path, strerror(failed ? why : errno));
    remove(unfinished);
    return -1;
  }
  return 0;
}

// The text of a file; NULL when there is no such file. Ends the program when it cannot be read.
static char* read_file(const char* path) {
  FILE* file = fopen(path, "r");
  size_t size = 0, capacity = 1 << 16;
  char* text = NULL;
  if (file == NULL && errno == ENOENT) return NULL;
  struct stat status;
  if (file != NULL && (fstat(fileno(file), &status) != 0 || !S_ISREG(status.st_mode))) {
    fprintf(stderr, "embed_c: %s is not a plain file\n", path);
    exit(EXIT_USAGE);
  }
  for (;;) {
    char* const larger = file == NULL ? NULL : realloc(text, capacity);
    if (larger == NULL) break;
    text = larger;
    size += fread(text + size, 1, capacity - 1 - size, file);
    if (size < capacity - 1) break;
    capacity *= 2;
  }
  if (file == NULL || ferror(file) || text == NULL) {
    fprintf(stderr, "embed_c: cannot read %s: %s\n", path, strerror(errno));
    exit(EXIT_USAGE);
  }
  text[size] = '\0';
  fclose(file);
  return text;
}

static lts_search* start(const struct options* options) {
  lts_search* search = NULL;
  char* const state = options->state == NULL ? NULL : read_file(options->state);
  if (state != NULL) {
    lts_search_restore(state, &search);
    free(state);
    if (search == NULL) fprintf(stderr, "embed_c: %s: %s\n", options->state, lts_last_error());
    return search;
  }
  const char* const objectives[] = {"decoder_params:max", "latency_ms:min"};
  const char* const constraints[] = {"weight_mib<=96"};
  lts_search_options search_options = LTS_SEARCH_OPTIONS_INIT;
  search_options.objectives = objectives;
  search_options.n_objectives = 2;
  search_options.constraints = constraints;
  search_options.n_constraints = 1;
  search_options.seed = options->seed;
  lts_space* space = NULL;
  if (lts_space_from_json(space_json, &space) != LTS_OK ||
      lts_search_create(space, &search_options, &search) != LTS_OK) {
    fprintf(stderr, "embed_c: %s\n", lts_last_error());
  }
  lts_space_destroy(space);  // the search has its own
  return search;
}

// Opens the log behind the lines that the search knows of: what was measured after the last save is measured again.
static FILE* open_log(const char* path, const lts_search* search) {
  lts_search_progress progress = LTS_SEARCH_PROGRESS_INIT;
  lts_search_get_progress(search, &progress);
  FILE* file = fopen(path, "a+");
  if (file == NULL) return NULL;
  rewind(file);
  long end = 0;
  uint64_t n_lines = 0;
  for (int c = 0; n_lines < progress.n_told && (c = getc(file)) != EOF;) {
    if (c != '\n') continue;
    ++n_lines;
    end = ftell(file);
  }
  if (fseek(file, 0, SEEK_END) != 0 || ftruncate(fileno(file), end) != 0) {
    fclose(file);
    return NULL;
  }
  return file;
}

// --- The search ---

static int search_on(struct run* run) {
  lts_search_progress progress = LTS_SEARCH_PROGRESS_INIT;
  lts_status status = LTS_OK;
  while (status == LTS_OK && lts_search_get_progress(run->search, &progress) == LTS_OK) {
    const uint64_t done = progress.n_told + progress.n_failed;
    if (done >= run->options->trials) break;
    const uint64_t left = run->options->trials - done;
    status = lts_search_run(run->search, left < run->options->every ? left : run->options->every, measure, run, NULL);
    if (status < 0) {
      fprintf(stderr, "embed_c: %s\n", lts_last_error());
      return EXIT_FAILURE;
    }
    if (save(run) != 0) return EXIT_USAGE;
  }
  if (status == LTS_STOPPED) {
    fprintf(stderr, "embed_c: interrupted; the same command resumes\n");
    return EXIT_INTERRUPTED;
  }
  return EXIT_SUCCESS;
}

// The peak memory of this process in MiB; 0 where the system does not say. (getrusage includes the memory of the parent
// before exec.)
static double peak_memory_mib(void) {
  char line[256];
  unsigned long kib = 0;
  FILE* file = fopen("/proc/self/status", "r");
  while (file != NULL && fgets(line, sizeof line, file) != NULL) {
    if (strncmp(line, "VmHWM:", 6) == 0) kib = strtoul(line + 6, NULL, 10);
  }
  if (file != NULL) fclose(file);
  return (double)kib / 1024.0;
}

static int print_front(const lts_search* search) {
  lts_search_progress progress = LTS_SEARCH_PROGRESS_INIT;
  lts_architecture* architecture = NULL;
  lts_status status = lts_search_get_progress(search, &progress);
  if (status == LTS_OK) status = lts_architecture_create(&architecture);
  for (size_t i = 0; status == LTS_OK && i < progress.front_size; ++i) {
    double values[2];
    char* json = NULL;
    status = lts_search_front(search, i, architecture, NULL, values, 2);
    if (status == LTS_OK) status = lts_architecture_to_json(architecture, &json);
    if (status == LTS_OK) {
      printf("{\"decoder_params\":%.0f,\"latency_ms\":%.6f,\"architecture\":%s}\n", values[0], values[1], json);
    }
    lts_free_text(json);
  }
  lts_architecture_destroy(architecture);
  if (status != LTS_OK) {
    fprintf(stderr, "embed_c: %s\n", lts_last_error());
    return EXIT_FAILURE;
  }
  fprintf(stderr,
          "embed_c: %" PRIu64 " candidates, %" PRIu64
          " on the front; latency by a model of a processor; "
          "peak memory of this process %.1f MiB, measured\n",
          progress.n_told, progress.front_size, peak_memory_mib());
  if (fflush(stdout) != 0 || ferror(stdout)) {
    fprintf(stderr, "embed_c: cannot write the front: %s\n", strerror(errno));
    return EXIT_USAGE;
  }
  return EXIT_SUCCESS;
}

static uint64_t number(const char* option, const char* text, uint64_t least) {
  char* end = NULL;
  errno = 0;
  const unsigned long long value = strtoull(text, &end, 10);
  if (errno != 0 || end == text || *end != '\0' || text[0] < '0' || text[0] > '9' || value < least) {
    fprintf(stderr, "embed_c: %s is '%s'; it must be a whole number of at least %" PRIu64 "\n", option, text, least);
    exit(EXIT_USAGE);
  }
  return value;
}

int main(int argc, char** argv) {
  struct options options = {.trials = 10000, .seed = 0, .every = 1000, .state = NULL, .log = NULL};
  for (int i = 1; i < argc; i += 2) {
    const char* const value = i + 1 < argc ? argv[i + 1] : NULL;
    if (value != NULL && strcmp(argv[i], "--trials") == 0) {
      options.trials = number(argv[i], value, 1);
    } else if (value != NULL && strcmp(argv[i], "--seed") == 0) {
      options.seed = number(argv[i], value, 0);
    } else if (value != NULL && strcmp(argv[i], "--every") == 0) {
      options.every = number(argv[i], value, 1);
    } else if (value != NULL && strcmp(argv[i], "--state") == 0) {
      options.state = value;
    } else if (value != NULL && strcmp(argv[i], "--log") == 0) {
      options.log = value;
    } else {
      fprintf(stderr, "usage: embed_c [--trials N] [--seed N] [--every N] [--state FILE] [--log FILE]\n");
      return EXIT_USAGE;
    }
  }
  signal(SIGINT, interrupt);
  signal(SIGTERM, interrupt);

  struct run run = {.search = start(&options), .options = &options};
  if (run.search == NULL) return EXIT_USAGE;
  if (options.log != NULL && (run.log = open_log(options.log, run.search)) == NULL) {
    fprintf(stderr, "embed_c: cannot write %s: %s\n", options.log, strerror(errno));
    return EXIT_USAGE;
  }
  int code = search_on(&run);
  if (code == EXIT_SUCCESS) code = print_front(run.search);
  if (run.log != NULL && fclose(run.log) != 0 && code == EXIT_SUCCESS) {
    fprintf(stderr, "embed_c: cannot write %s: %s\n", options.log, strerror(errno));
    code = EXIT_USAGE;
  }
  lts_search_destroy(run.search);
  return code;
}
