// A log on a disk that is full, and then is not. The disk is a small tmpfs.
// Tagged local: it mounts.
#include <doctest/doctest.h>
#include <sys/mount.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <string>

#include "server/output/log_file.h"
#include "tests/skip.h"
#include "tests/unit/leftovers.h"
#include "tests/unit/output/log_folder.h"

namespace forkserver::server {
namespace {

using testing::LogFolder;
using testing::NoLeftovers;
using testing::ReadFile;

constexpr char kTime[] = "2026-11-22T16:33:26.123456Z";

class SmallDisk {
 public:
  explicit SmallDisk(const std::string& path) : path_(path) {
    mounted_ = ::mount("forkserver-test", path.c_str(), "tmpfs",
                       MS_NOSUID | MS_NODEV, "size=64k") == 0;
  }
  ~SmallDisk() {
    if (mounted_) ::umount2(path_.c_str(), MNT_DETACH);
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;

  bool mounted() const { return mounted_; }

 private:
  std::string path_;
  bool mounted_;
};

TEST_CASE("lines are lost on a full disk, and none is torn") {
  const NoLeftovers no_leftovers;
  const LogFolder folder;
  const SmallDisk disk(folder.path());
  if (!disk.mounted()) {
    FORKSERVER_SKIP("kernel: a tmpfs mount is not permitted");
  }
  const std::string path = folder.File("log");
  std::ofstream(folder.File("filler")) << std::string(20'000, 'x');
  LogFile file(path, {1 << 20, 3});
  const std::string line = std::string(76, 'l') + "\n";
  std::string lines;
  for (int i = 0; i < 100; ++i) lines += line;
  std::int64_t appended = 0;
  Result<void> outcome;
  while ((outcome = file.Append(lines, kTime))) appended += 100;
  CHECK(outcome.error().error_number == ENOSPC);
  std::string text = ReadFile(path);
  CHECK(text.size() % line.size() == 0);
  const std::int64_t kept =
      static_cast<std::int64_t>(text.size() / line.size()) - appended;
  CHECK(kept >= 0);
  CHECK(file.lost() == 100 - kept);

  std::filesystem::remove(folder.File("filler"));
  CHECK(file.Append(line, kTime));
  text += std::string(kTime) + " log " + std::to_string(file.lost()) +
          " lines were lost: write(" + path + "): No space left on device\n" +
          line;
  CHECK(ReadFile(path) == text);
}

TEST_CASE("without room for the file itself, rotated ones are kept") {
  const NoLeftovers no_leftovers;
  const LogFolder folder;
  const SmallDisk disk(folder.path());
  if (!disk.mounted()) {
    FORKSERVER_SKIP("kernel: a tmpfs mount is not permitted");
  }
  const std::string path = folder.File("log");
  const std::string line = std::string(4000, 'l') + "\n";
  LogFile file(path, {8192, 100});
  int appended = 0;
  while (file.Append(line, kTime)) ++appended;
  CHECK(!file.Append(line, kTime));
  CHECK(file.lost() == 2);
  const std::string text = testing::ReadLogFiles(path);
  CHECK(std::count(text.begin(), text.end(), '\n') == appended);
  std::filesystem::remove(path + ".1");
  CHECK(file.Append("again\n", kTime));
  CHECK(ReadFile(path) == std::string(kTime) +
                              " log 2 lines were lost: write(" + path +
                              "): No space left on device\nagain\n");
}

}  // namespace
}  // namespace forkserver::server
