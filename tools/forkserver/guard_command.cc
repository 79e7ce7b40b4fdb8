#include "tools/forkserver/guard_command.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "sdk/base/unique_fd.h"
#include "sdk/guard/fork_record.h"
#include "sdk/process/platform.h"
#include "tools/forkserver/audit_report.h"
#include "tools/forkserver/exit_codes.h"
#include "tools/forkserver/fork_report.h"
#include "tools/forkserver/guardable.h"
#include "tools/forkserver/json.h"
#include "tools/forkserver/output.h"

extern char** environ;

namespace forkserver::cli {
namespace {

constexpr char kLibrary[] = "libforkguard.so";  // on macOS too
constexpr char kSeparator = ':';

// ld.so(8): spaces and colons separate the files, and nothing quotes them.
Result<std::string> CheckPath(const std::string& path) {
  if (path.find_first_of(" :") == std::string::npos) return path;
  return MakeError(error_code::kSystem,
                   "the loader cannot preload " + path +
                       ": there is a space or a colon in its path",
                   "install it elsewhere (tools/install --prefix)");
}

// Installed: bin/forkserver and lib/forkserver/. As Bazel builds them:
// tools/forkserver/forkserver and sdk/guard/.
Result<std::string> FindLibrary() {
  std::vector<std::string> folders;
  if (const char* const bin = std::getenv("FORKSERVER_BIN"); bin && *bin) {
    folders.push_back(std::string(bin) + "/../lib/forkserver/");
  }
  const std::string self = ExecutablePath();
  const std::string folder = self.substr(0, self.rfind('/'));
  folders.push_back(folder + "/../lib/forkserver/");
  folders.push_back(folder + "/../../sdk/guard/");
  std::string looked;
  for (const std::string& each : folders) {
    char path[PATH_MAX];
    const std::string file = each + kLibrary;
    if (::realpath(file.c_str(), path) != nullptr) return CheckPath(path);
    looked += (looked.empty() ? "" : ", ") + each;
  }
  return MakeError(error_code::kSystem,
                   std::string(kLibrary) + " was not found in " + looked,
                   "install it with tools/install");
}

bool IsPreloaded(const std::string& preloaded, const std::string& library) {
  const std::string all = kSeparator + preloaded + kSeparator;
  return all.find(kSeparator + library + kSeparator) != std::string::npos;
}

void Set(const char* name, const std::string& value) {
  ::setenv(name, value.c_str(), 1);
}

// The environment of this process becomes that of a guarded program. Within a
// guard, what is not asked for stays as it is.
Result<void> SetUpEnvironment(const Options& options,
                              const std::string& report) {
  auto library = FindLibrary();
  if (!library) return library.error();
  const char* const preloaded = std::getenv(PreloadVariable());
  const bool within = preloaded != nullptr && IsPreloaded(preloaded, *library);
  if (!within) {
    Set(PreloadVariable(), preloaded == nullptr || *preloaded == '\0'
                               ? *library
                               : *library + kSeparator + preloaded);
    ::unsetenv(guard::kModeVariable);
    ::unsetenv(guard::kWindowVariable);
    ::unsetenv(guard::kReportVariable);
  }
  if (!options.guard_mode.empty() ||
      std::getenv(guard::kModeVariable) == nullptr) {
    Set(guard::kModeVariable,
        options.guard_mode.empty() ? "warn" : options.guard_mode);
  }
  if (options.exec_window) {
    Set(guard::kWindowVariable, std::to_string(options.exec_window->count()));
  }
  if (!report.empty()) Set(guard::kReportVariable, report);
  Set(guard::kProgramVariable, ExecutablePath());
  return {};
}

std::vector<char*> ArgumentsOf(const Options& options) {
  std::vector<char*> arguments;
  for (const std::string& word : options.words) {
    arguments.push_back(const_cast<char*>(word.c_str()));
  }
  arguments.push_back(nullptr);
  return arguments;
}

int FailToExecute(const std::string& name, int error) {
  PrintError(SystemError("execve(" + name + ")", error).message);
  return error == ENOENT ? kNotFound : kNotExecutable;
}

// 0, or the exit code of what was found wrong, and said.
int CheckCommand(const Options& options) {
  auto program = FindGuardable(options.words.front());
  if (program) return kOk;
  if (program.error().error_number == ENOENT) {
    return FailToExecute(options.words.front(), ENOENT);
  }
  return Fail(program.error());
}

// A file of its own for the reports of a program, which is removed with it.
class ReportFile {
 public:
  ReportFile() {
    const char* const folder = std::getenv("TMPDIR");
    path_ = std::string(folder != nullptr && *folder == '/' ? folder : "/tmp") +
            "/forkserver-doctor.XXXXXX";
    fd_ = UniqueFd(::mkostemp(path_.data(), O_CLOEXEC));
  }
  ~ReportFile() {
    if (fd_) ::unlink(path_.c_str());
  }
  ReportFile(const ReportFile&) = delete;
  ReportFile& operator=(const ReportFile&) = delete;

