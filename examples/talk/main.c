// Talks in numbers of tokens: each line of input is a turn, which the model answers with the likeliest tokens.
//
//   talk MODEL RUNTIME N      MODEL is the folder of a compiled model, RUNTIME that of TVM's libraries, N the tokens
//                             of an answer; a line "reset" forgets the conversation.
#include <lts_runner.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_TOKENS = 4096, LINE = 1 << 16 };

static int failed(const char* what) {
  fprintf(stderr, "talk: %s: %s\n", what, lts_runner_last_error());
  return 2;
}

/// Reads the numbers in a line behind `kept` ones; -1 where there is something else, or too many.
static long read_tokens(char* line, int32_t* tokens, long kept) {
  long n = kept;
  for (char* word = strtok(line, " \t\r\n"); word != NULL; word = strtok(NULL, " \t\r\n")) {
    char* end = word;
    const long token = strtol(word, &end, 10);
    if (n == MOST_TOKENS || *end != '\0' || token < INT32_MIN || token > INT32_MAX) return -1;
    tokens[n++] = (int32_t)token;
  }
  return n;
}

int main(int argc, char** argv) {
  const int n_answer = argc == 4 ? atoi(argv[3]) : 0;
  if (n_answer < 1) return fputs("Usage: talk MODEL RUNTIME N\n", stderr), 2;

  lts_runner_options options = LTS_RUNNER_OPTIONS_INIT;
  options.runtime = argv[2];
  lts_runner* model = NULL;
  lts_runner_info info = LTS_RUNNER_INFO_INIT;
  if (lts_runner_open(argv[1], &options, &model) != LTS_RUNNER_OK) return failed("open");
  if (lts_runner_get_info(model, &info) != LTS_RUNNER_OK) return failed("info");

  static char line[LINE];
  static int32_t tokens[MOST_TOKENS];
  long kept = 0;  // the last token of an answer, which the model sees with the next turn
  while (fgets(line, LINE, stdin) != NULL) {
    if (strcmp(line, "reset\n") == 0) {
      if (lts_runner_reset(model) != LTS_RUNNER_OK) return failed("reset");
      kept = 0;
      continue;
    }
    long n = read_tokens(line, tokens, kept);
    if (n <= kept) return fputs("talk: a line is numbers of tokens, or reset\n", stderr), 2;
    for (int i = 0; i < n_answer; ++i) {
      const float* logits = NULL;
      if (lts_runner_step(model, tokens, (size_t)n, &logits) != LTS_RUNNER_OK) return failed("step");
      n = kept = 1;
      tokens[0] = 0;
      for (int32_t j = 1; j < info.vocab_size; ++j) {
        if (logits[j] > logits[tokens[0]]) tokens[0] = j;
      }
      printf(i == 0 ? "%d" : " %d", (int)tokens[0]);
    }
    puts("");
    fflush(stdout);
  }
  lts_runner_close(model);
  return 0;
}
