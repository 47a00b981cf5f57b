#include "opening.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <climits>
#include <string_view>
#include <vector>

#include "error.hpp"
#include "manifest.hpp"
#include "processors.hpp"
#include "runtime.hpp"
#include "tensor_file.hpp"

namespace lts::runner {

std::string own_folder() {
  std::array<char, PATH_MAX> path{};
  const auto length = readlink("/proc/self/exe", path.data(), path.size());
  if (length <= 0) return "./";
  const std::string_view name(path.data(), static_cast<std::size_t>(length));
  return std::string(name.substr(0, name.rfind('/') + 1));
}

Generator open_generator(const std::string& path, const std::string& runtime, int threads) {
  struct stat status {};
  const bool is_folder = stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
  const std::string file = is_folder ? path + "/model.json" : path;
  const Manifest manifest = load_manifest(file);
  if (manifest.device != "cpu") {
    fail({file, " is compiled for the device '", one_line(manifest.device), "'; expected 'cpu'"});
  }
  if (!manifest.generation) {
    fail({file, " has no cache that it could generate with: it is a model of fixed sizes, for ",
          one_line(manifest.phase), " alone"});
  }
  std::vector<std::string> warnings;
  use_processors({}, threads, warnings);
  load_runtime(runtime.ends_with('/') ? runtime : runtime + "/");
  TensorFiles files(file.substr(0, file.rfind('/') + 1), {});
  return {manifest, files};
}

}  // namespace lts::runner
