#include "sdk/cpp/request_setup.h"

#include <fcntl.h>
#include <sys/stat.h>
#ifdef __GLIBC__
#include <sys/single_threaded.h>
#endif
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "sdk/base/unique_fd.h"
#include "sdk/process/exec_launch.h"
#include "sdk/process/platform.h"

namespace forkserver {
namespace {

Error BadRequest(std::string message, std::string hint = {}) {
  return MakeError(error_code::kBadRequest, std::move(message),
                   std::move(hint));
}

bool HasNul(const std::string& text) {
  return text.find('\0') != std::string::npos;
}

Result<std::string> OwnWorkingDirectory() {
  char* const path = ::getcwd(nullptr, 0);
  if (path == nullptr) return SystemError("getcwd()", errno);
  std::string result(path);
  std::free(path);
  return result;
}

// The umask can be read without changing it for a moment, which other threads
// could see, only from /proc, which costs as much as all the rest of a request.
mode_t OwnUmask() {
#ifdef __GLIBC__
  if (__libc_single_threaded) {
    const mode_t mask = ::umask(077);
    ::umask(mask);
    return mask;
  }
#endif
  const UniqueFd fd(::open("/proc/self/status", O_RDONLY | O_CLOEXEC));
  if (fd) {
    // "Umask:" is the second line.
    char buffer[512];
    const ssize_t size = ::read(fd.get(), buffer, sizeof(buffer) - 1);
    if (size > 0) {
      buffer[size] = '\0';
      if (const char* line = std::strstr(buffer, "\nUmask:")) {
        return static_cast<mode_t>(std::strtoul(line + 7, nullptr, 8));
      }
    }
  }
  const mode_t mask = ::umask(0);
  ::umask(mask);
  return mask;
}

Result<void> AddFds(const ProcessOptions& options, PreparedSetup& prepared) {
  const auto place = [&prepared](int child_fd, int fd) {
    const auto index = static_cast<std::int64_t>(prepared.fds.size());
    prepared.fds.push_back(fd);
    prepared.setup.fds.push_back({child_fd, index});
  };
  if (!options.null_streams) {
    for (int stream = 0; stream <= 2; ++stream) {
      if (options.fds.count(stream) == 0 && ::fcntl(stream, F_GETFD) >= 0) {
        place(stream, stream);
      }
    }
  }
  for (const auto& [child_fd, fd] : options.fds) {
    if (child_fd < 0) {
      return BadRequest("fds: the worker cannot have a descriptor " +
                        std::to_string(child_fd));
    }
    if (::fcntl(fd, F_GETFD) < 0) {
      Error error =
          SystemError("fds: descriptor " + std::to_string(fd) + " for " +
                          std::to_string(child_fd) + " of the worker",
                      errno);
      error.code = error_code::kBadDescriptor;
      return error;
    }
    place(child_fd, fd);
  }
  return CheckFdCount(prepared.fds.size());
}

Result<void> AddLimits(const ResourceLimits& limits, protocol::Setup& setup) {
#ifdef __APPLE__
  // The daemon cannot read the limits of another process there.
  if (auto own = ReadLimits(::getpid())) setup.limits = *std::move(own);
#endif
  for (const auto& [name, limit] : limits) {
    if (LimitByName(name) < 0) {
      std::string known;
      for (const std::string& each : LimitNames()) {
        known += (known.empty() ? "" : ", ") + each;
      }
      return BadRequest("limits: this system has no limit '" + name + "'",
                        "one of " + known);
    }
    setup.limits[name] = limit;
  }
  return {};
}

std::int64_t ModificationTimeNs(const struct stat& info) {
#ifdef __APPLE__
  const struct timespec& time = info.st_mtimespec;
#else
  const struct timespec& time = info.st_mtim;
#endif
  return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

}  // namespace

Result<void> CheckFdCount(std::size_t count) {
  if (count <= protocol::kMaxFds) return {};
  return MakeError(error_code::kTooManyDescriptors,
                   "one request can carry " +
                       std::to_string(protocol::kMaxFds) +
                       " descriptors, not " + std::to_string(count),
                   "pass a Unix socket, and send the others over it");
}

Result<void> CheckProgram(const std::vector<std::string>& argv) {
  if (argv.empty()) return BadRequest("argv is empty: there is no program");
  if (argv.front().empty()) return BadRequest("argv[0] is empty");
  return {};
}

Result<PreparedSetup> PrepareSetup(const ProcessOptions& options,
                                   const std::vector<std::string>& argv) {
  PreparedSetup prepared;
  protocol::Setup& setup = prepared.setup;
  if (argv.size() > protocol::kMaxArray) {
    return BadRequest("argv has " + std::to_string(argv.size()) +
                      " words, the limit is " +
                      std::to_string(protocol::kMaxArray));
  }
  for (std::size_t i = 0; i < argv.size(); ++i) {
    if (HasNul(argv[i])) {
      return BadRequest("argv[" + std::to_string(i) + "] holds a NUL byte");
    }
  }
  setup.argv = argv;
  if (options.env) {
    for (std::size_t i = 0; i < options.env->size(); ++i) {
      const std::string& each = (*options.env)[i];
      if (HasNul(each)) {
        return BadRequest("env[" + std::to_string(i) + "] (" +
                          each.substr(0, each.find_first_of({"=\0", 2})) +
                          ") holds a NUL byte");
      }
    }
    setup.env = *options.env;
  } else if (char** each = OwnEnvironment()) {
    for (; *each != nullptr; ++each) setup.env.emplace_back(*each);
  }
  Result<std::string> cwd =
      options.cwd ? AbsolutePath("cwd", *options.cwd) : OwnWorkingDirectory();
  if (!cwd) return cwd.error();
  setup.cwd = *std::move(cwd);
  if (options.umask && (*options.umask < 0 || *options.umask > 0777)) {
    return BadRequest("umask is not between 0 and 0777: " +
                      std::to_string(*options.umask));
  }
  setup.umask =
      options.umask ? *options.umask : static_cast<std::int64_t>(OwnUmask());
  if (auto added = AddLimits(options.limits, setup); !added) {
    return added.error();
  }
  if (options.nice) setup.nice = *options.nice;
  setup.cpus.assign(options.cpus.begin(), options.cpus.end());
  setup.io_priority = options.io_priority;
  setup.oom_score_adj = options.oom_score_adj;
  setup.no_new_privs = options.no_new_privs;
  setup.group = options.group;
  if (auto added = AddFds(options, prepared); !added) return added.error();
  return prepared;
}

Result<std::string> AbsolutePath(const std::string& name,
                                 const std::string& path) {
  if (path.empty()) return BadRequest(name + " is empty");
  if (HasNul(path)) return BadRequest(name + " holds a NUL byte");
  if (path.front() == '/') return path;
  Result<std::string> own = OwnWorkingDirectory();
  if (!own) return own;
  return *own + (own->back() == '/' ? "" : "/") + path;
}

Result<protocol::Policy> PreparePolicy(const WorkerOptions& options) {
  if (options.timeout.count() < 0) return BadRequest("timeout is negative");
  if (options.grace.count() < 0) return BadRequest("grace is negative");
  if (options.stop_signal < 1 || options.stop_signal >= NSIG) {
    return BadRequest("stop_signal is not between 1 and " +
                      std::to_string(NSIG - 1) + ": " +
                      std::to_string(options.stop_signal));
  }
  protocol::Policy policy;
  policy.name = options.name;
  policy.timeout_ms = options.timeout.count();
  policy.grace_ms = options.grace.count();
  policy.detach = options.detach;
  policy.watch = !options.detach;
  policy.crash_report = options.crash_report;
  policy.report_leftovers = options.report_leftovers;
  policy.stop_signal = options.stop_signal;
  policy.cgroup = options.cgroup;
  return policy;
}

std::string FingerprintProgram(const protocol::Setup& setup) {
  if (setup.argv.empty()) return {};
  for (std::string path : FindCandidates(setup.argv.front(), setup.env)) {
    // As execve(2) of the new process will see it: after its chdir(2).
    if (!path.empty() && path.front() != '/') path = setup.cwd + "/" + path;
    struct stat info = {};
    if (::stat(path.c_str(), &info) < 0 || !S_ISREG(info.st_mode) ||
        ::access(path.c_str(), X_OK) < 0) {
      continue;
    }
    return path + ":" + std::to_string(info.st_dev) + ":" +
           std::to_string(info.st_ino) + ":" + std::to_string(info.st_size) +
           ":" + std::to_string(ModificationTimeNs(info));
  }
  return {};
}

}  // namespace forkserver
