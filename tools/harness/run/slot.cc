#include "tools/harness/run/slot.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

namespace forkserver::harness {
namespace {

// The time of the last change of a folder that is known to be empty: the
// system sets another one when something is made in it. Not 0, which some file
// systems do not keep.
constexpr std::int64_t kMarkSeconds = 86'400;

std::int64_t ChangedAt(const struct stat& info) {
#ifdef __APPLE__
  return info.st_mtimespec.tv_sec;
#else
  return info.st_mtim.tv_sec;
#endif
}

}  // namespace

Result<void> EmptyFolder(const std::string& path) {
  struct stat info = {};
  const bool there = ::lstat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
  if (there && ChangedAt(info) == kMarkSeconds &&
      (info.st_mode & 07777) == 0700) {
    return {};
  }
  std::error_code failure;
  if (there) {
    // A test may have taken its own rights away.
    ::chmod(path.c_str(), 0700);
    for (const auto& entry :
         std::filesystem::directory_iterator(path, failure)) {
      std::error_code ignored;
      std::filesystem::remove_all(entry.path(), ignored);
      if (!ignored) continue;
      // A folder in it that cannot be read or written.
      for (std::filesystem::recursive_directory_iterator
               inner(entry.path(), ignored),
           end;
           !ignored && inner != end; inner.increment(ignored)) {
        if (!inner->is_symlink() && inner->is_directory(ignored)) {
          ::chmod(inner->path().c_str(), 0700);
        }
      }
      ::chmod(entry.path().c_str(), 0700);
      std::filesystem::remove_all(entry.path(), failure);
    }
  } else {
    std::filesystem::remove_all(path, failure);
    if (::mkdir(path.c_str(), 0700) != 0) {
      return SystemError("mkdir(" + path + ")", errno);
    }
  }
  if (failure) {
    return MakeError(
        error_code::kSystem,
        "the folder " + path + " cannot be emptied: " + failure.message());
  }
  const timespec mark[2] = {{kMarkSeconds, 0}, {kMarkSeconds, 0}};
  (void)::utimensat(AT_FDCWD, path.c_str(), mark, 0);
  return {};
}

SlotFiles::SlotFiles(const std::string& folder, const std::string& run_id,
                     int slot) {
  const std::string number = std::to_string(slot);
  tmp_ = folder + "/" + number;
  files_.directory = folder + "/r" + number;
  page_name_ = "forkserver-report-" + run_id + "-" + number;
}

Result<void> SlotFiles::Prepare() {
  if (auto emptied = EmptyFolder(tmp_); !emptied) return emptied;
  if (auto emptied = EmptyFolder(files_.directory); !emptied) return emptied;
  if (page_) {
    page_->Clear();
    return {};
  }
  Result<ReportPage> page = ReportPage::Create(page_name_);
  if (!page) return page.error();
  page_.emplace(*std::move(page));
  files_.page = &*page_;
  return {};
}

}  // namespace forkserver::harness
