#pragma once

#include <span>
#include <string>
#include <utility>
#include <vector>

#include "manifest.hpp"
#include "output.hpp"
#include "tensor_file.hpp"

namespace lts::runner {

/// One owner of an object of TVM: a module, a function, a tensor or an array.
class Object {
 public:
  Object() = default;
  explicit Object(void* handle) : handle_(handle) {}
  Object(Object&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Object& operator=(Object&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~Object();

  [[nodiscard]] void* get() const { return handle_; }
  explicit operator bool() const { return handle_ != nullptr; }

 private:
  void* handle_ = nullptr;
};

// TVM's runtime. Its libraries are loaded when they are needed, so that a missing or damaged one, or one too new for
// this machine, is reported as an error. They stay loaded; a model is unloaded with its last object. All functions
// throw Error with TVM's reason.

/// Loads libtvm_ffi.so and libtvm_runtime.so from a folder, whose name ends with a slash, unless they are loaded. Must
/// precede all other calls. @throws Error also when they were loaded from another folder.
void load_runtime(const std::string& folder);

/// Releases the memory of unloaded models that TVM and the C library still keep.
void release_memory() noexcept;

/// A library with an executable of Relax's virtual machine, ready to run on the processor.
Object load_model(const std::string& path);

/// A function of a model. @throws Error when it has none of that name.
Object find_function(const Object& model, const std::string& name);

/// A tensor that refers to the data.
Object make_tensor(const TensorSpec& spec, TensorData data);

/// The tensors of a model's files.
std::vector<Object> load_tensors(TensorFiles& files, const std::vector<TensorSpec>& specs);

std::vector<void*> handles(const std::vector<Object>& objects);

/// Calls a function with objects; returns an array or a tensor.
Object call(const Object& function, std::span<void* const> arguments);

/// The items of an array; of a tensor, the tensor itself.
std::vector<Object> items_of(Object value);

/// A view of a tensor. @throws Error naming `what` when it cannot be viewed.
Output view_of(const Object& tensor, const std::string& what);

}  // namespace lts::runner
