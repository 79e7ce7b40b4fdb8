#include "tools/forkserver/login_changes.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <system_error>

#include "sdk/base/unique_fd.h"
#include "tools/forkserver/output.h"

namespace forkserver::cli {
namespace {

namespace fs = std::filesystem;

bool IsThere(const std::string& path) {
  std::error_code ignored;
  return fs::symlink_status(path, ignored).type() != fs::file_type::not_found;
}

// Empty if it cannot be read.
std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

bool IsOurs(const LoginFile& file) {
  return ReadFile(file.path).find(kMadeByEnable) != std::string::npos;
}

// Links are ours if they lead to our unit, whoever made them: `systemctl
// --user enable` stores the whole path.
bool IsOurs(const LoginLink& link) {
  std::error_code error;
  const fs::path target = fs::read_symlink(link.path, error);
  const fs::path folder = fs::path(link.path).parent_path();
  return !error && (folder / target).lexically_normal() ==
                       (folder / link.target).lexically_normal();
}

Error InTheWay(const std::string& path) {
  return MakeError(error_code::kBadRequest,
                   path + " is there, and `forkserver enable` did not make it",
                   "move it away, if it is not needed");
}

// For the owner only, as the XDG base directory specification has it.
Result<void> MakeFolders(const std::string& folder) {
  if (::mkdir(folder.c_str(), 0700) == 0 || errno == EEXIST) return {};
  const int number = errno;
  const std::string parent = fs::path(folder).parent_path();
  if (number != ENOENT || parent == folder || parent.empty()) {
    return SystemError("mkdir(" + folder + ")", number);
  }
  if (auto made = MakeFolders(parent); !made) return made;
  if (::mkdir(folder.c_str(), 0700) == 0 || errno == EEXIST) return {};
  return SystemError("mkdir(" + folder + ")", errno);
}

Result<void> Fill(int fd, const std::string& text, const std::string& path) {
  for (std::size_t at = 0; at < text.size();) {
    const ssize_t size = ::write(fd, text.data() + at, text.size() - at);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return SystemError("write(" + path + ")", errno);
    at += static_cast<std::size_t>(size);
  }
  if (::fchmod(fd, 0644) != 0 || ::fsync(fd) != 0) {
    return SystemError("fsync(" + path + ")", errno);
  }
  return {};
}

Result<void> Replace(const std::string& path, const std::string& text) {
  std::string temporary = path + ".XXXXXX";
  const UniqueFd fd(::mkostemp(temporary.data(), O_CLOEXEC));
  if (!fd) return SystemError("mkostemp(" + temporary + ")", errno);
  auto filled = Fill(fd.get(), text, temporary);
  if (filled && ::rename(temporary.c_str(), path.c_str()) != 0) {
    filled = SystemError("rename(" + temporary + ", " + path + ")", errno);
  }
  if (!filled) ::unlink(temporary.c_str());
  return filled;
}

}  // namespace

Result<void> LoginChanges::Apply(const LoginSetup& setup) {
  if (auto checked = CheckWhatIsThere(setup); !checked) return checked;
  for (const LoginFile& file : setup.files) {
    if (auto written = Write(file); !written) return written;
  }
  for (const LoginLink& link : setup.links) {
    if (auto linked = Link(link); !linked) return linked;
  }
  return {};
}

Result<void> LoginChanges::Remove(const LoginSetup& setup) {
  // Links first: what is left of a removal that fails is not started.
  for (const LoginLink& link : setup.links) {
    if (!IsOurs(link)) continue;
    if (auto removed = Unlink(link.path); !removed) return removed;
    // Stays if there is something else in it.
    if (!dry_run_) ::rmdir(fs::path(link.path).parent_path().c_str());
  }
  for (const LoginFile& file : setup.files) {
    if (!IsThere(file.path)) continue;
    if (!IsOurs(file)) {
      PrintLine("left " + file.path +
                ", which `forkserver enable` did not make");
      continue;
    }
    if (auto removed = Unlink(file.path); !removed) return removed;
  }
  return {};
}

Result<void> LoginChanges::CheckWhatIsThere(const LoginSetup& setup) const {
  for (const LoginFile& file : setup.files) {
    if (IsThere(file.path) && !IsOurs(file)) return InTheWay(file.path);
  }
  for (const LoginLink& link : setup.links) {
    if (IsThere(link.path) && !IsOurs(link)) return InTheWay(link.path);
  }
  return {};
}

Result<void> LoginChanges::Write(const LoginFile& file) {
  if (ReadFile(file.path) == file.text) return {};
  Say("wrote", "would write", file.path);
  if (dry_run_) {
    PrintLine("\n" + file.text);
    return {};
  }
  if (auto made = MakeFolders(fs::path(file.path).parent_path()); !made) {
    return made;
  }
  return Replace(file.path, file.text);
}

Result<void> LoginChanges::Link(const LoginLink& link) {
  if (IsOurs(link)) return {};
  Say("linked", "would link", link.path + " to " + link.target);
  if (dry_run_) return {};
  if (auto made = MakeFolders(fs::path(link.path).parent_path()); !made) {
    return made;
  }
  if (::symlink(link.target.c_str(), link.path.c_str()) != 0) {
    return SystemError("symlink(" + link.path + ")", errno);
  }
  return {};
}

Result<void> LoginChanges::Unlink(const std::string& path) {
  Say("removed", "would remove", path);
  if (!dry_run_ && ::unlink(path.c_str()) != 0) {
    return SystemError("unlink(" + path + ")", errno);
  }
  return {};
}

void LoginChanges::Say(const char* done, const char* would,
                       const std::string& what) {
  changed_ = true;
  PrintLine(std::string(dry_run_ ? would : done) + " " + what);
}

}  // namespace forkserver::cli
