#include "sdk/cpp/testing/program_state.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "sdk/base/unique_fd.h"
#include "sdk/process/platform.h"

namespace forkserver::program_state {
namespace {

using Environment = std::map<std::string, std::string>;

struct Surroundings {
  Environment environment;
  std::string folder;  // empty: it cannot be read
  mode_t umask = 0;
};

struct End {
  int fd;
  int access;  // O_RDONLY or O_WRONLY
  bool blocking;
};

struct State {
  std::optional<Surroundings> beginning;
  std::map<std::string, std::optional<std::string>> variables;  // changed
  std::optional<std::string> folder;
  std::optional<mode_t> umask;
  std::vector<int> files;
  std::vector<std::vector<End>> pipes;
  std::vector<int> missing;
};

// Never destroyed: workers leave without it, and it is made before all else.
State& Get() {
  static State* const state = new State;
  return *state;
}

Surroundings Look() {
  Surroundings now;
  for (char** each = OwnEnvironment(); *each != nullptr; ++each) {
    const std::string_view variable(*each);
    const std::size_t equals = variable.find('=');
    if (equals == std::string_view::npos) continue;
    now.environment.emplace(variable.substr(0, equals),
                            variable.substr(equals + 1));
  }
  char* const folder = ::getcwd(nullptr, 0);
  if (folder != nullptr) now.folder = folder;
  std::free(folder);
  now.umask = ::umask(077);
  ::umask(now.umask);
  return now;
}

// Before the static initialisers of the program.
[[gnu::constructor(101)]] void NoteBeginning() {
  if (std::getenv("FORKSERVER_ZYGOTE_CONTROL_FD") == nullptr) return;
  Get().beginning = Look();
}

void NoteChanges(State& state) {
  if (!state.beginning) return;
  const Surroundings now = Look();
  for (const auto& [name, value] : now.environment) {
    const auto before = state.beginning->environment.find(name);
    if (before == state.beginning->environment.end() ||
        before->second != value) {
      state.variables[name] = value;
    }
  }
  for (const auto& [name, value] : state.beginning->environment) {
    if (now.environment.count(name) == 0) state.variables[name] = std::nullopt;
  }
  if (now.folder != state.beginning->folder) state.folder = now.folder;
  if (now.umask != state.beginning->umask) state.umask = now.umask;
}

void RestoreVariables(const State& state) {
  for (const auto& [name, value] : state.variables) {
    if (value) {
      ::setenv(name.c_str(), value->c_str(), 1);
    } else {
      ::unsetenv(name.c_str());
    }
  }
  if (state.variables.count("TZ") != 0) ::tzset();
}

// Two that read from one offset would each get a part.
void MoveOffsetApart(int fd) {
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0 || (flags & O_ACCMODE) == O_WRONLY) return;
  const off_t offset = ::lseek(fd, 0, SEEK_CUR);
  if (offset < 0) return;
  const UniqueFd again =
      Reopen(fd, flags & (O_ACCMODE | O_APPEND | O_NONBLOCK));
  if (!again || ::lseek(again.get(), offset, SEEK_SET) < 0) return;
  const int inherited = ::fcntl(fd, F_GETFD);
  if (::dup2(again.get(), fd) >= 0) ::fcntl(fd, F_SETFD, inherited);
}

void RenewPipe(const std::vector<End>& ends) {
  int made[2];
  if (::pipe(made) != 0) return;
  for (const End& end : ends) {
    const int inherited = ::fcntl(end.fd, F_GETFD);
    ::dup2(made[end.access == O_RDONLY ? 0 : 1], end.fd);
    ::fcntl(end.fd, F_SETFD, inherited);
    if (!end.blocking) ::fcntl(end.fd, F_SETFL, O_NONBLOCK);
  }
  ::close(made[0]);
  ::close(made[1]);
}

void Plug(int fd) {
#ifdef O_PATH
  const int plug = ::open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
#else
  const int plug = ::open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
#endif
  if (plug < 0 || plug == fd) return;
  if (::dup2(plug, fd) >= 0) ::fcntl(fd, F_SETFD, FD_CLOEXEC);
  ::close(plug);
}

}  // namespace

std::vector<int> Remember(const std::vector<int>& opened) {
  State& state = Get();
  NoteChanges(state);
  state.files.clear();
  state.pipes.clear();
  state.missing.clear();
  std::map<std::pair<dev_t, ino_t>, std::vector<End>> pipes;
  for (const int fd : opened) {
    struct stat status = {};
    const int flags = ::fcntl(fd, F_GETFL);
    if (flags < 0 || ::fstat(fd, &status) != 0) continue;
    if (S_ISREG(status.st_mode) || S_ISCHR(status.st_mode) ||
        S_ISDIR(status.st_mode)) {
      state.files.push_back(fd);
    } else if (S_ISFIFO(status.st_mode)) {
      pipes[{status.st_dev, status.st_ino}].push_back(
          {fd, flags & O_ACCMODE, (flags & O_NONBLOCK) == 0});
    } else {
      state.missing.push_back(fd);
    }
  }
  std::vector<int> kept = state.files;
  for (auto& [file, ends] : pipes) {
    const auto has = [&ends = ends](int access) {
      return std::any_of(ends.begin(), ends.end(), [access](const End& end) {
        return end.access == access;
      });
    };
    if (has(O_RDONLY) && has(O_WRONLY)) {
      for (const End& end : ends) kept.push_back(end.fd);
      state.pipes.push_back(std::move(ends));
    } else {
      for (const End& end : ends) state.missing.push_back(end.fd);
    }
  }
  return kept;
}

void Restore() {
  const State& state = Get();
  for (const int fd : state.files) MoveOffsetApart(fd);
  for (const auto& ends : state.pipes) RenewPipe(ends);
  for (const int fd : state.missing) Plug(fd);
  RestoreVariables(state);
  if (state.folder && ::chdir(state.folder->c_str()) != 0) {
    // It is gone; the request's is as good as any.
  }
  if (state.umask) ::umask(*state.umask);
}

}  // namespace forkserver::program_state
