#include "sdk/cpp/self_audit.h"

#include <dlfcn.h>

#include <ctime>
#include <utility>

#include "sdk/process/platform.h"

namespace forkserver {
namespace {

int CountSettledThreads() {
  constexpr int kAttempts = 50;
  constexpr long kStepNanoseconds = 200'000;
  int threads = CountThreads();
  for (int i = 0; i < kAttempts && threads > 1; ++i) {
    const timespec step = {0, kStepNanoseconds};
    ::nanosleep(&step, nullptr);
    threads = CountThreads();
  }
  return threads;
}

Error Unsafe(std::string message) {
  Error error = MakeError(
      error_code::kZygoteUnsafe, std::move(message),
      "start threads and use such libraries in the workers, not in the zygote");
  error.step = "before a fork";
  return error;
}

}  // namespace

SelfAudit::SelfAudit() {
  TakeNewThreads("the start of the program");
  for (const int fd : ListOpenFds()) fds_.insert(fd);
  for (std::string& path : ListLibraries()) libraries_.insert(std::move(path));
}

std::vector<ThreadNote> SelfAudit::TakeNewThreads(const std::string& step) {
  std::vector<ThreadNote> added;
  if (CountSettledThreads() == 1) return added;
  const std::vector<ThreadInfo> threads = ListThreads();
  for (std::size_t i = 1; i < threads.size(); ++i) {
    if (!threads_.insert(threads[i].id).second) continue;
    added.push_back({threads[i].id, threads[i].name, "", step, false});
  }
  notes_.insert(notes_.end(), added.begin(), added.end());
  return added;
}

void SelfAudit::NoteStep(PreloadReport& report) {
  report.new_threads = TakeNewThreads("preload " + report.name);
  report.threads = CountThreads();
  for (const int fd : ListOpenFds()) {
    if (fds_.insert(fd).second) report.new_fds.push_back(fd);
  }
  for (std::string& path : ListLibraries()) {
    if (!libraries_.insert(path).second) continue;
    report.new_libraries.push_back(std::move(path));
  }
}

void SelfAudit::NoteReady(const std::vector<int>& own_fds,
                          const std::vector<std::string>& ask,
                          protocol::ZygoteReady& ready) {
  TakeNewThreads("the end of the preload steps");
  ready.threads = notes_;
  ready.own_fds.assign(own_fds.begin(), own_fds.end());
  for (const std::string& symbol : ask) {
    void* const function = ::dlsym(RTLD_DEFAULT, symbol.c_str());
    Dl_info info = {};
    if (function == nullptr || ::dladdr(function, &info) == 0) continue;
    Asked asked;
    asked.path = info.dli_fname;
    asked.used = reinterpret_cast<bool (*)()>(function);
    asked.was_used = asked.used();
    ready.libraries.push_back({symbol, asked.path, asked.was_used});
    asked_.push_back(std::move(asked));
  }
}

Result<void> SelfAudit::CheckFork() const {
  if (CountThreads() != 1 && CountSettledThreads() != 1) {
    const std::vector<ThreadInfo> threads = ListThreads();
    if (threads.empty()) {
      return Unsafe("the threads of the zygote cannot be counted");
    }
    std::string added;
    for (std::size_t i = 1; i < threads.size(); ++i) {
      if (threads_.count(threads[i].id) != 0) continue;
      added += (added.empty() ? "" : ", ") + std::to_string(threads[i].id) +
               " '" + threads[i].name + "'";
    }
    if (!added.empty()) {
      return Unsafe(
          "the zygote has threads that it had not when it was ready: " + added);
    }
  }
  for (const Asked& asked : asked_) {
    if (!asked.was_used && asked.used()) {
      return Unsafe(asked.path + " was used since the zygote was ready");
    }
  }
  return {};
}

}  // namespace forkserver
