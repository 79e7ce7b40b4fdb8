// The part of platform.h that is the same everywhere.
#include "sdk/process/platform.h"

#include <sys/resource.h>

#include <csignal>
#include <ctime>
#include <utility>

namespace forkserver {
namespace {

struct NamedLimit {
  const char* name;
  int resource;
};

constexpr NamedLimit kLimits[] = {
    {"as", RLIMIT_AS},
    {"core", RLIMIT_CORE},
    {"cpu", RLIMIT_CPU},
    {"data", RLIMIT_DATA},
    {"fsize", RLIMIT_FSIZE},
    {"memlock", RLIMIT_MEMLOCK},
    {"nofile", RLIMIT_NOFILE},
    {"nproc", RLIMIT_NPROC},
    {"stack", RLIMIT_STACK},
#ifdef __linux__
    {"locks", RLIMIT_LOCKS},
    {"msgqueue", RLIMIT_MSGQUEUE},
    {"nice", RLIMIT_NICE},
    {"rss", RLIMIT_RSS},
    {"rtprio", RLIMIT_RTPRIO},
    {"rttime", RLIMIT_RTTIME},
    {"sigpending", RLIMIT_SIGPENDING},
#endif
};

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

void ResetSignals() {
  struct sigaction action = {};
  action.sa_handler = SIG_DFL;
  for (int signal = 1; signal < NSIG; ++signal) {
    if (signal == SIGKILL || signal == SIGSTOP) continue;
    ::sigaction(signal, &action, nullptr);
  }
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
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
