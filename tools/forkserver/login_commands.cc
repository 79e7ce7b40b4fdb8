#include "tools/forkserver/login_commands.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "sdk/base/unix_socket.h"
#include "sdk/cpp/find_daemon.h"
#include "sdk/process/socket_path.h"
#include "tools/forkserver/exit_codes.h"
#include "tools/forkserver/login_changes.h"
#include "tools/forkserver/login_setup.h"
#include "tools/forkserver/output.h"
#include "tools/forkserver/run_program.h"

namespace forkserver::cli {
namespace {

struct NamedKind {
  std::string_view name;
  LoginKind kind;
  std::string_view starter;
};

constexpr NamedKind kKinds[] = {
    {"systemd", LoginKind::kSystemd, "systemd's user manager"},
    {"launchd", LoginKind::kLaunchd, "launchd"},
    {"xdg", LoginKind::kXdg, "the desktop's autostart"},
};

std::string Variable(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

// systemd's user manager, where it can be told something now.
bool ReachesUserManager() {
  std::string folder = Variable("XDG_RUNTIME_DIR");
  if (folder.empty()) folder = "/run/user/" + std::to_string(::geteuid());
  return ConnectUnixSocket(folder + "/systemd/private").has_value();
}

std::optional<LoginKind> FindKind() {
#ifdef __APPLE__
  return LoginKind::kLaunchd;
#else
  std::error_code ignored;
  // As sd_booted(3) has it: without a manager now there is one at the login.
  if (ReachesUserManager() ||
      std::filesystem::is_directory("/run/systemd/system", ignored)) {
    return LoginKind::kSystemd;
  }
  for (const char* const name :
       {"XDG_CURRENT_DESKTOP", "XDG_SESSION_DESKTOP", "DESKTOP_SESSION"}) {
    if (!Variable(name).empty()) return LoginKind::kXdg;
  }
  return std::nullopt;
#endif
}

std::vector<NamedKind> ChosenKinds(const std::string& name) {
  std::vector<NamedKind> chosen;
  const std::optional<LoginKind> found =
      name.empty() ? FindKind() : std::nullopt;
  for (const NamedKind& one : kKinds) {
    if (name == one.name || found == one.kind) chosen.push_back(one);
  }
  return chosen;
}

Result<LoginPlaces> FindPlaces() {
  LoginPlaces places;
  places.home = Variable("HOME");
  if (places.home.empty() || places.home[0] != '/') {
    return MakeError(error_code::kBadRequest,
                     "HOME is not set to an absolute path");
  }
  places.config = Variable("XDG_CONFIG_HOME");
  // The XDG base directory specification: a relative path is to be ignored.
  if (places.config.empty() || places.config[0] != '/') {
    places.config = places.home + "/.config";
  }
  places.socket = SessionSocketPath();
  return places;
}

// Not resolved: a link may lead to another version tomorrow.
Result<std::string> FindProgram() {
  Result<std::string> found = FindDaemonProgram("");
  if (!found) return found;
  std::error_code error;
  const std::string path = std::filesystem::absolute(*found, error);
  if (error) return SystemError("getcwd()", error.value());
  return std::filesystem::path(path).lexically_normal().string();
}

// Runs it, or with --dry-run says so. False, said too, if it failed.
bool Tell(std::vector<std::string> words, bool dry_run) {
  std::string command;
  for (const std::string& word : words) {
    command += (command.empty() ? "" : " ") + word;
  }
  if (dry_run) {
    PrintLine("would run " + command);
    return true;
  }
  // What it prints comes after what was done before it.
  FlushOutput();
  const Result<int> code = RunProgram(std::move(words));
  if (code && *code == kOk) {
    PrintLine("ran " + command);
    return true;
  }
  PrintWarning(
      command + ": " +
      (code ? "exit code " + std::to_string(*code) : code.error().message));
  return false;
}

bool IsServed(const std::string& socket) {
  return ConnectUnixSocket(socket).has_value();
}

constexpr char kAtNextLogin[] = "It starts with the next login.";

// The session that is there already.
void StartNow(LoginKind kind, const LoginSetup& setup,
              const std::string& socket, bool dry_run) {
  std::vector<std::string> start;
  if (kind == LoginKind::kSystemd) {
    if (!ReachesUserManager()) {
      PrintLine(
          "No user manager of systemd can be told now (a container, or a "
          "login without one). " +
          std::string(kAtNextLogin));
      return;
    }
    Tell({"systemctl", "--user", "daemon-reload"}, dry_run);
    const Result<int> listens = RunProgram(
        {"systemctl", "--user", "is-active", "--quiet", kSocketUnit});
    if (listens && *listens == kOk) {
      PrintLine("Its socket listens already.");
      return;
    }
    start = {"systemctl", "--user", "start", kSocketUnit, kServiceUnit};
  } else if (kind == LoginKind::kLaunchd) {
    start = {"launchctl", "bootstrap", "gui/" + std::to_string(::getuid()),
             setup.files[0].path};
  } else {
    PrintLine(kAtNextLogin);
    return;
  }
  if (IsServed(socket)) {
    PrintLine("A forkserverd serves " + socket +
              " already, and goes on. After `forkserver daemon stop` the "
              "session's own is started by:");
    std::string command;
    for (const std::string& word : start) command += " " + word;
    PrintLine(" " + command);
    return;
  }
  if (!Tell(std::move(start), dry_run)) PrintLine(kAtNextLogin);
}

int RefuseSocket() {
  PrintError(
      "--socket: what is started at login serves the socket that every "
      "program looks for by itself");
  return kUsage;
}

}  // namespace

int EnableAtLogin(const Options& options) {
  if (!options.socket.empty()) return RefuseSocket();
  const std::vector<NamedKind> kinds = ChosenKinds(options.login_kind);
  if (kinds.empty()) {
    return Fail(MakeError(
        error_code::kBadRequest,
        "nothing was found here that starts programs at a login (a container, "
        "ssh, CI?)",
        "the first program that needs forkserverd starts it, nothing is to be "
        "done; --kind says otherwise"));
  }
  const NamedKind& kind = kinds.front();
  Result<LoginPlaces> places = FindPlaces();
  if (!places) return Fail(places.error());
  Result<std::string> program = FindProgram();
  if (!program) return Fail(program.error());
  places->program = *std::move(program);
  Result<LoginSetup> setup = MakeLoginSetup(kind.kind, *places);
  if (!setup) return Fail(setup.error());

  LoginChanges changes(options.dry_run);
  if (auto applied = changes.Apply(*setup); !applied) {
    return Fail(applied.error());
  }
  if (!changes.changed()) PrintLine("Nothing to write: it is all there.");
  PrintLine(std::string(options.dry_run ? "Then " : "") + "forkserverd (" +
            places->program + ") is started at login by " +
            std::string(kind.starter) + ".");
  StartNow(kind.kind, *setup, places->socket, options.dry_run);
  if (!Variable("FORKSERVER_SOCKET").empty()) {
    PrintWarning(
        "FORKSERVER_SOCKET is set: programs that have it do not use the "
        "session's forkserverd");
  }
  return kOk;
}

int DisableAtLogin(const Options& options) {
  if (!options.socket.empty()) return RefuseSocket();
  Result<LoginPlaces> places = FindPlaces();
  if (!places) return Fail(places.error());
  LoginChanges changes(options.dry_run);
  for (const NamedKind& one : kKinds) {
    if (!options.login_kind.empty() && options.login_kind != one.name) continue;
    const LoginSetup setup = LoginFilesAndLinks(one.kind, *places);
    LoginChanges those(options.dry_run);
    if (auto removed = those.Remove(setup); !removed) {
      return Fail(removed.error());
    }
    if (!those.changed()) continue;
    changes = those;
    if (one.kind == LoginKind::kSystemd && ReachesUserManager()) {
      // The service only wants its socket, and goes on: it has it open.
      Tell({"systemctl", "--user", "daemon-reload"}, options.dry_run);
      Tell({"systemctl", "--user", "stop", kSocketUnit}, options.dry_run);
    }
    PrintLine(std::string(options.dry_run ? "Then " : "") +
              "forkserverd is not started by " + std::string(one.starter) +
              " at login any more.");
  }
  if (!changes.changed()) {
    PrintLine("Nothing to remove: it is not enabled.");
    return kOk;
  }
  PrintLine(
      "One that runs goes on until `forkserver daemon stop`, or the end of "
      "the session.");
  return kOk;
}

}  // namespace forkserver::cli
