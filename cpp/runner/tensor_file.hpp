#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <string>

#include "manifest.hpp"

namespace lts::runner {

/// A file in memory, read-only.
class MappedFile {
 public:
  /// @throws Error when it cannot be opened or mapped.
  explicit MappedFile(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  [[nodiscard]] const std::byte* data() const { return data_; }
  [[nodiscard]] std::size_t size() const { return size_; }
  /// Gives the pages back to the system, which reads them again when they are used.
  void drop() const;

 private:
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

/// Bytes of a tensor, kept as long as they are referred to.
using TensorData = std::shared_ptr<const std::byte>;

/// The files with the tensors of a model; every one is mapped once.
class TensorFiles {
 public:
  /// @param folder where files lie, unless `paths` has them by their names
  TensorFiles(std::string folder, std::map<std::string, std::string> paths)
      : folder_(std::move(folder)), paths_(std::move(paths)) {}

  /// The path of a file by its name in the manifest.
  [[nodiscard]] std::string path(const std::string& name) const;

  /// The bytes of a tensor, at an address that is a multiple of 64: in the mapped file, or copied where they are not.
  /// @throws Error when the file is not there or too short.
  TensorData load(const TensorSpec& tensor);

  /// Gives all pages back to the system.
  void drop() const;

 private:
  std::string folder_;
  std::map<std::string, std::string> paths_;
  std::map<std::string, std::shared_ptr<const MappedFile>> mapped_;
};

/// What code made by TVM relies on.
constexpr std::size_t tensor_alignment = 64;

}  // namespace lts::runner
