#pragma once

#include <span>
#include <string>
#include <utility>
#include <vector>

#include "manifest.hpp"
#include "output.hpp"
#include "tensor_file.hpp"

namespace lts::runner {

/// An object of TVM (a module, a function, a tensor, an array) of which this is one owner.
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

// TVM's runtime. Its libraries are loaded when they are needed, so that one that is missing, damaged or too new for
// this machine is an error with a sentence. They stay loaded; a model goes with its last object. All functions throw
// Error with TVM's reason.

/// Loads libtvm_ffi.so and libtvm_runtime.so from a folder, whose name ends with a slash, unless that was done. All
/// else needs that. @throws Error also when they were loaded from another folder.
void load_runtime(const std::string& folder);

/// Gives back what TVM and the C library keep of the memory of models that are gone.
void release_memory() noexcept;

/// A library with an executable of Relax's virtual machine, ready to run on the processor.
Object load_model(const std::string& path);

/// A function of a model. @throws Error when it has none of that name.
Object find_function(const Object& model, const std::string& name);

/// A tensor that refers to the data.
Object make_tensor(const TensorSpec& spec, TensorData data);

/// Calls a function with objects; an array or a tensor comes back.
Object call(const Object& function, std::span<void* const> arguments);

/// The items of an array, or the one tensor that is given instead of it.
std::vector<Object> items_of(Object value);

/// What a tensor holds. @throws Error naming `what` when it is none that can be looked at.
Output view_of(const Object& tensor, const std::string& what);

}  // namespace lts::runner
