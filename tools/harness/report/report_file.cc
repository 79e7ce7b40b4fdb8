#include "tools/harness/report/report_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "tools/terminal/write_all.h"

namespace forkserver::harness {
namespace {

std::string FolderOf(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

// Follows links of a file that may not be there yet; the path itself when that
// cannot be done.
std::string Resolved(const std::string& path) {
  const std::unique_ptr<char, void (*)(void*)> found(
      ::realpath(path.c_str(), nullptr), ::free);
  return found ? std::string(found.get()) : path;
}

// A new file beside `target`, with the rights that open() would give.
UniqueFd CreateBeside(const std::string& target, std::string& path) {
  path = target + "." + std::to_string(::getpid()) + ".tmp";
  ::unlink(path.c_str());  // of a process that had the same number
  return UniqueFd(
      ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
}

// Names of descriptors: whoever holds them goes on writing to the same file.
bool IsOpenElsewhere(std::string_view path) {
  return path.starts_with("/dev/fd/") || path.starts_with("/dev/std") ||
         path.starts_with("/proc/");
}

// Why `path` cannot be written, with what to do.
Error CannotWrite(const std::string& option, const std::string& path,
                  int error_number) {
  const std::string folder = FolderOf(path);
  struct stat status;
  Error error = SystemError(option + " " + path, error_number);
  if (::stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode)) {
    error.message = option + " " + path + ": it is a folder";
    error.hint = "name a file in it";
  } else if (::stat(folder.c_str(), &status) != 0) {
    error.message = option + " " + path + ": there is no folder " + folder;
    error.hint = "make the folder first, or name another one";
  } else if (!S_ISDIR(status.st_mode)) {
    error.message = option + " " + path + ": " + folder + " is no folder";
    error.hint = "name a file in a folder";
  } else if (error_number == EACCES || error_number == EROFS) {
    error.hint = "name a file in a folder that you may write to";
  }
  return error;
}

}  // namespace

Result<ReportFile> ReportFile::Create(std::string option,
                                      const std::string& path,
                                      std::string_view contents) {
  ReportFile file;
  file.option_ = std::move(option);
  file.path_ = path;
  file.target_ = Resolved(path);
  if (path.empty()) {
    return MakeError(error_code::kBadRequest,
                     file.option_ + ": the name of the file is empty",
                     "name a file, or leave the option out");
  }
  struct stat status;
  const bool exists = ::stat(file.target_.c_str(), &status) == 0;
  if (exists && S_ISDIR(status.st_mode)) {
    return CannotWrite(file.option_, path, EISDIR);
  }
  // Whoever may not write to a file shall not replace it either.
  if (exists && ::access(file.target_.c_str(), W_OK) != 0) {
    return CannotWrite(file.option_, path, errno);
  }
  if (exists && (!S_ISREG(status.st_mode) || IsOpenElsewhere(path))) {
    file.fd_.Reset(
        ::open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC | O_NOCTTY));
    if (!file.fd_) return CannotWrite(file.option_, path, errno);
    return file;
  }
  std::string beside;
  file.fd_ = CreateBeside(file.target_, beside);
  int error_number = errno;
  if (file.fd_) {
    if (exists) ::fchmod(file.fd_.get(), status.st_mode & 07777);
    error_number = WriteAll(file.fd_.get(), contents);
    if (error_number == 0 &&
        ::rename(beside.c_str(), file.target_.c_str()) != 0) {
      error_number = errno;
    }
    if (error_number != 0) {
      ::unlink(beside.c_str());
      file.fd_.Reset();
    }
  }
  if (!file.fd_) {
    // A folder that takes no new files, or something mounted as a file.
    if (!exists) return CannotWrite(file.option_, path, error_number);
    file.fd_.Reset(::open(path.c_str(), O_RDWR | O_TRUNC | O_CLOEXEC));
    if (!file.fd_) return CannotWrite(file.option_, path, errno);
    error_number = WriteAll(file.fd_.get(), contents);
    if (error_number != 0) return CannotWrite(file.option_, path, error_number);
  }
  file.size_ = contents.size();
  file.seekable_ = true;
  return file;
}

void ReportFile::Fail(std::string operation, int error_number) {
  if (error_) return;
  error_ = SystemError(option_ + " " + path_ + ": " + std::move(operation),
                       error_number);
  error_->hint = "the report is not complete";
}

bool ReportFile::Append(std::string_view text) {
  if (error_) return false;
  if (seekable_) return WriteAt(size_, text);
  if (const int number = WriteAll(fd_.get(), text)) {
    Fail("write", number);
    return false;
  }
  size_ += text.size();
  return true;
}

bool ReportFile::WriteAt(std::uint64_t offset, std::string_view text) {
  if (error_) return false;
  if (const int number = WriteAllAt(fd_.get(), text, offset)) {
    Fail("write", number);
    return false;
  }
  size_ = std::max<std::uint64_t>(size_, offset + text.size());
  return true;
}

void ReportFile::CutBack(std::uint64_t offset, std::string_view text) {
  if (!error_ || !seekable_) return;
  if (WriteAllAt(fd_.get(), text, offset) == 0 &&
      ::ftruncate(fd_.get(), static_cast<off_t>(offset + text.size())) == 0) {
    size_ = offset + text.size();
  }
}

std::optional<std::string> ReportFile::ReadAt(std::uint64_t offset,
                                              std::uint64_t size) const {
  std::string text(size, '\0');
  std::size_t done = 0;
  while (done < text.size()) {
    const ssize_t count =
        ::pread(fd_.get(), text.data() + done, text.size() - done,
                static_cast<off_t>(offset + done));
    if (count > 0) {
      done += static_cast<std::size_t>(count);
    } else if (count == 0 || errno != EINTR) {
      return std::nullopt;
    }
  }
  return text;
}

ReportFile::Replacement::Replacement(ReportFile& original)
    : original_(original) {
  if (original_.error_) return;
  fd_ = CreateBeside(original_.target_, path_);
  struct stat status;
  if (fd_ && ::fstat(original_.fd_.get(), &status) == 0) {
    ::fchmod(fd_.get(), status.st_mode & 07777);
  }
}

ReportFile::Replacement::~Replacement() {
  if (fd_) ::unlink(path_.c_str());
}

bool ReportFile::Replacement::Append(std::string_view text) {
  if (!fd_) return false;
  if (const int number = WriteAll(fd_.get(), text)) {
    original_.Fail("write", number);
    ::unlink(path_.c_str());
    fd_.Reset();
    return false;
  }
  return true;
}

bool ReportFile::Replacement::Finish() {
  if (!fd_) return false;
  if (::rename(path_.c_str(), original_.target_.c_str()) != 0) return false;
  original_.fd_ = std::move(fd_);
  return true;
}

}  // namespace forkserver::harness
