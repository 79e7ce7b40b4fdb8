#include "server/control/listener.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <utility>

#include "sdk/base/unix_socket.h"
#include "sdk/process/platform.h"
#include "sdk/protocol/codec.h"
#include "server/lasting_fds.h"
#include "server/logging.h"

namespace forkserver::server {
namespace {

// Then others get their turn.
constexpr int kAcceptsPerTurn = 64;

UniqueFd OpenReserve() {
  return UniqueFd(::open("/dev/null", O_RDONLY | O_CLOEXEC));
}

UniqueFd AcceptOne(int listening_fd) {
#ifdef __linux__
  return UniqueFd(
      ::accept4(listening_fd, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
#else
  UniqueFd socket(::accept(listening_fd, nullptr, nullptr));
  if (socket) {
    SetCloseOnExec(socket.get());
    SetNonBlocking(socket.get());
    const int on = 1;
    ::setsockopt(socket.get(), SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof(on));
  }
  return socket;
#endif
}

Error NoDescriptorLeft() {
  return MakeError(error_code::kDescriptorLimit,
                   "forkserverd has no descriptor left for another client",
                   "end some clients, or raise the hard limit of open files");
}

// A socket that was just accepted has room for one small frame.
void Refuse(int socket, const Error& error) {
  const std::string frame = protocol::EncodeError(0, error);
  SendWithFds(socket, frame.data(), frame.size(), nullptr, 0);
}

}  // namespace

Listener::Listener(Loop& loop, int listening_fd, bool allow_confined,
                   OnConnection on_connection, OwnerId last_id)
    : listening_fd_(listening_fd),
      allow_confined_(allow_confined),
      on_connection_(std::move(on_connection)),
      last_id_(last_id),
      reserve_(OpenReserve()) {
  watcher_.emplace(loop, listening_fd, [this](bool, bool) { Accept(); });
}

void Listener::Accept() {
  for (int i = 0; i < kAcceptsPerTurn; ++i) {
    UniqueFd socket = AcceptOne(listening_fd_);
    if (!socket && (errno == EMFILE || errno == ENFILE)) {
      reserve_.Reset();
      socket = AcceptOne(listening_fd_);
      if (socket) {
        Refuse(socket.get(), NoDescriptorLeft());
        socket.Reset();
      }
      reserve_ = OpenReserve();
      Log(LogLevel::kWarning, "no descriptor left for a client");
      return;
    }
    if (!socket) return;
    pid_t pid = 0;
    UniqueFd process;
    if (auto admitted = Admit(socket.get(), pid, process); !admitted) {
      Log(LogLevel::kWarning, "refused a client, pid " + std::to_string(pid) +
                                  ": " + admitted.error().message);
      Refuse(socket.get(), admitted.error());
      continue;
    }
    // What is as old as its client is in nobody's way there.
    for (UniqueFd* const lasting : {&socket, &process}) {
      if (lasting->get() >= kFirstLastingFd / 2) {
        MoveUp(*lasting, kFirstLastingFd);
      }
    }
    on_connection_(std::make_unique<Connection>(
        ++last_id_, pid, std::move(socket), std::move(process)));
  }
}

Result<void> Listener::Admit(int socket, pid_t& pid, UniqueFd& process) const {
  const auto peer = ReadPeer(socket);
  if (!peer) {
    return MakeError(error_code::kPeerRefused, peer.error().message);
  }
  pid = peer->pid;
  if (peer->uid != ::geteuid()) {
    return MakeError(error_code::kPeerRefused,
                     "this forkserverd serves user " +
                         std::to_string(::geteuid()) + " only, not user " +
                         std::to_string(peer->uid),
                     "start one of your own; root is no exception");
  }
  process = OpenProcess(peer->pid, socket);
  // What is looked at below is read from files.
  if (!OpenReserve()) return NoDescriptorLeft();
  if (allow_confined_) return {};
  std::string confinement = DescribeConfinement(peer->pid);
  // Had it ended meanwhile, its number could have been somebody else's.
  if (confinement.empty() && ProcessHasEnded(peer->pid)) {
    confinement = "its process has ended";
  }
  if (confinement.empty()) return {};
  return MakeError(error_code::kPeerConfined,
                   "the client is more confined than forkserverd (" +
                       confinement +
                       ") and would gain unconfined code by asking",
                   "start a forkserverd inside the same confinement, or this "
                   "one with --allow-confined");
}

}  // namespace forkserver::server
