#include "runtime.hpp"

#include <dlfcn.h>
#include <malloc.h>
#include <tvm/ffi/c_api.h>

#include <array>
#include <cstring>
#include <exception>
#include <memory>
#include <string_view>
#include <utility>

#include "elf.hpp"
#include "error.hpp"

namespace lts::runner {

namespace {

// The functions of TVM's C interface that are used; resolved once, when the libraries are loaded.
struct Api {
  decltype(&TVMFFIObjectIncRef) inc_ref = nullptr;
  decltype(&TVMFFIObjectDecRef) dec_ref = nullptr;
  decltype(&TVMFFIFunctionGetGlobal) get_global = nullptr;
  decltype(&TVMFFIFunctionCall) call = nullptr;
  decltype(&TVMFFIErrorMoveFromRaised) move_error = nullptr;
  decltype(&TVMFFITensorFromDLPack) from_dlpack = nullptr;
};
// NOLINTBEGIN(cppcoreguidelines-avoid-non-const-global-variables): the libraries, too, are the process's
Api api;
std::string loaded_from;  // folder of the libraries; empty until they are loaded
// NOLINTEND(cppcoreguidelines-avoid-non-const-global-variables)

// The virtual machine's allocator: a pool that keeps the memory of a run for the next one.
constexpr std::int64_t kPooledAllocator = 2;

void* open_library(const std::string& path) {
  check_library(path);
  void* const library = dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL);
  if (library == nullptr) fail({"cannot load ", one_line(dlerror())});
  return library;
}

template <class Function>
void resolve(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  if (function == nullptr) fail({"libtvm_ffi.so is of another version: it has no function '", name, "'"});
}

TVMFFIByteArray bytes(std::string_view text) { return {text.data(), text.size()}; }

TVMFFIAny any(std::int64_t value) {
  TVMFFIAny result{};
  result.type_index = kTVMFFIInt;
  result.v_int64 = value;
  return result;
}

TVMFFIAny any(const char* text) {
  TVMFFIAny result{};
  result.type_index = kTVMFFIRawStr;
  result.v_c_str = text;
  return result;
}

TVMFFIAny any(bool value) {
  TVMFFIAny result{};
  result.type_index = kTVMFFIBool;
  result.v_int64 = static_cast<std::int64_t>(value);
  return result;
}

TVMFFIAny any_object(void* object) {
  TVMFFIAny result{};
  result.type_index = TVMFFIObjectGetTypeIndex(object);
  result.v_obj = static_cast<TVMFFIObject*>(object);
  return result;
}

/// The message without the failed condition in TVM's sources: "Check failed: CONDITION (1 vs. 2) : REASON".
std::string_view without_condition(std::string_view message) {
  if (!message.starts_with("Check failed: ")) return message;
  for (const std::string_view end : {") is false: ", ") : "}) {
    const auto at = message.find(end);
    if (at != std::string_view::npos && at + end.size() < message.size()) return message.substr(at + end.size());
  }
  return message;
}

/// Throws the error that TVM has raised in this thread: its last line, since those before point into TVM's sources.
[[noreturn]] void raise_error() {
  void* handle = nullptr;
  api.move_error(&handle);
  if (handle == nullptr) fail({"TVM gives no reason"});
  const Object error(handle);
  const TVMFFIErrorCell& cell = *TVMFFIErrorGetCellPtr(handle);
  const std::string message = last_line({cell.message.data, cell.message.size});
  if (message.find("bad_alloc") != std::string::npos) throw std::bad_alloc();
  if (message.empty()) fail({"TVM: ", one_line({cell.kind.data, cell.kind.size})});
  fail({"TVM: ", without_condition(message)});
}

void check(int status) {
  if (status != 0) raise_error();
}

/// Calls a function whose result need not be an object.
TVMFFIAny call_any(const Object& function, std::span<TVMFFIAny> arguments) {
  TVMFFIAny result{};
  result.type_index = kTVMFFINone;
  check(api.call(function.get(), arguments.data(), static_cast<std::int32_t>(arguments.size()), &result));
  return result;
}

Object as_object(const TVMFFIAny& value) {
  return value.type_index >= kTVMFFIStaticObjectBegin ? Object(value.v_obj) : Object();
}

Object global(const std::string& name) {
  const TVMFFIByteArray key = bytes(name);
  void* handle = nullptr;
  check(api.get_global(&key, &handle));
  if (handle == nullptr) fail({"TVM's runtime has no function '", name, "'"});
  return Object(handle);
}

DLDataType dl_type(DType dtype) {
  switch (dtype) {
    case DType::float32:
      return {.code = kDLFloat, .bits = 32, .lanes = 1};
    case DType::float16:
      return {.code = kDLFloat, .bits = 16, .lanes = 1};
    case DType::int64:
      return {.code = kDLInt, .bits = 64, .lanes = 1};
    case DType::int32:
      return {.code = kDLInt, .bits = 32, .lanes = 1};
    case DType::int8:
      return {.code = kDLInt, .bits = 8, .lanes = 1};
    case DType::uint8:
      return {.code = kDLUInt, .bits = 8, .lanes = 1};
    case DType::boolean:
      return {.code = kDLBool, .bits = 8, .lanes = 1};
  }
  return {};
}

/// The data that a tensor held by TVM refers to, kept until TVM deletes the tensor.
struct Held {
  DLManagedTensor managed{};
  std::vector<std::int64_t> shape;
  TensorData data;
};

}  // namespace

