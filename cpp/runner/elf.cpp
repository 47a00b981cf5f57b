#include "elf.hpp"

#include <elf.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <type_traits>

#include "error.hpp"
#include "tensor_file.hpp"

namespace lts::runner {

namespace {

struct Machine {
  std::uint16_t number;
  std::string_view name;
};
constexpr std::array<Machine, 7> kMachines{{{EM_X86_64, "x86_64"},
                                            {EM_AARCH64, "aarch64"},
                                            {EM_386, "i386"},
                                            {EM_ARM, "arm"},
                                            {EM_RISCV, "riscv64"},
                                            {EM_PPC64, "ppc64"},
                                            {EM_S390, "s390x"}}};

#if defined(__x86_64__)
constexpr std::uint16_t kThisMachine = EM_X86_64;
#elif defined(__aarch64__)
constexpr std::uint16_t kThisMachine = EM_AARCH64;
#elif defined(__i386__)
constexpr std::uint16_t kThisMachine = EM_386;
#elif defined(__arm__)
constexpr std::uint16_t kThisMachine = EM_ARM;
#elif defined(__riscv)
constexpr std::uint16_t kThisMachine = EM_RISCV;
#else
#error "say in elf.cpp which processor this is"
#endif

constexpr bool kWide = sizeof(void*) == 8;
using Header = std::conditional_t<kWide, Elf64_Ehdr, Elf32_Ehdr>;
using Segment = std::conditional_t<kWide, Elf64_Phdr, Elf32_Phdr>;

std::string machine_name(std::uint16_t number) {
  const auto* const found =
      std::find_if(kMachines.begin(), kMachines.end(), [&](const Machine& known) { return known.number == number; });
  return found == kMachines.end() ? "processor " + std::to_string(number) : std::string(found->name);
}

/// The end of a part of a file; the largest number when the sum overflows.
std::uint64_t end_of(std::uint64_t offset, std::uint64_t size) {
  std::uint64_t end = 0;
  return __builtin_add_overflow(offset, size, &end) ? UINT64_MAX : end;
}

[[noreturn]] void truncated(const std::string& path, std::uint64_t size, std::uint64_t needed) {
  fail({path, " is truncated (", std::to_string(size), " of ", std::to_string(needed), " bytes)"});
}

}  // namespace

void check_library(const std::string& path) {
  const MappedFile file(path);
  const std::uint64_t size = file.size();
  if (size < SELFMAG || std::memcmp(file.data(), ELFMAG, SELFMAG) != 0) fail({path, " is not a shared library"});
  if (size < sizeof(Header)) truncated(path, size, sizeof(Header));
  Header header{};
  std::memcpy(&header, file.data(), sizeof header);
  // In a file of the other byte order the number is reversed, and matches no known processor.
  if (header.e_machine != kThisMachine || header.e_ident[EI_CLASS] != (kWide ? ELFCLASS64 : ELFCLASS32)) {
    fail({path, " is for ", machine_name(header.e_machine), "; this machine is ", machine_name(kThisMachine)});
  }
  if (header.e_type != ET_DYN || (header.e_phnum > 0 && header.e_phentsize != sizeof(Segment))) {
    fail({path, " is not a shared library"});
  }
  const std::uint64_t segments = std::uint64_t{header.e_phnum} * sizeof(Segment);
  const std::uint64_t sections = std::uint64_t{header.e_shnum} * header.e_shentsize;
  // Linkers write the table of sections at the end of a file.
  std::uint64_t needed = std::max(end_of(header.e_phoff, segments), end_of(header.e_shoff, sections));
  if (needed > size) truncated(path, size, needed);
  for (std::size_t i = 0; i < header.e_phnum; ++i) {
    Segment segment{};
    std::memcpy(&segment, file.data() + header.e_phoff + i * sizeof segment, sizeof segment);
    needed = std::max(needed, end_of(segment.p_offset, segment.p_filesz));
  }
  if (needed > size) truncated(path, size, needed);
}

}  // namespace lts::runner
