#include "tensor_file.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <new>
#include <utility>

#include "error.hpp"

namespace lts::runner {

namespace {

TensorData copied(const std::byte* data, std::size_t size) {
  const std::size_t rounded = (size + tensor_alignment - 1) / tensor_alignment * tensor_alignment;
  constexpr std::align_val_t alignment{tensor_alignment};
  std::shared_ptr<std::byte> copy(static_cast<std::byte*>(::operator new(rounded, alignment)),
                                  [](std::byte* bytes) { ::operator delete(bytes, alignment); });
  std::memcpy(copy.get(), data, size);
  return copy;
}

}  // namespace

MappedFile::MappedFile(const std::string& path) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) fail({"cannot open ", path, ": ", reason(errno)});
  struct stat status {};
  const bool regular = fstat(file, &status) == 0 && S_ISREG(status.st_mode);
  void* mapped = nullptr;
  int error = 0;
  const bool addressable = std::in_range<std::size_t>(status.st_size);
  if (regular && addressable && status.st_size > 0) {
    mapped = mmap(nullptr, static_cast<std::size_t>(status.st_size), PROT_READ, MAP_PRIVATE, file, 0);
    error = errno;
  }
  close(file);
  if (!regular) fail({path, " is not a regular file"});
  if (!addressable) fail({path, " has ", std::to_string(status.st_size), " bytes, more than this machine can map"});
  if (mapped == MAP_FAILED) fail({"cannot map ", path, ": ", reason(error)});
  data_ = static_cast<const std::byte*>(mapped);
  size_ = static_cast<std::size_t>(status.st_size);
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) munmap(const_cast<std::byte*>(data_), size_);  // NOLINT(*-const-cast)
}

void MappedFile::drop() const {
  if (data_ != nullptr) madvise(const_cast<std::byte*>(data_), size_, MADV_DONTNEED);  // NOLINT(*-const-cast)
}

std::string TensorFiles::path(const std::string& name) const {
  const auto found = paths_.find(name);
  std::string path = name.starts_with('/') ? name : folder_ + name;
  if (found != paths_.end()) path = found->second;
  // A name without a folder would make the system's loader look for a library elsewhere.
  return path.find('/') == std::string::npos ? "./" + path : path;
}

TensorData TensorFiles::load(const TensorSpec& tensor) {
  const std::string where = path(tensor.file);
  auto& file = mapped_[where];
  if (file == nullptr) file = std::make_shared<const MappedFile>(where);
  if (tensor.offset > file->size() || tensor.bytes > file->size() - tensor.offset) {
    fail({where, " has ", std::to_string(file->size()), " bytes; '", tensor.name, "' is ", std::to_string(tensor.bytes),
          " bytes from ", std::to_string(tensor.offset), " on"});
  }
  if (tensor.bytes == 0) {
    alignas(tensor_alignment) static const std::array<std::byte, tensor_alignment> nothing{};
    return {nothing.data(), [](const std::byte*) {}};
  }
  // Within the file, and so within what size_t can count.
  const std::byte* const data = file->data() + static_cast<std::size_t>(tensor.offset);
  const bool aligned = reinterpret_cast<std::uintptr_t>(data) % tensor_alignment == 0;
  return aligned ? TensorData(file, data) : copied(data, static_cast<std::size_t>(tensor.bytes));
}

void TensorFiles::drop() const {
  for (const auto& [path, file] : mapped_) file->drop();
}

}  // namespace lts::runner