Object::~Object() {
  if (handle_ != nullptr) api.dec_ref(handle_);
}

void load_runtime(const std::string& folder) {
  if (!loaded_from.empty() && loaded_from != folder) {
    fail({"TVM is loaded from ", loaded_from, ", not from ", folder, ": use another process"});
  }
  if (!loaded_from.empty()) return;
  void* const ffi = open_library(folder + "libtvm_ffi.so");
  Api found;
  resolve(ffi, "TVMFFIObjectIncRef", found.inc_ref);
  resolve(ffi, "TVMFFIObjectDecRef", found.dec_ref);
  resolve(ffi, "TVMFFIFunctionGetGlobal", found.get_global);
  resolve(ffi, "TVMFFIFunctionCall", found.call);
  resolve(ffi, "TVMFFIErrorMoveFromRaised", found.move_error);
  resolve(ffi, "TVMFFITensorFromDLPack", found.from_dlpack);
  open_library(folder + "libtvm_runtime.so");
  api = found;
  loaded_from = folder;
}

void release_memory() noexcept {
  try {
    call_any(global("vm.builtin.memory_manager.clear"), {});
  } catch (const std::exception&) {  // a version of TVM without this function keeps its memory
  }
#ifdef __GLIBC__
  malloc_trim(0);
#endif
}

Object load_model(const std::string& path) {
  check_library(path);
  std::array arguments{any(path.c_str())};
  const Object library = as_object(call_any(global("ffi.ModuleLoadFromFile"), arguments));
  if (!library) fail({path, " is not a library of TVM"});
  constexpr std::string_view loader = "vm_load_executable";
  Object model;
  try {
    model = call(find_function(library, std::string(loader)), {});
  } catch (const Error&) {
    fail({path, " is not a compiled model: it has no '", loader, "' that works"});
  }
  std::array device{any(std::int64_t{kDLCPU}), any(std::int64_t{0}), any(kPooledAllocator)};
  call_any(find_function(model, "vm_initialization"), device);
  return model;
}

Object find_function(const Object& model, const std::string& name) {
  std::array arguments{any_object(model.get()), any(name.c_str()), any(false)};
  Object found = as_object(call_any(global("ffi.ModuleGetFunction"), arguments));
  if (!found) fail({"the model has no function '", name, "'"});
  return found;
}

