#include "tools/forkserver/request.h"

#include <sys/stat.h>
#include <unistd.h>

#include <string>
#include <string_view>
#include <vector>

extern char** environ;

namespace forkserver::cli {
namespace {

std::string_view NameOfVariable(std::string_view variable) {
  return variable.substr(0, variable.find('='));
}

std::vector<std::string> MakeEnvironment(const Options& options) {
  std::vector<std::string> environment;
  const auto set = [&environment](const std::string& variable) {
    for (std::string& each : environment) {
      if (NameOfVariable(each) == NameOfVariable(variable)) {
        each = variable;
        return;
      }
    }
    environment.push_back(variable);
  };
  if (!options.clean_env && environ != nullptr) {
    for (char** each = environ; *each != nullptr; ++each) {
      environment.emplace_back(*each);
    }
  }
  for (const std::string& variable : options.env) set(variable);
  return environment;
}

void FillProcess(const Options& options, ProcessOptions& process) {
  process.env = MakeEnvironment(options);
  process.cwd = options.cwd;
  process.umask = options.umask;
  process.limits = options.limits;
  process.nice = options.nice;
  process.cpus = options.cpus;
  process.io_priority = options.io_priority;
  process.oom_score_adj = options.oom_score_adj;
  process.no_new_privs = options.no_new_privs;
  if (options.session) process.group = GroupKind::kSession;
}

// A detached worker outlives the terminal. An output pipe belongs to whoever
// reads the worker's id, and waits for its end: `id=$(forkserver run ...)`.
bool IsLeftBehind(int stream) {
  if (::isatty(stream) == 1) return true;
  struct stat info = {};
  return stream != STDIN_FILENO && ::fstat(stream, &info) == 0 &&
         S_ISFIFO(info.st_mode);
}

void FillWorker(const Options& options, int null_fd, WorkerOptions& worker) {
  FillProcess(options, worker);
  worker.name = options.name;
  worker.timeout = options.timeout;
  worker.grace = options.grace;
  worker.detach = options.detach;
  worker.crash_report = options.crash_report;
  worker.cgroup = options.cgroup;
  if (!options.detach) return;
  for (int stream = 0; stream <= 2; ++stream) {
    if (IsLeftBehind(stream)) worker.fds[stream] = null_fd;
  }
}

}  // namespace

SpawnOptions MakeSpawnOptions(const Options& options, int null_fd) {
  SpawnOptions spawn;
  FillWorker(options, null_fd, spawn);
  spawn.argv = options.words;
  return spawn;
}

ForkOptions MakeForkOptions(const Options& options, int null_fd) {
  ForkOptions fork;
  FillWorker(options, null_fd, fork);
  fork.zygote = options.zygote;
  fork.entry = options.entry;
  fork.args = options.args;
  fork.argv = options.words;
  return fork;
}

ServiceOptions MakeServiceOptions(const Options& options) {
  ServiceOptions service;
  FillProcess(options, service);
  service.name = options.service;
  service.argv = options.words;
  service.zygote = options.zygote;
  service.entry = options.entry;
  service.args = options.args;
  service.policy = options.policy;
  service.replace = options.replace;
  service.no_wait = options.no_wait;
  return service;
}

ZygoteOptions MakeZygoteOptions(const Options& options) {
  ZygoteOptions zygote;
  FillProcess(options, zygote);
  zygote.name = options.zygote;
  zygote.argv = options.words;
  zygote.parent = options.parent;
  zygote.preload = options.preload;
  zygote.replace = options.replace;
  zygote.audit_policy = options.audit_policy;
  zygote.entry_deadline = options.entry_deadline;
  zygote.grace = options.grace;
  zygote.spares_min = options.spares_min;
  zygote.spares_max = options.spares_max;
  // The connection of this command ends with it.
  zygote.keep = true;
  return zygote;
}

}  // namespace forkserver::cli
