// What a command line says, as plain values; which of them count depends on
// the command.
#pragma once

#include <forkserver/types.h>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "tools/harness/plan/options.h"

namespace forkserver::cli {

// What the words of a command line that is being typed can go on with.
struct Completion {
  struct Candidate {
    std::string word;
    std::string description;
  };
  std::vector<Candidate> candidates;
  // Names that the daemon knows.
  bool services = false;
  bool workers = false;
  bool zygotes = false;
};

// The whole command line, for its manual. What is hidden is not in it.
struct Manual {
  struct Option {
    std::vector<std::string> names;  // "-f", "--file"
    std::string value;               // "PATH"; empty: none
    std::string description;
  };
  struct Command {
    std::string name;
    std::string synopsis;
    std::string description;
    std::string notes;
    int usage_exit_code = 0;
    std::vector<Option> options;
  };
  std::vector<Option> options;  // before the command; --socket of all of them
  std::vector<Command> commands;
};

struct Options {
  // Of every command.
  std::string socket;  // empty: found as by the SDK
  bool json = false;

  // The words after `--`: a program and its arguments, or those of an entry.
  std::vector<std::string> words;

  // A new process.
  std::optional<std::string> cwd;
  std::vector<std::string> env;  // "NAME=value", in addition
  bool clean_env = false;        // to nothing instead of the caller's
  std::optional<int> umask;
  ResourceLimits limits;
  std::optional<int> nice;
  std::vector<int> cpus;
  std::optional<IoPriority> io_priority;
  std::optional<int> oom_score_adj;
  bool no_new_privs = false;
  bool session = false;

  // A new worker.
  std::string name;
  std::chrono::milliseconds timeout{0};
  std::chrono::milliseconds grace{5'000};
  bool detach = false;
  bool crash_report = false;
  bool pty = false;
  CgroupLimits cgroup;

  // `fork` and `zygote`; `zygote` is the name.
  std::string zygote;
  std::string entry;
  std::string args;
  bool result = false;
  std::vector<std::string> preload;
  std::string parent;
  bool replace = false;
  AuditPolicy audit_policy = AuditPolicy::kRefuse;
  int spares_min = 0;
  int spares_max = 0;
  std::chrono::milliseconds entry_deadline{10'000};

  // `wait`, `kill`, `stop`; a service's name as well for `stop`.
  std::string worker_id;
  std::optional<std::chrono::milliseconds> wait_timeout;
  std::optional<std::chrono::milliseconds> stop_grace;
  int signal = 0;
  bool group = false;

  // `start` and the other commands about services.
  std::string service;  // its name
  ServicePolicy policy;
  bool no_wait = false;

  // `logs`.
  bool follow = false;
  std::string since;         // empty: from the beginning
  std::optional<int> lines;  // absent: all
  // `up`, `down`, `reload`, `restart`, `check`.
  std::vector<std::string> names;  // of services
  std::string project_file;        // empty: the nearest forkserver.toml

  bool memory = false;  // `ps`

  std::chrono::milliseconds interval{1'000};  // `top`

  // `guard`, and what libforkguard calls.
  std::string guard_mode;  // empty: warn, or that of the guard around it
  std::optional<std::chrono::milliseconds> exec_window;
  std::string guard_report;  // a file; empty: standard error
  bool quiet = false;

  // `doctor`.
  std::optional<int> pid;
  bool daemon = false;

  // `test`; its filters are the words.
  harness::TestOptions test;

  // `completion`, and what the scripts that it prints call.
  std::string shell;
  Completion completion;
  Manual manual;  // `manual`
  // `enable`, `disable`.
  std::string login_kind;  // empty: found; `disable`: all
  bool dry_run = false;

  // `daemon start`: handed to forkserverd as they are.
  std::vector<std::string> daemon_arguments;
};

}  // namespace forkserver::cli
