#include "server/services/readiness.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

#include "sdk/base/unix_socket.h"

namespace forkserver::server {
namespace {

constexpr std::size_t kMaxStatusBytes = 256;
// In one call: one that never stops talking does not keep the daemon.
constexpr int kMaxDatagrams = 64;

Result<UniqueFd> BindDatagramSocket(const std::string& path) {
  if (auto checked = CheckSocketPath(path); !checked) return checked.error();
  UniqueFd socket(::socket(AF_UNIX, SOCK_DGRAM, 0));
  if (!socket) return SystemError("socket()", errno);
  SetCloseOnExec(socket.get());
  SetNonBlocking(socket.get());
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  ::unlink(path.c_str());
  // The folder is the user's own; the mode is for whoever may come into it.
  const mode_t mask = ::umask(0177);
  const int bound = ::bind(socket.get(), reinterpret_cast<sockaddr*>(&address),
                           sizeof(address));
  const int error = errno;
  ::umask(mask);
  if (bound != 0) return SystemError("bind(" + path + ")", error);
  return socket;
}

}  // namespace

void RemoveVariable(std::vector<std::string>& env, const std::string& name) {
  const std::string prefix = name + "=";
  std::erase_if(env, [&](const std::string& one) {
    return one.compare(0, prefix.size(), prefix) == 0;
  });
}

void SetVariable(std::vector<std::string>& env, const std::string& name,
                 const std::string& value) {
  RemoveVariable(env, name);
  env.push_back(name + "=" + value);
}

Readiness& Readiness::operator=(Readiness&& other) noexcept {
  if (this == &other) return *this;
  if (!socket_path_.empty()) ::unlink(socket_path_.c_str());
  pipe_ = std::move(other.pipe_);
  pipe_is_done_ = other.pipe_is_done_;
  socket_ = std::move(other.socket_);
  socket_path_ = std::exchange(other.socket_path_, {});
  return *this;
}

Readiness::~Readiness() {
  if (!socket_path_.empty()) ::unlink(socket_path_.c_str());
}

Result<Readiness> Readiness::Prepare(const ServicePolicy& policy,
                                     const std::string& socket_path,
                                     protocol::Setup& setup,
                                     std::vector<UniqueFd>& fds) {
  Readiness readiness;
  if (policy.ready == ReadyKind::kFd) {
    Result<Pipe> pipe = MakePipe();
    if (!pipe) return pipe.error();
    SetNonBlocking(pipe->read_end.get());
    readiness.pipe_ = std::move(pipe->read_end);
    setup.fds.push_back(
        {policy.ready_fd, static_cast<std::int64_t>(fds.size())});
    fds.push_back(std::move(pipe->write_end));
  }
  if (policy.ready == ReadyKind::kNotify || policy.watchdog_ms > 0) {
    Result<UniqueFd> socket = BindDatagramSocket(socket_path);
    if (!socket) return socket.error();
    readiness.socket_ = std::move(*socket);
    readiness.socket_path_ = socket_path;
    SetVariable(setup.env, "NOTIFY_SOCKET", socket_path);
    if (policy.watchdog_ms > 0) {
      SetVariable(setup.env, "WATCHDOG_USEC",
                  std::to_string(policy.watchdog_ms * 1000));
    }
  }
  return readiness;
}

Readiness Readiness::Resume(protocol::HandedReadiness handed) {
  Readiness readiness;
  readiness.pipe_ = TakeHanded(handed.pipe);
  readiness.pipe_is_done_ = handed.pipe_is_done;
  readiness.socket_ = TakeHanded(handed.socket);
  readiness.socket_path_ = std::move(handed.socket_path);
  return readiness;
}

protocol::HandedReadiness Readiness::WriteDown(HandedFds& fds) const {
  return {fds.Add(pipe_), pipe_is_done_, fds.Add(socket_), socket_path_};
}

Readiness::Said Readiness::Read() {
  Said said;
  if (pipe_ && !pipe_is_done_) ReadPipe(said);
  if (socket_) ReadSocket(said);
  return said;
}

void Readiness::ReadPipe(Said& said) {
  char bytes[512];
  for (;;) {
    const ssize_t size = ::read(pipe_.get(), bytes, sizeof(bytes));
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
    if (size > 0 && std::memchr(bytes, '\n', static_cast<std::size_t>(size))) {
      said.ready = true;
    }
    // Nothing more is to come that means anything.
    if (size <= 0 || said.ready) {
      pipe_is_done_ = true;
      return;
    }
  }
}

void Readiness::ReadSocket(Said& said) {
  char bytes[4096];
  for (int i = 0; i < kMaxDatagrams; ++i) {
    const ssize_t size =
        ::recv(socket_.get(), bytes, sizeof(bytes), MSG_DONTWAIT);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return;
    std::string_view text(bytes, static_cast<std::size_t>(size));
    while (!text.empty()) {
      const std::size_t end = std::min(text.find('\n'), text.size());
      const std::string_view line = text.substr(0, end);
      text.remove_prefix(std::min(end + 1, text.size()));
      if (line == "READY=1") said.ready = true;
      if (line == "WATCHDOG=1") said.alive = true;
      if (line == "WATCHDOG=trigger") said.silent = true;
      constexpr std::string_view kStatus = "STATUS=";
      if (line.substr(0, kStatus.size()) == kStatus) {
        said.status = std::string(line.substr(kStatus.size(), kMaxStatusBytes));
      }
    }
  }
}

}  // namespace forkserver::server
