// The options of each OptionSet, declared to CLI11. Part of command_line.cc,
// the only one to include this: CLI11 takes seconds to compile.
#pragma once

#include <CLI/CLI.hpp>
#include <chrono>
#include <csignal>
#include <string>
#include <utility>
#include <vector>

#include "tools/forkserver/command_table.h"
#include "tools/forkserver/declare_service_options.h"
#include "tools/forkserver/declare_test_options.h"
#include "tools/forkserver/declare_values.h"
#include "tools/forkserver/options.h"
#include "tools/forkserver/values.h"

namespace forkserver::cli {

inline std::string CheckVariable(const std::string& text) {
  const auto equals = text.find('=');
  if (equals != text.npos && equals > 0) return {};
  return "'" + text + "' is not NAME=value";
}

inline void AddProcessOptions(CLI::App& app, Options& options) {
  app.add_option("--cwd", options.cwd, "Working directory (default: this one)")
      ->type_name("DIR");
  AddRepeatable(app, "--env", options.env,
                "Set a variable; may be repeated (default: the environment of "
                "this command)")
      ->check(CheckVariable)
      ->type_name("NAME=VALUE");
  app.add_flag("--clean-env", options.clean_env,
               "Only the variables given with --env");
  AddParsed(
      app, "--umask", ParseUmask, [&](int mask) { options.umask = mask; },
      "File mode mask, octal")
      ->type_name("MODE");
  app.add_option_function<std::vector<std::string>>(
         "--limit",
         [&](const std::vector<std::string>& texts) {
           for (const std::string& text : texts) {
             auto limit = ParseLimit(text);
             if (!limit) {
               throw CLI::ValidationError("--limit", limit.error().message);
             }
             options.limits.insert_or_assign(limit->first, limit->second);
           }
         },
         "Resource limit, as nofile=256 or as=2G:4G or core=unlimited; may be "
         "repeated")
      ->type_size(1)
      ->allow_extra_args(false)
      ->type_name("NAME=SOFT[:HARD]");
  app.add_option("--nice", options.nice, "Niceness, -20 to 19")->type_name("N");
  AddParsed(
      app, "--cpus", ParseCpus,
      [&](std::vector<int> cpus) { options.cpus = std::move(cpus); },
      "Run on exactly these CPUs, as 0-3,7")
      ->type_name("LIST");
  AddParsed(
      app, "--io-priority", ParseIoPriority,
      [&](IoPriority priority) { options.io_priority = priority; },
      "For the disk: idle, best-effort or realtime, with a level from 0 "
      "(first) "
      "to 7")
      ->type_name("CLASS[:LEVEL]");
  app.add_option("--oom-score-adj", options.oom_score_adj,
                 "How soon the kernel kills it when memory runs out, -1000 "
                 "(never) to 1000 (first)")
      ->type_name("N");
  app.add_flag("--no-new-privs", options.no_new_privs,
               "It can gain no rights, by setuid programs for example");
  app.add_flag("--session", options.session,
               "Lead a session of its own instead of a process group");
}

inline void AddWorkerOptions(CLI::App& app, Options& options) {
  AddDuration(app, "--timeout", options.timeout,
              "Stop it after this time (default: never)");
  AddDuration(app, "--grace", options.grace,
              "Between TERM and KILL when it is stopped (default: 5s)");
  app.add_option("--name", options.name, "Name for lists")->type_name("NAME");
  app.add_flag("--detach", options.detach,
               "Print the worker's id and return; it lives on. Its streams "
               "that are terminals or output pipes become /dev/null");
  app.add_flag("--crash-report", options.crash_report,
               "Its exit record has the end of its standard error and, if it "
               "crashed, where")
      ->excludes(app.get_option("--detach"));
  app.add_flag("-t,--pty", options.pty,
               "Its streams are a terminal of its own, shown in this one")
      ->excludes(app.get_option("--detach"))
      ->excludes(app.get_option("--crash-report"))
      ->excludes(app.get_option("--session"));
  AddCgroupOptions(app, options.cgroup);
}

inline void AddForkOptions(CLI::App& app, Options& options) {
  app.add_option("--entry", options.entry,
                 "Which entry to run (default: the only one)")
      ->type_name("ENTRY");
  app.add_option("--args", options.args, "Bytes for the entry")
      ->type_name("STRING");
  app.add_flag("--result", options.result,
               "Print the result that the entry sets, after its own output. "
               "A signal then ends this command, and so the worker")
      ->excludes(app.get_option("--detach"))
      ->excludes(app.get_option("--pty"));
}

inline void AddZygoteOptions(CLI::App& app, Options& options) {
  AddRepeatable(app, "--preload", options.preload,
                "Preload step; may be repeated, in order")
      ->type_name("STEP");
  app.add_option("--parent", options.parent,
                 "Fork it from this zygote, instead of running CMD")
      ->type_name("ZYGOTE");
  app.add_flag("--replace", options.replace,
               "Retire one of the same name that is not the same");
  AddChoice<AuditPolicy>(
      app, "--audit", options.audit_policy,
      {{"refuse", AuditPolicy::kRefuse},
       {"warn", AuditPolicy::kWarn},
       {"allow", AuditPolicy::kAllow}},
      "What becomes of it if it is not known to be safe to fork: "
      "refuse, warn or allow (default: refuse)");
  AddParsed(
      app, "--spares", ParseSpares,
      [&options](std::pair<int, int> spares) {
        options.spares_min = spares.first;
        options.spares_max = spares.second;
      },
      "Fork so many workers in advance (default: 0:0)")
      ->type_name("MIN:MAX");
  AddDuration(app, "--entry-deadline", options.entry_deadline,
              "Kill a worker that has not reached its entry by then (default: "
              "10s)");
  AddDuration(app, "--grace", options.grace,
              "Between its end being due and KILL (default: 5s)");
}

inline void AddDaemonOptions(CLI::App& app, Options& options) {
  const auto forward = [&](const std::string& name, const std::string& type,
                           const std::string& description) {
    app.add_option_function<std::string>(
           name,
           [&options, name](const std::string& value) {
             options.daemon_arguments.push_back(name);
             options.daemon_arguments.push_back(value);
           },
           description)
        ->type_name(type);
  };
  forward("--idle-exit", "DURATION", "End after this time without any use");
  forward("--zygote-idle", "DURATION", "End zygotes that are unused so long");
  forward("--log-level", "LEVEL", "How much it logs");
  app.add_flag_callback(
      "--allow-confined",
      [&] { options.daemon_arguments.push_back("--allow-confined"); },
      "Serve clients that are more confined than the daemon");
}

inline void AddGlobalOptions(CLI::App& app, Options& options, bool json) {
  app.add_option("--socket", options.socket,
                 "The daemon's socket (default: `forkserver socket-path`)")
      ->type_name("PATH");
  if (json) app.add_flag("--json", options.json, "Print JSON, nothing else");
}

// Everything that `command` takes; parsing stores it in `options`.
inline void Declare(const Command& command, CLI::App& app, Options& options) {
  const auto has = [&](OptionSet set) { return (command.options & set) != 0; };
  if (has(kZygoteName)) {
    app.add_option("NAME", options.zygote, "The zygote")->required();
  }
  if (has(kWorkerId)) {
    app.add_option("ID", options.worker_id, "The worker")->required();
  }
  if (has(kServiceName)) {
    app.add_option("NAME", options.service, "The service")->required();
  }
  CLI::Option* maybe_name = nullptr;
  if (has(kMaybeServiceName)) {
    maybe_name = app.add_option("NAME", options.service, "The service");
  }
  if (has(kServiceNames)) {
    app.add_option("NAME", options.names, "Services of the project");
  }
  if (has(kProjectFile)) {
    CLI::Option* const file =
        app.add_option("-f,--file", options.project_file,
                       "The project file (default: forkserver.toml in this "
                       "folder or the nearest one above it)")
            ->type_name("PATH");
    if (maybe_name != nullptr) file->excludes(maybe_name);
  }
  if (has(kDryRun)) {
    app.add_flag("--dry-run", options.dry_run,
                 "Only say what would be done, and why");
  }
  if (has(kProcessOptions)) AddProcessOptions(app, options);
  if (has(kWorkerOptions)) AddWorkerOptions(app, options);
  if (has(kForkOptions)) AddForkOptions(app, options);
  if (has(kZygoteOptions)) AddZygoteOptions(app, options);
  if (has(kServiceOptions)) AddServiceOptions(app, options);
  if (has(kNoWait)) {
    app.add_flag("--no-wait", options.no_wait,
                 "Return at once, not when it is ready");
  }
  if (has(kDaemonOptions)) AddDaemonOptions(app, options);
  if (has(kWaitOptions)) {
    AddDuration(app, "--timeout", options.wait_timeout,
                "Give up after this time (default: never)");
  }
  if (has(kStopOptions)) {
    AddDuration(app, "--grace", options.stop_grace,
                "Between TERM and KILL (default: the worker's own)");
  }
  if (has(kKillOptions)) {
    options.signal = SIGTERM;
    AddParsed(
        app, "-s,--signal", ParseSignal,
        [&](int signal) { options.signal = signal; },
        "Name with or without SIG, or number (default: TERM)")
        ->type_name("SIG");
    app.add_flag("--group", options.group, "To its whole process group");
  }
  if (has(kLogOptions)) {
    app.add_flag("-f,--follow", options.follow,
                 "Show what is added, until Ctrl-C");
    app.add_option("--since", options.since,
                   "From that time on: 10m (ago) or 2026-11-22T16:33 (UTC)")
        ->type_name("TIME");
    app.add_option("-n,--lines", options.lines, "Only the last N lines")
        ->check([](const std::string& text) {
          return text[0] == '-' ? "it must not be negative" : std::string();
        })
        ->type_name("N");
  }
  if (has(kPsOptions)) {
    app.add_flag("--memory", options.memory,
                 "Show what each takes: PSS, shared and private");
  }
  if (has(kTopOptions)) {
    AddParsed(
        app, "--interval", ParseInterval,
        [&](std::chrono::milliseconds interval) {
          options.interval = interval;
        },
        "How often it looks, and the time that CPU is measured over (default: "
        "1s)")
        ->type_name("DURATION");
  }
  if (has(kDoctorOptions)) {
    CLI::Option* const pid =
        app.add_option("PID", options.pid, "The process to look at")
            ->check(CLI::PositiveNumber);
    app.add_flag("--daemon", options.daemon, "Look at forkserverd itself")
        ->excludes(pid);
  }
  if (has(kGuardOptions)) {
    app.add_option("--mode", options.guard_mode,
                   "What an unsafe fork leads to (default: warn)")
        ->check(CLI::IsMember({"warn", "deny", "abort"}))
        ->type_name("warn|deny|abort");
    AddDuration(app, "--exec-window", options.exec_window,
                "A child that executes a program so soon is safe (default: "
                "100ms)");
    app.add_option("--report", options.guard_report,
                   "Append reports to this file, as lines of JSON (default: "
                   "text on standard error)")
        ->type_name("FILE");
  }
  if (has(kShell)) {
    app.add_option("SHELL", options.shell, "bash, zsh or fish")
        ->required()
        ->check(CLI::IsMember({"bash", "zsh", "fish"}))
        ->type_name("bash|zsh|fish");
  }
  if (has(kLoginOptions)) {
    app.add_option("--kind", options.login_kind,
                   "What starts programs at login here (default: looks)")
        ->check(CLI::IsMember({"systemd", "launchd", "xdg"}))
        ->type_name("systemd|launchd|xdg");
    app.add_flag("--dry-run", options.dry_run,
                 "Print what would be done, and do nothing");
  }
  if (has(kHidden)) app.add_flag("--quiet", options.quiet, "Report nothing");
  if (has(kTestOptions)) AddTestOptions(app, options.test);
  AddGlobalOptions(app, options, has(kJsonOption));
  // Without it `run ls -l` would take -l for an option of its own.
  if (has(kCommand)) app.prefix_command();
}

}  // namespace forkserver::cli
