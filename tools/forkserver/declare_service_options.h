// The options of a service, declared to CLI11. Part of command_line.cc, as
// declare_options.h is.
#pragma once

#include <CLI/CLI.hpp>
#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "tools/forkserver/declare_values.h"
#include "tools/forkserver/options.h"
#include "tools/forkserver/values.h"

namespace forkserver::cli {

inline void AddMilliseconds(CLI::App& app, const std::string& name,
                            std::int64_t& target,
                            const std::string& description) {
  AddParsed(
      app, name, ParseDuration,
      [&target](std::chrono::milliseconds value) { target = value.count(); },
      description)
      ->type_name("DURATION");
}

inline void AddKeepingOptions(CLI::App& app, ServicePolicy& policy) {
  AddChoice<RestartPolicy>(
      app, "--restart", policy.restart,
      {{"no", RestartPolicy::kNo},
       {"on-failure", RestartPolicy::kOnFailure},
       {"always", RestartPolicy::kAlways}},
      "When it ends: no, on-failure or always (default: on-failure)");
  AddMilliseconds(app, "--backoff", policy.backoff_initial_ms,
                  "Before it starts again (default: 200ms)");
  app.add_option("--backoff-factor", policy.backoff_factor,
                 "So many times as long after each short run in a row "
                 "(default: 2)")
      ->check(CLI::Range(1, 1000))
      ->type_name("N");
  AddMilliseconds(app, "--backoff-max", policy.backoff_max_ms,
                  "But never longer than this (default: 30s)");
  app.add_option("--backoff-jitter", policy.backoff_jitter_percent,
                 "More or less by up to so many percent (default: 10)")
      ->check(CLI::Range(0, 100))
      ->type_name("PERCENT");
  AddMilliseconds(app, "--reset-after", policy.reset_after_ms,
                  "A run that lasted so long is not short (default: 10s)");
  app.add_option("--start-limit", policy.start_limit,
                 "After so many short runs in a row it has failed; 0: never "
                 "(default: 5)")
      ->check(CLI::Range(0, 1'000'000))
      ->type_name("N");
  AddParsed(
      app, "--success-exit-codes", ParseExitCodes,
      [&policy](std::vector<std::int64_t> codes) {
        policy.success_exit_codes = std::move(codes);
      },
      "Exit codes that are no failure, besides 0")
      ->type_name("CODES");
  AddRepeatable(app, "--after", policy.after,
                "Start once that service is ready; may be repeated")
      ->type_name("NAME");
}

inline void AddReadyOptions(CLI::App& app, ServicePolicy& policy) {
  AddParsed(
      app, "--ready", ParseReady,
      [&policy](ReadyCheck check) {
        policy.ready = check.kind;
        policy.ready_fd = check.fd;
        policy.ready_line = std::move(check.line);
        policy.ready_command = std::move(check.command);
      },
      "It is ready when: none (it runs), fd or fd:N (it writes a line there), "
      "line:REGEX (of its output), exec:COMMAND (exits with 0), notify (it "
      "sends READY=1) (default: none)")
      ->type_name("HOW");
  AddMilliseconds(app, "--ready-timeout", policy.ready_timeout_ms,
                  "It has failed if it is not ready by then; 0: never "
                  "(default: 30s)");
  AddMilliseconds(app, "--watchdog", policy.watchdog_ms,
                  "It has failed if it sends no WATCHDOG=1 for so long");
}

// Of a worker or of a run of a service.
inline void AddCgroupOptions(CLI::App& app, CgroupLimits& limits) {
  AddParsed(
      app, "--memory-max", ParseSize,
      [&limits](std::int64_t bytes) { limits.memory_max_bytes = bytes; },
      "The most memory of it and all that it starts, as 512M; the kernel kills "
      "what wants more")
      ->type_name("BYTES");
  app.add_option("--tasks-max", limits.tasks_max,
                 "The most processes and threads of it and all that it starts")
      ->check(CLI::PositiveNumber)
      ->type_name("N");
  AddParsed(
      app, "--cpu-max", ParseCpuShare,
      [&limits](std::int64_t percent) { limits.cpu_max_percent = percent; },
      "The most processor time of it and all that it starts, as 50% or 1.5 "
      "(CPUs)")
      ->type_name("PERCENT%|CPUS");
}

inline void AddServiceOptions(CLI::App& app, Options& options) {
  ServicePolicy& policy = options.policy;
  app.add_option("--zygote", options.zygote,
                 "Fork it from this zygote, instead of running CMD")
      ->type_name("ZYGOTE");
  app.add_option("--entry", options.entry, "The entry of the zygote to run")
      ->type_name("ENTRY");
  app.add_option("--args", options.args, "Bytes for the entry")
      ->type_name("STRING");
  AddKeepingOptions(app, policy);
  AddReadyOptions(app, policy);
  AddParsed(
      app, "--stop-signal", ParseSignal,
      [&policy](int signal) { policy.stop_signal = signal; },
      "What asks it to stop (default: TERM)")
      ->type_name("SIG");
  AddMilliseconds(app, "--grace", policy.grace_ms,
                  "Between that and KILL (default: 10s)");
  AddMilliseconds(app, "--timeout", policy.timeout_ms,
                  "Stop a run after this time (default: never)");
  AddParsed(
      app, "--log-size", ParseSize,
      [&policy](std::int64_t bytes) { policy.log_max_bytes = bytes; },
      "Keep its output in files of so many bytes; 0: not at all (default: "
      "10M)")
      ->type_name("BYTES");
  app.add_option("--log-files", policy.log_files,
                 "Keep so many of these files (default: 3)")
      ->check(CLI::Range(1, 1000))
      ->type_name("N");
  app.add_flag("--log-drop", policy.log_drop,
               "Drop and count what it writes faster than can be kept, "
               "instead of letting it wait");
  app.add_flag("--pty", policy.pty,
               "Its streams are a terminal, which it writes to its log");
  app.add_flag("--detach", policy.detach,
               "It outlives a daemon that is killed, and the next one takes it "
               "over");
  AddCgroupOptions(app, policy.cgroup);
  app.add_flag("--replace", options.replace,
               "Replace one of the same name that is made of something else");
}

}  // namespace forkserver::cli
