#include "tools/harness/targets/program_kind.h"

#include <doctest/doctest.h>
#include <elf.h>
#include <sys/stat.h>

#include <bit>
#include <cstring>
#include <string>
#include <string_view>

#include "tests/unit/harness/targets/scratch_folder.h"
#include "tools/harness/targets/program_image.h"

namespace forkserver::harness {
namespace {

constexpr char kPrograms[] = "tests/harness/programs/";
constexpr char kWarmDoctest[] = "@forkserver test program, version 1: doctest@";
constexpr char kColdGoogleTest[] =
    "This program contains tests written using Google Test";
constexpr char kColdDoctest[] = "doctest version is \"";

// "doctest", "doctest, warm", or the message of an error.
std::string KindOf(const std::string& path, const std::string& wanted = "") {
  const auto kind = FindProgramKind(path, wanted);
  if (!kind) return kind.error().message;
  return std::string(NameOf(kind->framework)) + (kind->warm ? ", warm" : "");
}

template <typename T>
void Append(std::string& bytes, const T& value) {
  bytes.append(reinterpret_cast<const char*>(&value), sizeof(value));
}

// An ELF program whose only segment is `loaded`, followed by what is not
// loaded.
std::string Elf(std::string_view loaded, std::string_view rest = "") {
  Elf64_Ehdr header = {};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_ident[EI_DATA] =
      std::endian::native == std::endian::little ? ELFDATA2LSB : ELFDATA2MSB;
  header.e_type = ET_DYN;
  header.e_phoff = sizeof(header);
  header.e_phentsize = sizeof(Elf64_Phdr);
  header.e_phnum = 1;
  Elf64_Phdr segment = {};
  segment.p_type = PT_LOAD;
  segment.p_offset = sizeof(header) + sizeof(segment);
  segment.p_filesz = loaded.size();
  std::string bytes;
  Append(bytes, header);
  Append(bytes, segment);
  return bytes.append(loaded).append(rest);
}

TEST_CASE("programs of every framework are known for what they are") {
  CHECK(KindOf(std::string(kPrograms) + "warm_doctest") == "doctest, warm");
  CHECK(KindOf(std::string(kPrograms) + "warm_gtest") == "gtest, warm");
  CHECK(KindOf(std::string(kPrograms) + "cold_doctest") == "doctest");
  CHECK(KindOf(std::string(kPrograms) + "cold_gtest") == "gtest");
  CHECK(KindOf(std::string(kPrograms) + "cold_catch2") == "catch2");
  CHECK(KindOf("/bin/sh") == "program");
}

TEST_CASE("a link is what it leads to") {
  const ScratchFolder folder;
  std::filesystem::create_symlink(
      std::filesystem::absolute(std::string(kPrograms) + "warm_doctest"),
      folder.Path("link"));
  CHECK(KindOf(folder.Path("link")) == "doctest, warm");
}

TEST_CASE("a script is a program, whatever is in it") {
  const ScratchFolder folder;
  CHECK(KindOf(folder.Write(
            "script", std::string("#!/bin/sh\n# ") + kWarmDoctest, 0755)) ==
        "program");
  CHECK(KindOf(folder.Write("empty", "", 0755)) == "program");
}

TEST_CASE("only what is loaded of a program counts") {
  const ScratchFolder folder;
  const auto kind_of = [&](const std::string& bytes) {
    return KindOf(folder.Write("elf", bytes, 0755));
  };
  CHECK(kind_of(Elf(kColdGoogleTest)) == "gtest");
  CHECK(kind_of(Elf("nothing", kColdGoogleTest)) == "program");
  // The mark of a warm program comes before whatever it says in its help.
  CHECK(kind_of(Elf(std::string(kColdDoctest) + kColdGoogleTest +
                    kWarmDoctest)) == "doctest, warm");
  // A text that no piece in which the file is read has whole.
  for (std::size_t before = (1u << 20) - 200; before <= (1u << 20) + 200;
       before += 10) {
    CAPTURE(before);
    REQUIRE(kind_of(Elf(std::string(before, ' ') + kColdDoctest)) == "doctest");
  }
}

TEST_CASE("a program that is damaged is one of no framework") {
  const ScratchFolder folder;
  const std::string whole = Elf(kWarmDoctest);
  const auto kind_of = [&](const std::string& bytes) {
    return KindOf(folder.Write("elf", bytes, 0755));
  };
  REQUIRE(kind_of(whole) == "doctest, warm");
  for (std::size_t size = 0; size < whole.size(); ++size) {
    CAPTURE(size);
    REQUIRE(kind_of(whole.substr(0, size)) == "program");
  }
  // Each byte of the headers: whatever it is read as, it is read.
  for (std::size_t at = 0; at < sizeof(Elf64_Ehdr) + sizeof(Elf64_Phdr); ++at) {
    std::string bytes = whole;
    bytes[at] = static_cast<char>(0xff);
    CAPTURE(at);
    const std::string kind = kind_of(bytes);
    REQUIRE((kind == "program" || kind == "doctest, warm"));
  }
}

TEST_CASE("the loader of a program is the one that it names") {
  const auto image = ReadProgramImage("/bin/sh");
  REQUIRE(image);
  CHECK(image->is_native);
  CHECK(std::filesystem::exists(image->interpreter));
  const ScratchFolder folder;
  const auto script =
      ReadProgramImage(folder.Write("script", "#!/bin/sh\n", 0755));
  REQUIRE(script);
  CHECK_FALSE(script->is_native);
  CHECK(script->interpreter.empty());
}

TEST_CASE("what cannot be run is an error that says what to do") {
  const ScratchFolder folder;
  const auto error_of = [](const std::string& path) {
    const auto kind = FindProgramKind(path, "");
    REQUIRE_FALSE(kind);
    CHECK_FALSE(kind.error().hint.empty());
    CHECK(kind.error().message.find(path) != std::string::npos);
    return kind.error().message;
  };
  CHECK(error_of(folder.Path("none")) ==
        "there is no file " + folder.Path("none"));
  const std::string plain = folder.Write("plain", Elf(kWarmDoctest), 0644);
  CHECK(error_of(plain) == plain + " is not executable");
  CHECK(error_of(plain + "/below") == "there is no file " + plain + "/below");
  CHECK(error_of(folder.Path(".")) ==
        folder.Path(".") + " is a folder, and no program");
  const std::string pipe = folder.Path("pipe");
  REQUIRE(::mkfifo(pipe.c_str(), 0755) == 0);
  CHECK(error_of(pipe) == pipe + " is no file");
}

TEST_CASE("the framework that is asked for wins over what is found") {
  const std::string warm = std::string(kPrograms) + "warm_doctest";
  CHECK(KindOf(warm, "doctest") == "doctest, warm");
  CHECK(KindOf(warm, "program") == "program");
  CHECK(KindOf(warm, "gtest") == "gtest");
  CHECK(KindOf("/bin/sh", "catch2") == "catch2");
  const auto unknown = FindProgramKind("/bin/sh", "boost");
  REQUIRE_FALSE(unknown);
  CHECK(unknown.error().message.find("'boost'") != std::string::npos);
  CHECK(unknown.error().hint == "known are: doctest, gtest, catch2, program");
}

}  // namespace
}  // namespace forkserver::harness
