#include <fcntl.h>
#include <forkserver/zygote.h>

#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <utility>

#include "sdk/base/unix_socket.h"
#include "sdk/cpp/run_by_hand.h"
#include "sdk/cpp/zygote_registry.h"
#include "sdk/cpp/zygote_server.h"

extern char** environ;

namespace forkserver {
namespace {

constexpr char kControlVariable[] = "FORKSERVER_ZYGOTE_CONTROL_FD";
constexpr char kReportVariable[] = "FORKSERVER_ZYGOTE_REPORT_FD";

// forkserverd sets it to this, unless the request has a value of its own.
constexpr char kBindVariable[] = "LD_BIND_NOW";
constexpr std::string_view kBindValue = "forkserver";

// The open descriptor that the variable names. `error` tells what is wrong.
UniqueFd TakeDescriptor(const char* variable, std::string& error) {
  const char* value = std::getenv(variable);
  if (value == nullptr) {
    error = std::string(variable) + " is not set";
    return {};
  }
  int fd = -1;
  const char* end = value + std::strlen(value);
  const auto parsed = std::from_chars(value, end, fd);
  if (parsed.ec != std::errc() || parsed.ptr != end || fd < 0) {
    error = std::string(variable) + "=" + value + " is not a descriptor";
    return {};
  }
  if (::fcntl(fd, F_GETFD) < 0) {
    error = std::string(variable) + "=" + value + " is not open";
    return {};
  }
  SetCloseOnExec(fd);
  return UniqueFd(fd);
}

}  // namespace

class Zygote::Impl {
 public:
  int argc = 0;
  char** argv = nullptr;
  bool started_by_daemon = false;
  std::string error;  // of what the daemon left
  ZygoteChannels channels;
  ZygoteRegistry registry;
};

Zygote::Zygote(int argc, char** argv) : impl_(std::make_unique<Impl>()) {
  impl_->argc = argc;
  impl_->argv = argv;
  impl_->started_by_daemon = std::getenv(kControlVariable) != nullptr ||
                             std::getenv(kReportVariable) != nullptr;
  if (!impl_->started_by_daemon) return;
  ZygoteChannels& channels = impl_->channels;
  channels.control = TakeDescriptor(kControlVariable, impl_->error);
  if (impl_->error.empty()) {
    channels.report = TakeDescriptor(kReportVariable, impl_->error);
  }
  ::unsetenv(kControlVariable);
  ::unsetenv(kReportVariable);
  const char* const bind = std::getenv(kBindVariable);
  if (bind != nullptr && bind == kBindValue) ::unsetenv(kBindVariable);
  // Now, before the program changes it: later the requests' variables are
  // compared with what the zygote was given.
  for (char** variable = environ; *variable != nullptr; ++variable) {
    channels.environment.emplace_back(*variable);
  }
}

Zygote::~Zygote() = default;

bool Zygote::started_by_daemon() const { return impl_->started_by_daemon; }

void Zygote::AddEntry(std::string name, Entry entry) {
  impl_->registry.entries[std::move(name)] = std::move(entry);
}

void Zygote::AddPreload(std::string name, std::function<Result<void>()> step) {
  ZygoteRegistry& registry = impl_->registry;
  if (registry.preloads.count(name) == 0) {
    registry.preload_order.push_back(name);
  }
  registry.preloads[std::move(name)] = std::move(step);
}

void Zygote::KeepDescriptors(KeptChoice choose) {
  impl_->registry.choose_kept = std::move(choose);
}

int Zygote::Serve() {
  if (!impl_->started_by_daemon) {
    return RunByHand(impl_->argc, impl_->argv, impl_->registry);
  }
  if (!impl_->error.empty()) {
    std::fprintf(stderr, "forkserver: zygote: %s\n", impl_->error.c_str());
    return kSetupFailedExitCode;
  }
  for (;;) {
    ZygoteServer::Outcome outcome;
    {
      ZygoteServer server(impl_->registry, std::move(impl_->channels));
      outcome = server.Run();
    }
    if (!outcome.forked_zygote) return outcome.exit_code;
    // This is the child now. From the same frame of the stack, so that a
    // zygote of a zygote of a zygote is no deeper than the first.
    impl_->channels = std::move(*outcome.forked_zygote);
  }
}

}  // namespace forkserver
