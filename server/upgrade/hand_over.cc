#include "server/upgrade/hand_over.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "sdk/process/platform.h"
#include "sdk/protocol/codec.h"
#include "server/handed_fds.h"
#include "server/upgrade/execute_fd.h"

namespace forkserver::server {
namespace {

// PID:WHAT:FD[:WHY], for the process with that pid.
constexpr char kVariable[] = "FORKSERVER_UPGRADE";
constexpr std::pair<std::string_view, Call::Kind> kCalls[] = {
    {"try", Call::Kind::kTry},
    {"take_over", Call::Kind::kTakeOver},
    {"go_back", Call::Kind::kGoBack},
};

constexpr std::size_t kMostSaid = 1000;

constexpr std::string_view kAnswerMark = "\nforkserverd answers:\n";
// The file may be larger than what is in it: it begins with the length.
using Length = std::uint64_t;

struct Mapping {
  Mapping(int fd, std::size_t bytes, int protection)
      : size(bytes),
        memory(::mmap(nullptr, bytes, protection, MAP_SHARED, fd, 0)) {}
  ~Mapping() {
    if (valid()) ::munmap(memory, size);
  }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  bool valid() const { return memory != MAP_FAILED; }

  const std::size_t size;
  void* const memory;
};

std::vector<char*> PointersTo(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  pointers.reserve(texts.size() + 1);
  for (std::string& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

std::vector<std::string> EnvironmentWith(const std::string& value) {
  std::vector<std::string> variables;
  for (const char* const* one = OwnEnvironment(); *one != nullptr; ++one) {
    variables.emplace_back(*one);
  }
  variables.push_back(std::string(kVariable) + "=" + value);
  return variables;
}

std::string Word(Call::Kind kind, int state) {
  std::string_view name;
  for (const auto& [word, meant] : kCalls) {
    if (meant == kind) name = word;
  }
  return std::to_string(::getpid()) + ":" + std::string(name) + ":" +
         std::to_string(state);
}

// Up to the next colon, which is taken too.
std::string_view TakeWord(std::string_view& text) {
  const std::string_view word = text.substr(0, text.find(':'));
  text.remove_prefix(std::min(text.size(), word.size() + 1));
  return word;
}

}  // namespace

Result<UniqueFd> WriteState(const protocol::HandedDaemon& state) {
  const std::string bytes = protocol::EncodeBody(state);
  const Length length = bytes.size();
  const std::size_t size = sizeof(length) + bytes.size();
  UniqueFd file = MakeSharedFile("forkserver-state", size, /*reserve=*/true);
  if (!file) return SystemError("fallocate(memfd)", errno);
  const Mapping mapping(file.get(), size, PROT_READ | PROT_WRITE);
  if (!mapping.valid()) return SystemError("mmap()", errno);
  char* const target = static_cast<char*>(mapping.memory);
  std::memcpy(target, &length, sizeof(length));
  bytes.copy(target + sizeof(length), bytes.size());
  return file;
}

Result<protocol::HandedDaemon> ReadState(const UniqueFd& file) {
  struct stat info = {};
  if (::fstat(file.get(), &info) != 0) return SystemError("fstat()", errno);
  const auto size = static_cast<std::size_t>(info.st_size);
  Length length = 0;
  if (size < sizeof(length)) {
    return MakeError(error_code::kMalformed, "the state is empty");
  }
  const Mapping mapping(file.get(), size, PROT_READ);
  if (!mapping.valid()) return SystemError("mmap()", errno);
  const char* const bytes = static_cast<const char*>(mapping.memory);
  std::memcpy(&length, bytes, sizeof(length));
  if (length > size - sizeof(length)) {
    return MakeError(error_code::kMalformed, "the state is cut off");
  }
  return protocol::DecodeBody<protocol::HandedDaemon>(
      {bytes + sizeof(length), static_cast<std::size_t>(length)});
}

std::optional<Call> TakeCall() {
  const char* const value = std::getenv(kVariable);
  if (value == nullptr) return std::nullopt;
  const std::string text = value;
  ::unsetenv(kVariable);
  std::string_view rest = text;
  if (TakeWord(rest) != std::to_string(::getpid())) return std::nullopt;
  const std::string_view what = TakeWord(rest);
  const std::string_view number = TakeWord(rest);
  for (const auto& [word, kind] : kCalls) {
    if (word != what) continue;
    int fd = -1;
    std::from_chars(number.data(), number.data() + number.size(), fd);
    if (fd < 0) return std::nullopt;
    Call call;
    call.kind = kind;
    call.state.Reset(fd);
    call.why = rest;
    ::fcntl(fd, F_SETFD, FD_CLOEXEC);
    return call;
  }
  return std::nullopt;
}

Error CallSuccessor(const std::string& program,
                    const std::vector<std::string>& argv, Call::Kind kind,
                    const UniqueFd& state,
                    const std::vector<std::int64_t>& fds) {
  std::vector<std::string> words = argv;
  std::vector<std::string> variables = EnvironmentWith(Word(kind, state.get()));
  std::vector<std::int64_t> all = fds;
  all.push_back(state.get());
  KeepOnExec(all, true);
  ::execve(program.c_str(), PointersTo(words).data(),
           PointersTo(variables).data());
  const int cause = errno;
  KeepOnExec(all, false);
  return SystemError("execve(" + program + ")", cause);
}

Error GoBack(const protocol::HandedDaemon& handed, char* const* argv,
             const UniqueFd& state, const std::string& why) {
  // What is too long cannot be executed.
  std::vector<std::string> variables = EnvironmentWith(
      Word(Call::Kind::kGoBack, state.get()) + ":" + why.substr(0, kMostSaid));
  std::vector<std::int64_t> all = handed.fds;
  all.push_back(state.get());
  KeepOnExec(all, true);
  ExecuteFd(static_cast<int>(handed.old_program), argv,
            PointersTo(variables).data());
  return SystemError("execve(the program before)", errno);
}

void WriteAnswer(const protocol::UpgradeAnswer& answer) {
  std::string text(kAnswerMark);
  text += protocol::EncodeBody(answer);
  std::string_view rest = text;
  while (!rest.empty()) {
    const ssize_t written = ::write(STDOUT_FILENO, rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) break;
    rest.remove_prefix(static_cast<std::size_t>(written));
  }
}

std::optional<protocol::UpgradeAnswer> ReadAnswer(std::string_view text) {
  const std::size_t mark = text.rfind(kAnswerMark);
  if (mark == text.npos) return std::nullopt;
  auto answer = protocol::DecodeBody<protocol::UpgradeAnswer>(
      text.substr(mark + kAnswerMark.size()));
  if (!answer) return std::nullopt;
  return std::move(*answer);
}

}  // namespace forkserver::server
