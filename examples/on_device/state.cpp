#include "state.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <limits>
#include <stdexcept>
#include <utility>

#include "lts/json.hpp"
#include "runner/environment.hpp"
#include "runner/error.hpp"
#include "runner/fields.hpp"
#include "runner/lines.hpp"
#include "runner/tensor_file.hpp"

namespace on_device {

using lts::runner::fail;
using lts::runner::Fields;
using lts::runner::Json;
using lts::runner::reason;

namespace {

constexpr double kMaxMs = 1e9;

Measured read_measured(const Json& json, const std::string& where) {
  const Fields fields(json, where);
  fields.allow({"ms", "runs"});
  return {.ms = fields.number("ms", 0, kMaxMs), .runs = fields.integer("runs", 1, std::numeric_limits<int>::max())};
}

/// A file that is being written.
class File {
 public:
  File(std::string path, int flags) : path_(std::move(path)), file_(open(path_.c_str(), flags | O_CLOEXEC, 0666)) {
    if (file_ < 0) refuse(errno);
  }
  ~File() { close(file_); }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  void write(const std::string& text) const {
    if (const int error = lts::runner::write_all(file_, text); error != 0) refuse(error);
  }
  void sync() const {
    if (fsync(file_) != 0) refuse(errno);
  }

 private:
  [[noreturn]] void refuse(int error) const { fail({"cannot write ", path_, ": ", reason(error)}); }

  std::string path_;
  int file_;
};

}  // namespace

std::string this_device() {
  const auto found = lts::runner::environment();
  return found.cpu + ", " + found.triple;
}

State load_state(const std::string& path, const Index& index) {
  State state;
  if (access(path.c_str(), F_OK) != 0 && errno == ENOENT) return state;
  const lts::runner::MappedFile file(path);
  const Json json = lts::runner::parse_json({reinterpret_cast<const char*>(file.data()), file.size()}, path);
  const Fields fields(json, path);
  fields.allow({"schema", "index", "device", "measured", "search"});
  if (fields.integer("schema", 0, INT64_MAX) != 1) fields.refuse("schema", "1");
  if (fields.text("index") != index.checksum) {
    fail({path, " belongs to another shapes.json; remove it, or name another file with --state"});
  }
  if (fields.text("device") != this_device()) {
    fail({path, " was measured on ", lts::runner::one_line(fields.text("device")), "; this is ", this_device(),
          ": remove it, or name another file with --state"});
  }
  const std::string where = path + ": 'measured'";
  const Fields measured(fields.at("measured"), where);
  for (const auto& [model, value] : fields.at("measured").items()) {
    state.measured[model] = read_measured(value, where + ", '" + lts::runner::one_line(model) + "'");
  }
  if (!fields.has("search") || fields.at("search").is_null()) return state;
  try {
    state.search = lts::search_state_from_json(fields.at("search").dump());
  } catch (const std::invalid_argument& error) {
    fail({path, ": 'search': ", error.what()});
  }
  return state;
}

void save_state(const std::string& path, const Index& index, const std::map<std::string, Measured>& measured,
                const lts::SearchState& search) {
  nlohmann::ordered_json times = nlohmann::ordered_json::object();
  for (const auto& [model, value] : measured) times[model] = {{"ms", value.ms}, {"runs", value.runs}};
  const nlohmann::ordered_json json{{"schema", 1},
                                    {"index", index.checksum},
                                    {"device", this_device()},
                                    {"measured", std::move(times)},
                                    {"search", nlohmann::ordered_json::parse(lts::to_json(search))}};
  const std::string unfinished = path + ".new";
  {
    const File file(unfinished, O_WRONLY | O_CREAT | O_TRUNC);
    file.write(json.dump() + "\n");
    file.sync();
  }
  if (std::rename(unfinished.c_str(), path.c_str()) != 0) fail({"cannot write ", path, ": ", reason(errno)});
  // The name, too, has to outlive a loss of power.
  const auto slash = path.rfind('/');
  const File folder(slash == std::string::npos ? "." : path.substr(0, slash + 1), O_RDONLY | O_DIRECTORY);
  folder.sync();
}

}  // namespace on_device
