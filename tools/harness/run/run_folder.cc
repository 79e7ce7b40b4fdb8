#include "tools/harness/run/run_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <system_error>
#include <utility>

namespace forkserver::harness {
namespace {

constexpr char kPrefix[] = "fst-";
constexpr char kLock[] = "/lock";
// "/fst-XXXXXX/d12.sock" and what the daemon adds to it for its other files.
constexpr std::size_t kMostParentBytes = 60;

// A folder without a run: nobody holds its lock. One that has no lock yet is
// just being made.
bool IsAbandoned(const std::string& path) {
  struct stat info = {};
  if (::lstat(path.c_str(), &info) != 0 || !S_ISDIR(info.st_mode) ||
      info.st_uid != ::getuid()) {
    return false;
  }
  const UniqueFd lock(
      ::open((path + kLock).c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
  return lock && ::flock(lock.get(), LOCK_EX | LOCK_NB) == 0;
}

void RemoveAbandoned(const std::string& parent) {
  std::error_code failure;
  for (const auto& entry :
       std::filesystem::directory_iterator(parent, failure)) {
    const std::string name = entry.path().filename().string();
    if (name.compare(0, sizeof(kPrefix) - 1, kPrefix) != 0) continue;
    if (!IsAbandoned(entry.path().string())) continue;
    std::error_code ignored;
    std::filesystem::remove_all(entry.path(), ignored);
  }
}

}  // namespace

Result<RunFolder> RunFolder::Make(const std::string& parent) {
  const std::string below = parent.size() > kMostParentBytes ? "/tmp" : parent;
  RemoveAbandoned(below);
  std::string path = below + "/" + kPrefix + "XXXXXX";
  if (::mkdtemp(path.data()) == nullptr) {
    return SystemError("mkdtemp(" + path + ")", errno);
  }
  UniqueFd lock(::open((path + kLock).c_str(),
                       O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!lock) return SystemError("open(" + path + kLock + ")", errno);
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    return SystemError("flock(" + path + kLock + ")", errno);
  }
  return RunFolder(std::move(path), std::move(lock));
}

RunFolder::RunFolder(RunFolder&& other) noexcept
    : path_(std::exchange(other.path_, {})), lock_(std::move(other.lock_)) {}

RunFolder::~RunFolder() {
  if (path_.empty()) return;
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace forkserver::harness
