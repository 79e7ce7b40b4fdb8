// The part of platform.h that is the same everywhere.
#include "sdk/process/platform.h"

#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <ctime>
#include <utility>

#include "sdk/process/child_calls.h"

namespace forkserver {
namespace {

struct NamedLimit {
  const char* name;
  int resource;
};

// Sorted by name, as ResourceLimits is.
constexpr NamedLimit kLimits[] = {
    {"as", RLIMIT_AS},
    {"core", RLIMIT_CORE},
    {"cpu", RLIMIT_CPU},
    {"data", RLIMIT_DATA},
    {"fsize", RLIMIT_FSIZE},
#ifdef __linux__
    {"locks", RLIMIT_LOCKS},
#endif
    {"memlock", RLIMIT_MEMLOCK},
#ifdef __linux__
    {"msgqueue", RLIMIT_MSGQUEUE},
    {"nice", RLIMIT_NICE},
#endif
    {"nofile", RLIMIT_NOFILE},
    {"nproc", RLIMIT_NPROC},
#ifdef __linux__
    {"rss", RLIMIT_RSS},
    {"rtprio", RLIMIT_RTPRIO},
    {"rttime", RLIMIT_RTTIME},
    {"sigpending", RLIMIT_SIGPENDING},
#endif
    {"stack", RLIMIT_STACK},
};

bool ReadOneLimit(pid_t pid, int resource, struct rlimit& value) {
#ifdef __linux__
  return ::prlimit(pid, static_cast<__rlimit_resource>(resource), nullptr,
                   &value) == 0;
#else
  // Another process's limits cannot be read on macOS: clients send their own.
  return pid == ::getpid() && ::getrlimit(resource, &value) == 0;
#endif
}

std::int64_t LimitNumber(rlim_t limit) {
  return limit == RLIM_INFINITY ? std::int64_t{-1}
                                : static_cast<std::int64_t>(limit);
}

}  // namespace

std::int64_t MonotonicNanoseconds() {
  timespec now = {};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

std::string DescribeExtraThreads() {
  std::string text;
  const std::vector<ThreadInfo> threads = ListThreads();
  for (std::size_t i = 1; i < threads.size(); ++i) {
    text += text.empty() ? "" : ", ";
    text += std::to_string(threads[i].id) + " '" + threads[i].name + "'";
  }
  return text;
}

void ForgetPendingSignals() {
  for (int signal = 1; signal < NSIG; ++signal) {
    if (signal == SIGKILL || signal == SIGSTOP) continue;
    child_calls::IgnoreSignal(signal);
  }
}

void ResetSignals() {
  // By the kernel's own call: glibc hides two signals (32 and 33) from
  // sigaction(3), and a parent that made raw calls may have left them ignored.
  for (int signal = 1; signal < NSIG; ++signal) {
    if (signal == SIGKILL || signal == SIGSTOP) continue;
    child_calls::DefaultSignal(signal);
  }
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

std::optional<ResourceLimits> ReadLimits(pid_t pid,
                                         const ResourceLimits& known) {
  ResourceLimits limits;
  auto next = known.begin();
  for (const NamedLimit& limit : kLimits) {
    struct rlimit value = {};
    if (!ReadOneLimit(pid, limit.resource, value)) return std::nullopt;
    const ResourceLimit read = {LimitNumber(value.rlim_cur),
                                LimitNumber(value.rlim_max)};
    while (next != known.end() && next->first < limit.name) ++next;
    if (next != known.end() && next->first == limit.name &&
        next->second.soft == read.soft && next->second.hard == read.hard) {
      continue;
    }
    limits[limit.name] = read;
  }
  return limits;
}

int LimitByName(const std::string& name) {
  for (const NamedLimit& limit : kLimits) {
    if (name == limit.name) return limit.resource;
  }
  return -1;
}

std::vector<std::string> LimitNames() {
  std::vector<std::string> names;
  for (const NamedLimit& limit : kLimits) names.emplace_back(limit.name);
  return names;
}

}  // namespace forkserver
