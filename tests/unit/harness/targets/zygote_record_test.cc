#include "tools/harness/targets/zygote_record.h"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <string>

#include "tests/unit/harness/targets/scratch_folder.h"

namespace forkserver::harness {
namespace {

std::string Read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

ZygoteRecord MakeRecord() {
  ZygoteRecord record;
  record.zygote = "ab12.7";
  Fingerprint& fingerprint = record.fingerprint;
  fingerprint.program = "/build/tests";
  FileContent content;
  content.identity.device = 1;
  content.identity.inode = ~std::uint64_t{0};
  content.identity.bytes = 3;
  content.identity.modified_ns = -4;
  content.identity.changed_ns = std::int64_t{1} << 62;
  content.identity.mode = 0100755;
  content.digest = "0123456789abcdef";
  fingerprint.files = {{"/build/tests", content}, {"/lib/libx.so", {}}};
  fingerprint.arguments = {"", "-a", "x61"};
  fingerprint.preload = {"words"};
  fingerprint.cwd = "/build";
  fingerprint.environment = {{"LANG", "de"}, {"EMPTY", ""}, {"KEY", "#12"}};
  return record;
}

// Whether they are the same; their times too, of which no difference tells.
void CheckSame(const ZygoteRecord& a, const ZygoteRecord& b) {
  CHECK(a.zygote == b.zygote);
  CHECK(a.fingerprint.program == b.fingerprint.program);
  for (const auto& difference :
       DescribeDifferences(a.fingerprint, b.fingerprint)) {
    FAIL_CHECK(difference);
  }
  for (const auto& [path, content] : a.fingerprint.files) {
    CAPTURE(path);
    CHECK(b.fingerprint.files.at(path).identity == content.identity);
  }
}

TEST_CASE("a record that was written is read as it was") {
  const ScratchFolder folder;
  const std::string path = folder.Path("zygote-1");
  ZygoteRecord record = MakeRecord();
  REQUIRE(WriteZygoteRecord(path, record));
  auto read = ReadZygoteRecord(path);
  REQUIRE(read);
  CheckSame(record, *read);
  // Written again it is replaced, and nothing else is left in the folder.
  record.zygote = "ab12.8";
  record.fingerprint.files.clear();
  REQUIRE(WriteZygoteRecord(path, record));
  read = ReadZygoteRecord(path);
  REQUIRE(read);
  CheckSame(record, *read);
  CHECK(std::distance(std::filesystem::directory_iterator(folder.Path(".")),
                      {}) == 1);
}

TEST_CASE("paths, arguments and values may be any bytes") {
  std::string bytes;
  for (int i = 1; i < 256; ++i) bytes += static_cast<char>(i);
  for (const std::string& odd : {bytes, std::string("\xff"), std::string("="),
                                 std::string("x"), std::string("xff")}) {
    CAPTURE(odd);
    const ScratchFolder folder;
    ZygoteRecord record = MakeRecord();
    Fingerprint& fingerprint = record.fingerprint;
    fingerprint.program = odd;
    fingerprint.cwd = odd;
    fingerprint.arguments = {odd};
    fingerprint.files[odd] = {};
    fingerprint.environment[odd] = odd;
    REQUIRE(WriteZygoteRecord(folder.Path("zygote-1"), record));
    const auto read = ReadZygoteRecord(folder.Path("zygote-1"));
    REQUIRE(read);
    CheckSame(record, *read);
  }
}

TEST_CASE("only its owner may read a record") {
  const ScratchFolder folder;
  const std::string path = folder.Path("zygote-1");
  REQUIRE(WriteZygoteRecord(path, MakeRecord()));
  struct stat status = {};
  REQUIRE(::stat(path.c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0600);
}

TEST_CASE("where there is no record there is none") {
  const ScratchFolder folder;
  CHECK_FALSE(ReadZygoteRecord(folder.Path("none")));
  CHECK_FALSE(ReadZygoteRecord(folder.Path(".")));
  CHECK_FALSE(ReadZygoteRecord(folder.Write("empty", "")));
}

TEST_CASE("a record that ends anywhere is none") {
  const ScratchFolder folder;
  REQUIRE(WriteZygoteRecord(folder.Path("zygote-1"), MakeRecord()));
  const std::string text = Read(folder.Path("zygote-1"));
  for (std::size_t size = 0; size < text.rfind('}'); ++size) {
    CAPTURE(size);
    REQUIRE_FALSE(ReadZygoteRecord(folder.Write("cut", text.substr(0, size))));
  }
}

TEST_CASE("a record of another version, or that was changed, is none") {
  const ScratchFolder folder;
  REQUIRE(WriteZygoteRecord(folder.Path("zygote-1"), MakeRecord()));
  const std::string text = Read(folder.Path("zygote-1"));
  const auto with = [&](const std::string& old, const std::string& now) {
    std::string changed = text;
    const std::size_t at = changed.find(old);
    REQUIRE(at != std::string::npos);
    changed.replace(at, old.size(), now);
    return ReadZygoteRecord(folder.Write("changed", changed));
  };
  CHECK(with("\"version\": 1", "\"version\": 1"));
  CHECK_FALSE(with("\"version\": 1", "\"version\": 2"));
  CHECK_FALSE(with("\"zygote\"", "\"zigote\""));
  CHECK_FALSE(with("\"ab12.7\"", "7"));
  CHECK_FALSE(with("\"=/build/tests\"", "\"xno hex\""));
  CHECK_FALSE(with("\"bytes\": 3", "\"bytes\": {}"));
  CHECK_FALSE(with("\"arguments\": [", "\"arguments\": [[], "));
}

TEST_CASE("what nobody has used for long is removed") {
  const ScratchFolder folder;
  const auto then = std::filesystem::file_time_type::clock::now() -
                    std::chrono::hours(8 * 24);
  for (const char* name : {"zygote-1", "zygote-1.files", "last-1", "lock-1",
                           "lock-2", "durations"}) {
    std::filesystem::last_write_time(folder.Write(name, ""), then);
  }
  folder.Write("zygote-3", "");
  CHECK(LockZygote(folder.Path(""), "2"));
  std::set<std::string> left;
  for (const auto& file :
       std::filesystem::directory_iterator(folder.Path(""))) {
    left.insert(file.path().filename().string());
  }
  CHECK(left == std::set<std::string>{"durations", "lock-2", "zygote-3"});
}

TEST_CASE("a record that cannot be written is an error") {
  const ScratchFolder folder;
  CHECK_FALSE(WriteZygoteRecord(folder.Path("none/zygote-1"), MakeRecord()));
}

}  // namespace
}  // namespace forkserver::harness
