#include <elf.h>
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <iterator>
#include <string>

#include "elf.hpp"
#include "error.hpp"
#include "temporary_folder.hpp"

namespace lts::runner {
namespace {

#if defined(__x86_64__)
constexpr const char* kHere = "x86_64";
#elif defined(__aarch64__)
constexpr const char* kHere = "aarch64";
#elif defined(__arm__)
constexpr const char* kHere = "arm";
#else
constexpr const char* kHere = "?";
#endif

/// This program itself: a position-independent executable is, to ELF, a shared library.
std::string own_file() {
  std::ifstream file("/proc/self/exe", std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string refused(const std::string& path) {
  return error_of([&] { check_library(path); });
}

TEST(RunnerElf, AcceptsWhatIsWhole) { EXPECT_EQ(refused("/proc/self/exe"), ""); }

TEST(RunnerElf, SeesThatAFileWasCutOff) {
  const TemporaryFolder folder;
  const std::string whole = own_file();
  const std::string size = std::to_string(whole.size());
  for (const std::size_t n :
       {whole.size() - 1, whole.size() / 2, std::size_t{4096}, std::size_t{64}, std::size_t{16}}) {
    const std::string path = folder.write("model.so", whole.substr(0, n));
    const std::string start = path + " is truncated (" + std::to_string(n) + " of ";
    EXPECT_TRUE(refused(path).starts_with(start)) << refused(path);
  }
  EXPECT_EQ(refused(folder.write("none.so", "")), folder / "none.so" + std::string(" is not a shared library"));
}

TEST(RunnerElf, SeesAnotherProcessor) {
  const TemporaryFolder folder;
  std::string content = own_file();
  const std::uint16_t machine = EM_S390;
  std::memcpy(&content[offsetof(Elf64_Ehdr, e_machine)], &machine, sizeof machine);
  const std::string path = folder.write("model.so", content);
  EXPECT_EQ(refused(path), path + " is for s390x; this machine is " + kHere);
}

TEST(RunnerElf, SeesWhatIsNoLibrary) {
  const TemporaryFolder folder;
  EXPECT_EQ(refused(folder.write("a.so", std::string(1000, 'x'))), (folder / "a.so") + " is not a shared library");
  std::string content = own_file();
  const std::uint16_t type = ET_REL;
  std::memcpy(&content[offsetof(Elf64_Ehdr, e_type)], &type, sizeof type);
  EXPECT_EQ(refused(folder.write("b.so", content)), (folder / "b.so") + " is not a shared library");
}

TEST(RunnerElf, IsNotMisledByAbsurdNumbers) {
  const TemporaryFolder folder;
  const std::string whole = own_file().substr(0, 65536);
  for (std::size_t at = 16; at < sizeof(Elf64_Ehdr); ++at) {
    std::string content = whole;
    content[at] = '\xff';
    EXPECT_NE(refused(folder.write("c.so", content)), "");
  }
}

}  // namespace
}  // namespace lts::runner