Object make_tensor(const TensorSpec& spec, TensorData data) {
  auto held = std::make_unique<Held>();
  held->shape = spec.shape;
  held->data = std::move(data);
  DLTensor& tensor = held->managed.dl_tensor;
  tensor.data = const_cast<std::byte*>(held->data.get());  // NOLINT(*-const-cast): the interface has no const
  tensor.device = {.device_type = kDLCPU, .device_id = 0};
  tensor.ndim = static_cast<std::int32_t>(held->shape.size());
  tensor.dtype = dl_type(spec.dtype);
  tensor.shape = held->shape.data();
  held->managed.manager_ctx = held.get();
  held->managed.deleter = [](DLManagedTensor* self) { delete static_cast<Held*>(self->manager_ctx); };
  void* handle = nullptr;
  check(api.from_dlpack(&held->managed, tensor_alignment, 1, &handle));
  held.release();  // NOLINT(bugprone-unused-return-value): TVM calls the deleter
  return Object(handle);
}

std::vector<void*> handles(const std::vector<Object>& objects) {
  std::vector<void*> result;
  result.reserve(objects.size());
  for (const auto& object : objects) result.push_back(object.get());
  return result;
}

std::vector<Object> load_tensors(TensorFiles& files, const std::vector<TensorSpec>& specs) {
  std::vector<Object> result;
  result.reserve(specs.size());
  for (const auto& spec : specs) result.push_back(make_tensor(spec, files.load(spec)));
  return result;
}

Object call(const Object& function, std::span<void* const> arguments) {
  std::vector<TVMFFIAny> values;
  values.reserve(arguments.size());
  for (void* const argument : arguments) values.push_back(any_object(argument));
  Object result = as_object(call_any(function, values));
  if (!result) fail({"a function of the model gives no tensor"});
  return result;
}

std::vector<Object> items_of(Object value) {
  std::vector<Object> result;
  if (TVMFFIObjectGetTypeIndex(value.get()) != kTVMFFIArray) {
    result.push_back(std::move(value));
    return result;
  }
  std::array array{any_object(value.get())};
  const std::int64_t n = call_any(global("ffi.ArraySize"), array).v_int64;
  const Object get = global("ffi.ArrayGetItem");
  for (std::int64_t i = 0; i < n; ++i) {
    std::array arguments{any_object(value.get()), any(i)};
    result.push_back(as_object(call_any(get, arguments)));
    if (!result.back()) fail({"item ", std::to_string(i), " of what the model gives is no tensor"});
  }
  return result;
}

Output view_of(const Object& tensor, const std::string& what) {
  if (TVMFFIObjectGetTypeIndex(tensor.get()) != kTVMFFITensor) fail({what, " is no tensor"});
  const DLTensor& view = *TVMFFITensorGetDLTensorPtr(tensor.get());
  if (view.device.device_type != kDLCPU) fail({what, " is not in the processor's memory"});
  Output output;
  output.shape.assign(view.shape, view.shape + view.ndim);
  bool known = false;
  for (const auto dtype :
       {DType::float32, DType::float16, DType::int64, DType::int32, DType::int8, DType::uint8, DType::boolean}) {
    const DLDataType type = dl_type(dtype);
    if (std::memcmp(&type, &view.dtype, sizeof type) != 0) continue;
    output.dtype = dtype;
    known = true;
  }
  if (!known) fail({what, " has a type that is not ", kDTypeNames});
  // TVM gives strides also for tensors without gaps.
  std::int64_t stride = 1;
  for (int i = view.ndim - 1; i >= 0 && view.strides != nullptr; --i) {
    if (view.shape[i] > 1 && view.strides[i] != stride) fail({what, " has gaps between its rows"});
    stride *= view.shape[i];
  }
  const std::uint64_t bytes = tensor_bytes(output.shape, output.dtype, what);
  if (!std::in_range<std::size_t>(bytes)) fail({what, " is larger than any memory"});
  const auto* const data = static_cast<const std::byte*>(view.data) + static_cast<std::size_t>(view.byte_offset);
  output.bytes = {data, static_cast<std::size_t>(bytes)};
  return output;
}

}  // namespace lts::runner
