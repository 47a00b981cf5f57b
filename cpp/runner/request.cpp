#include "request.hpp"

#include <sched.h>

#include <algorithm>

#include "fields.hpp"

namespace lts::runner {

namespace {

constexpr std::int64_t kMaxThreads = 1024;
constexpr std::int64_t kMaxToken = (std::int64_t{1} << 31U) - 1;
constexpr std::int64_t kMaxRepeats = 1'000'000;
constexpr double kMaxSeconds = 1e6;
constexpr double kShortestTimeout = 1e-3;

void read_sampling(const Fields& fields, Sampling& sampling) {
  if (fields.has("threads")) sampling.threads = static_cast<int>(fields.integer("threads", 1, kMaxThreads));
  if (fields.has("min_time")) sampling.min_time = fields.number("min_time", 0, kMaxSeconds);
  if (fields.has("max_time")) sampling.max_time = fields.number("max_time", 0, kMaxSeconds);
  if (fields.has("min_repeats")) sampling.min_repeats = fields.integer("min_repeats", 1, kMaxRepeats);
  if (fields.has("max_repeats")) sampling.max_repeats = fields.integer("max_repeats", 1, kMaxRepeats);
  if (fields.has("mark")) sampling.mark = fields.boolean("mark");
}

}  // namespace

Request parse_request(std::string_view line) {
  const Json json = parse_json(line, "the request");
  const Fields fields(json, "the request");
  Request request;
  if (fields.has("environment")) {
    fields.allow({"environment"});
    if (!fields.boolean("environment")) fields.refuse("environment", "true");
    request.environment = true;
    return request;
  }
  fields.allow({"run", "files", "threads", "cpus", "min_time", "min_repeats", "max_repeats", "max_time", "timeout",
                "expected", "checksum", "save", "mark", "tokens", "past"});
  request.run = fields.text("run");
  if (fields.has("files")) {
    const Fields files(fields.at("files"), "'files' of the request");
    for (const auto& [name, path] : fields.at("files").items()) request.files[name] = files.text(name);
  }
  if (fields.has("cpus")) {
    for (const auto cpu : fields.integers("cpus", 0, CPU_SETSIZE - 1))
      request.cpus.push_back(static_cast<std::size_t>(cpu));
  }
  if (fields.has("tokens")) request.tokens = fields.integers("tokens", 0, kMaxToken);
  if (fields.has("past")) request.past = fields.integer("past", 0, kMaxToken);
  read_sampling(fields, request.sampling);
  if (fields.has("timeout")) request.timeout = fields.number("timeout", kShortestTimeout, kMaxSeconds);
  if (fields.has("expected")) {
    const Fields expected(fields.at("expected"), "'expected' of the request");
    expected.allow({"file", "tolerance"});
    request.expected = Expected{.file = expected.text("file")};
    if (expected.has("tolerance")) request.expected->tolerance = expected.number("tolerance", 0, kMaxSeconds);
  }
  if (fields.has("checksum")) {
    request.checksum = fields.text("checksum");
    const bool hexadecimal = request.checksum.find_first_not_of("0123456789abcdef") == std::string::npos;
    if (request.checksum.size() != 8 || !hexadecimal) fields.refuse("checksum", "eight hexadecimal digits");
  }
  if (fields.has("save")) request.save = fields.text("save");
  return request;
}

}  // namespace lts::runner
