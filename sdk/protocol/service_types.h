// Services: named workers that forkserverd keeps as it was asked to. The names
// of the fields are the names on the wire and in JSON.
//
//   #include <forkserver/client.h>
//
//   forkserver::Result<forkserver::ServiceInfo> StartDatabase(
//       forkserver::Client& client) {
//     forkserver::ServiceOptions options;
//     options.name = "database";
//     options.argv = {"redis-server", "--port", "6400"};
//     options.policy.restart = forkserver::RestartPolicy::kAlways;
//     options.policy.ready = forkserver::ReadyKind::kLine;
//     options.policy.ready_line = "Ready to accept connections";
//     return client.StartService(options);
//   }
//
// Public header: standard library only, C++17 or later. Plain values. Units
// are in the names, as in types.h.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace forkserver {

// When a run that ended is followed by another one. A run fails when its exit
// code is no success, a signal ended it, its timeout ran out, it was not ready
// in time or stayed silent longer than its watchdog allows.
enum class RestartPolicy { kNo, kOnFailure, kAlways };

// How it is known that a run is ready.
//   none    as soon as its program or entry runs
//   fd      it writes a line to a descriptor
//   line    a line of its output matches
//   exec    a command exits with 0, which is tried until it does
//   notify  it sends READY=1 to NOTIFY_SOCKET
enum class ReadyKind { kNone, kFd, kLine, kExec, kNotify };

//   stopped     nothing runs, and nothing is to
//   waiting     it is to run, once the services that it is after are ready
//   starting    it runs, and is not ready yet
//   running     it is ready
//   stopping    it was asked to stop, and something of it is still there
//   restarting  the same, and then it starts again
//   failing     its run failed (not ready in time, or silent), and something of
//               it is still there
//   backoff     its run has ended; the next one begins after a while
//   finished    its run has ended as it should, and is not followed by another
//   failed      its run has failed, and is not followed by another
enum class ServiceState {
  kStopped,
  kWaiting,
  kStarting,
  kRunning,
  kStopping,
  kRestarting,
  kFailing,
  kBackoff,
  kFinished,
  kFailed,
};

// The names on the wire: "on-failure", "notify", "backoff".
std::string_view NameOf(RestartPolicy policy);
std::string_view NameOf(ReadyKind kind);
std::string_view NameOf(ServiceState state);

// Of a process and all that descends from it, by a cgroup of its own. 0: none.
// Linux, where the daemon has a cgroup to give parts of; elsewhere
// "unsupported". docs/services.md says where that is.
struct CgroupLimits {
  // More than that is not to be had: the kernel kills one of its processes.
  std::int64_t memory_max_bytes = 0;
  // Processes and threads.
  std::int64_t tasks_max = 0;
  // Processor time: 100 is that of one CPU.
  std::int64_t cpu_max_percent = 0;

  bool any() const {
    return memory_max_bytes != 0 || tasks_max != 0 || cpu_max_percent != 0;
  }

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Optional("memory_max_bytes", self.memory_max_bytes);
    visit.Optional("tasks_max", self.tasks_max);
    visit.Optional("cpu_max_percent", self.cpu_max_percent);
  }
};

// How a service is kept.
struct ServicePolicy {
  RestartPolicy restart = RestartPolicy::kOnFailure;
  // Before the next run: initial, and so many times that after each further run
  // in a row that was short, up to max; and more or less by up to jitter.
  std::int64_t backoff_initial_ms = 200;
  std::int64_t backoff_factor = 2;
  std::int64_t backoff_max_ms = 30'000;
  std::int64_t backoff_jitter_percent = 10;
  // A run that lasted so long is not short.
  std::int64_t reset_after_ms = 10'000;
  // After so many short runs in a row it has failed. 0: never.
  std::int64_t start_limit = 5;
  // Besides 0.
  std::vector<std::int64_t> success_exit_codes;
  // Services that are to be ready (or to have finished) before it starts.
  std::vector<std::string> after;
  ReadyKind ready = ReadyKind::kNone;
  std::int64_t ready_fd = 3;               // of "fd": its number in the worker
  std::string ready_line;                  // of "line": a regular expression
  std::vector<std::string> ready_command;  // of "exec"
  // How long a run may take to be ready. 0: for ever.
  std::int64_t ready_timeout_ms = 30'000;
  // How long a run that is ready may go without WATCHDOG=1 to NOTIFY_SOCKET.
  // 0: for ever.
  std::int64_t watchdog_ms = 0;
  // What asks it to stop, and how long until it is killed.
  std::int64_t stop_signal = 15;
  std::int64_t grace_ms = 10'000;
  // The most that one run may take. 0: for ever.
  std::int64_t timeout_ms = 0;
  // Its output is kept in files of at most so many bytes. 0: not at all.
  std::int64_t log_max_bytes = 10'485'760;
  std::int64_t log_files = 3;
  // What it writes faster than can be kept is dropped and counted; otherwise
  // it waits.
  bool log_drop = false;
  // Its streams are a terminal, which it writes to its log.
  bool pty = false;
  // A run outlives a daemon that is killed, and is taken over by the next one.
  bool detach = false;
  CgroupLimits cgroup;  // of a run

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Defaulted("restart", self.restart, RestartPolicy::kOnFailure);
    visit.Defaulted("backoff_initial_ms", self.backoff_initial_ms,
                    std::int64_t{200});
    visit.Defaulted("backoff_factor", self.backoff_factor, std::int64_t{2});
    visit.Defaulted("backoff_max_ms", self.backoff_max_ms,
                    std::int64_t{30'000});
    visit.Defaulted("backoff_jitter_percent", self.backoff_jitter_percent,
                    std::int64_t{10});
    visit.Defaulted("reset_after_ms", self.reset_after_ms,
                    std::int64_t{10'000});
    visit.Defaulted("start_limit", self.start_limit, std::int64_t{5});
    visit.Optional("success_exit_codes", self.success_exit_codes);
    visit.Optional("after", self.after);
    visit.Defaulted("ready", self.ready, ReadyKind::kNone);
    visit.Defaulted("ready_fd", self.ready_fd, std::int64_t{3});
    visit.Optional("ready_line", self.ready_line);
    visit.Optional("ready_command", self.ready_command);
    visit.Defaulted("ready_timeout_ms", self.ready_timeout_ms,
                    std::int64_t{30'000});
    visit.Optional("watchdog_ms", self.watchdog_ms);
    visit.Defaulted("stop_signal", self.stop_signal, std::int64_t{15});
    visit.Defaulted("grace_ms", self.grace_ms, std::int64_t{10'000});
    visit.Optional("timeout_ms", self.timeout_ms);
    visit.Defaulted("log_max_bytes", self.log_max_bytes,
                    std::int64_t{10'485'760});
    visit.Defaulted("log_files", self.log_files, std::int64_t{3});
    visit.Optional("log_drop", self.log_drop);
    visit.Optional("pty", self.pty);
    visit.Optional("detach", self.detach);
    CgroupLimits::Visit(self.cgroup, visit);
  }
};

}  // namespace forkserver