  explicit operator bool() const { return static_cast<bool>(fd_); }
  const std::string& path() const { return path_; }

  // Each watcher of libforkguard has a lock on it until it ends.
  std::string ReadAtEnd() const {
    while (::flock(fd_.get(), LOCK_EX) != 0 && errno == EINTR) {
    }
    std::string text;
    char buffer[16384];
    ssize_t size;
    while ((size = ::read(fd_.get(), buffer, sizeof(buffer))) > 0) {
      text.append(buffer, static_cast<std::size_t>(size));
    }
    return text;
  }

 private:
  std::string path_;
  UniqueFd fd_;
};

// Its wait status; an errno in `error` if it could not be made.
int RunToEnd(const Options& options, int& error) {
  // As in system(3): the terminal's signals are for the program.
  ::signal(SIGINT, SIG_IGN);
  ::signal(SIGQUIT, SIG_IGN);
  posix_spawnattr_t attributes;
  ::posix_spawnattr_init(&attributes);
  sigset_t defaults;
  sigemptyset(&defaults);  // macros, on macOS
  sigaddset(&defaults, SIGINT);
  sigaddset(&defaults, SIGQUIT);
  ::posix_spawnattr_setsigdefault(&attributes, &defaults);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  // Standard output is for JSON and nothing else then.
  if (options.json) {
    ::posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
  }
  pid_t pid = -1;
  error = ::posix_spawnp(&pid, options.words.front().c_str(), &actions,
                         &attributes, ArgumentsOf(options).data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  ::posix_spawnattr_destroy(&attributes);
  int status = 0;
  while (error == 0 && ::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

std::string DescribeEnd(int status) {
  return WIFSIGNALED(status)
             ? "signal " + std::to_string(WTERMSIG(status)) + " ended it"
             : "it exited with " + std::to_string(WEXITSTATUS(status));
}

}  // namespace

int RunGuarded(const Options& options) {
  if (const int code = CheckCommand(options); code != kOk) return code;
  std::string report = options.guard_report;
  if (!report.empty() && report[0] != '/') {
    char folder[PATH_MAX];
    if (::getcwd(folder, sizeof(folder)) == nullptr) {
      return Fail(SystemError("getcwd()", errno));
    }
    report = std::string(folder) + "/" + report;
  }
  if (auto done = SetUpEnvironment(options, report); !done) {
    return Fail(done.error());
  }
  ::execvp(options.words.front().c_str(), ArgumentsOf(options).data());
  return FailToExecute(options.words.front(), errno);
}

int RunDoctorOnCommand(const Options& options) {
  if (const int code = CheckCommand(options); code != kOk) return kFailed;
  const ReportFile file;
  if (!file) return Fail(SystemError("mkstemp(" + file.path() + ")", errno));
  Options warn = options;
  warn.guard_mode = "warn";
  if (auto done = SetUpEnvironment(warn, file.path()); !done) {
    return Fail(done.error());
  }
  int error = 0;
  const int status = RunToEnd(options, error);
  if (error != 0) {
    FailToExecute(options.words.front(), error);
    return kFailed;
  }
  CommandReport report;
  report.argv = options.words;
  report.exit_code = WIFSIGNALED(status) ? kSignalBase + WTERMSIG(status)
                                         : WEXITSTATUS(status);
  report.forks = ParseForkReports(file.ReadAtEnd());
  int code = kOk;
  for (const ForkReport& fork : report.forks) {
    if (code != kUnsafe) code = ExitCodeOf(fork.verdict);
    if (code != kOk) report.verdict = fork.verdict;
    if (!options.json) std::fprintf(stderr, "%s", fork.text.c_str());
  }
  if (options.json) {
    PrintLine(ToJson(report));
  } else {
    std::fprintf(stderr, "forkserver: %s: %s; %s\n",
                 options.words.front().c_str(), DescribeEnd(status).c_str(),
                 report.forks.empty() ? "no fork of it was unsafe"
                                      : "see the reports above");
  }
  return code;
}

int ReportFork(const Options& options) {
  auto report = MakeForkReport(STDIN_FILENO);
  if (!report) return options.quiet ? kFailed : Fail(report.error());
  const int code = ExitCodeOf(report->verdict);
  if (code == kOk || options.quiet) return code;
  const std::string text = options.json ? ToJson(*report) + "\n" : report->text;
  // In one piece: several may be written at a time.
  for (std::size_t done = 0; done < text.size();) {
    const ssize_t written =
        ::write(STDOUT_FILENO, text.data() + done, text.size() - done);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) break;
    done += static_cast<std::size_t>(written);
  }
  return code;
}

}  // namespace forkserver::cli
