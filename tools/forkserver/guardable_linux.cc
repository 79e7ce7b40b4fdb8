#include <elf.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "sdk/base/unique_fd.h"
#include "tools/forkserver/guardable.h"

namespace forkserver::cli {
namespace {

constexpr int kMaxInterpreters = 4;  // of scripts, as the kernel has it

#if defined(__x86_64__)
constexpr int kMachine = EM_X86_64;
#elif defined(__aarch64__)
constexpr int kMachine = EM_AARCH64;
#else
constexpr int kMachine = EM_NONE;  // any
#endif

Error Impossible(const std::string& path, const std::string& why) {
  return MakeError(error_code::kSystem, path + " cannot be guarded: " + why,
                   "`forkserver doctor PID` looks at it from outside");
}

Result<std::string> FindInPath(const std::string& name) {
  if (name.find('/') != std::string::npos) {
    if (::access(name.c_str(), F_OK) != 0) {
      return SystemError("execve(" + name + ")", errno);
    }
    return name;
  }
  const char* const path = std::getenv("PATH");
  std::string_view rest = path != nullptr ? path : "/usr/bin:/bin";
  for (bool more = true; more;) {
    const std::size_t colon = rest.find(':');
    const std::string folder(rest.substr(0, colon));
    std::string file = (folder.empty() ? "." : folder) + "/" + name;
    struct stat status = {};
    if (::stat(file.c_str(), &status) == 0 && S_ISREG(status.st_mode) &&
        ::access(file.c_str(), X_OK) == 0) {
      return file;
    }
    more = colon != rest.npos;
    rest.remove_prefix(more ? colon + 1 : rest.size());
  }
  return SystemError("execve(" + name + ")", ENOENT);
}

// For a program that gains rights the loader ignores LD_PRELOAD (ld.so(8),
// "secure-execution mode").
std::string RightsGained(int fd, const struct stat& status) {
  if ((status.st_mode & S_ISUID) != 0 && status.st_uid != ::getuid()) {
    return "it is setuid";
  }
  if ((status.st_mode & S_ISGID) != 0 && status.st_gid != ::getgid()) {
    return "it is setgid";
  }
  if (::geteuid() != 0 &&
      ::fgetxattr(fd, "security.capability", nullptr, 0) > 0) {
    return "it has file capabilities";
  }
  return {};
}

template <typename Header, typename Segment>
std::string WhyNotLoaded(int fd) {
  Header header = {};
  if (::pread(fd, &header, sizeof(header), 0) != sizeof(header)) return {};
  if (kMachine != EM_NONE && header.e_machine != kMachine) {
    return "it is of another architecture than libforkguard";
  }
  for (unsigned i = 0; i < header.e_phnum; ++i) {
    Segment segment = {};
    const auto at = static_cast<off_t>(header.e_phoff + i * sizeof(segment));
    if (::pread(fd, &segment, sizeof(segment), at) != sizeof(segment)) break;
    if (segment.p_type == PT_INTERP) return {};
  }
  return "it is statically linked: there is no loader that would load "
         "libforkguard";
}

// Empty: nothing speaks against it. A script: `interpreter` is set.
std::string WhyNot(int fd, std::string& interpreter) {
  struct stat status = {};
  if (::fstat(fd, &status) != 0) return {};
  if (std::string gained = RightsGained(fd, status); !gained.empty()) {
    return gained + ": the loader ignores libforkguard";
  }
  char start[256] = {};
  if (::pread(fd, start, sizeof(start) - 1, 0) < 4) return {};
  if (start[0] == '#' && start[1] == '!') {
    const char* const begin = start + 2 + std::strspn(start + 2, " \t");
    interpreter.assign(begin, std::strcspn(begin, " \t\n"));
    return {};
  }
  if (std::memcmp(start, ELFMAG, SELFMAG) != 0) return {};
  if (start[EI_CLASS] == ELFCLASS64) {
    return WhyNotLoaded<Elf64_Ehdr, Elf64_Phdr>(fd);
  }
  return "it is a 32-bit program";
}

}  // namespace

Result<std::string> FindGuardable(const std::string& name) {
  auto found = FindInPath(name);
  if (!found) return found;
  std::string file = *found;
  std::string described = file;
  for (int i = 0; i < kMaxInterpreters; ++i) {
    const UniqueFd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd) break;  // it may be executable and not readable
    std::string interpreter;
    const std::string why = WhyNot(fd.get(), interpreter);
    if (!why.empty()) return Impossible(described, why);
    if (interpreter.empty()) break;
    file = interpreter;
    described = *found + " (its interpreter " + interpreter + ")";
  }
  return found;
}

const char* PreloadVariable() { return "LD_PRELOAD"; }

}  // namespace forkserver::cli
