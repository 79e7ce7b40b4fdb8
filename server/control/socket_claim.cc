#include "server/control/socket_claim.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "sdk/base/unix_socket.h"
#include "sdk/process/platform.h"
#include "sdk/process/socket_path.h"

namespace forkserver::server {
namespace {

// Waiting connections; a burst of clients must not be refused.
constexpr int kBacklog = 1024;

Error AlreadyServed(const std::string& path) {
  return MakeError(SocketClaim::kAlreadyServed,
                   "another forkserverd serves " + path);
}

// By a process that lives. A child that a killed daemon was forking has copies
// of its descriptors, and nobody answers on them.
bool IsServed(const std::string& path) {
  const Result<UniqueFd> connected = ConnectUnixSocket(path);
  if (!connected) return false;
  const Result<Peer> listener = ReadPeer(connected->get());
  return !listener || listener->pid <= 0 || !ProcessHasEnded(listener->pid);
}

// Empty if it has none in the file system.
std::string BoundPath(int fd) {
  sockaddr_un address = {};
  socklen_t size = sizeof(address);
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0 ||
      address.sun_path[0] != '/') {
    return {};
  }
  return std::string(address.sun_path,
                     ::strnlen(address.sun_path, sizeof(address.sun_path)));
}

}  // namespace

Result<SocketClaim> SocketClaim::Take(const std::string& path) {
  if (auto checked = CheckSocketPath(path); !checked) return checked.error();
  if (path[0] != '/') {
    return MakeError(error_code::kSocketPath,
                     "the socket path must be absolute, not '" + path + "'");
  }
  if (auto prepared = PrepareSocketFolder(path); !prepared) {
    return prepared.error();
  }
  SocketClaim claim;
  claim.path_ = path;
  if (auto locked = claim.TakeLock(); !locked) return locked.error();
  // We hold the lock: a socket that is there is stale, unless somebody removed
  // the lock file under a daemon that runs.
  struct stat status = {};
  if (::lstat(path.c_str(), &status) == 0) {
    if (!S_ISSOCK(status.st_mode)) {
      return MakeError(error_code::kSocketPath,
                       path + " exists and is not a socket",
                       "remove it, or choose another path with --socket");
    }
    if (IsServed(path)) return AlreadyServed(path);
    ::unlink(path.c_str());
  }
  Result<UniqueFd> listening = ListenUnixSocket(path, kBacklog);
  if (!listening) return listening.error();
  claim.listening_ = std::move(*listening);
  if (::lstat(path.c_str(), &status) == 0) claim.inode_ = status.st_ino;
  claim.owns_file_ = true;
  return claim;
}

SocketClaim SocketClaim::Adopt(std::string path, UniqueFd listening) {
  SocketClaim claim;
  claim.path_ = std::move(path);
  if (std::string bound = BoundPath(listening.get()); !bound.empty()) {
    claim.path_ = std::move(bound);
  }
  claim.listening_ = std::move(listening);
  // One that was started by hand may still serve its clients, on a socket
  // that has no name any more. It keeps the lock, we have the socket.
  static_cast<void>(claim.TakeLock().has_value());
  SetCloseOnExec(claim.listening_.get());
  SetNonBlocking(claim.listening_.get());
  return claim;
}

SocketClaim SocketClaim::Resume(const protocol::HandedClaim& handed) {
  SocketClaim claim;
  claim.path_ = handed.path;
  claim.lock_ = TakeHanded(handed.lock);
  claim.listening_ = TakeHanded(handed.listening);
  claim.owns_file_ = handed.owns_file;
  claim.inode_ = static_cast<unsigned long long>(handed.inode);
  return claim;
}

protocol::HandedClaim SocketClaim::WriteDown(HandedFds& fds) const {
  return {path_, fds.Add(lock_), fds.Add(listening_), owns_file_,
          static_cast<std::int64_t>(inode_)};
}

Result<void> SocketClaim::TakeLock() {
  // Never removed: two daemons must lock the same file.
  const std::string lock_path = path_ + ".lock";
  UniqueFd lock(::open(lock_path.c_str(),
                       O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!lock) return SystemError("open(" + lock_path + ")", errno);
  // Not flock(2), which children that are being forked would hold as well: they
  // may outlive this process by a moment. This one ends when any descriptor of
  // the file is closed, so there must never be another one here. It stays when
  // another program is executed.
  struct flock whole = {};
  whole.l_type = F_WRLCK;
  whole.l_whence = SEEK_SET;
  if (::fcntl(lock.get(), F_SETLK, &whole) != 0) {
    if (errno == EACCES || errno == EAGAIN) return AlreadyServed(path_);
    return SystemError("fcntl(" + lock_path + ", F_SETLK)", errno);
  }
  lock_ = std::move(lock);
  return {};
}

SocketClaim::~SocketClaim() {
  // Moved from, or never served.
  if (!owns_file_ || !lock_) return;
  struct stat status = {};
  if (::lstat(path_.c_str(), &status) == 0 && status.st_ino == inode_) {
    ::unlink(path_.c_str());
  }
}

std::string SocketClaim::ReadInstance() const {
  if (!lock_) return {};
  char text[64];
  const ssize_t size = ::pread(lock_.get(), text, sizeof(text), 0);
  return size <= 0 ? std::string()
                   : std::string(text, static_cast<std::size_t>(size));
}

void SocketClaim::NoteInstance(const std::string& instance) const {
  if (!lock_) return;
  // Best effort: on a full disk the clock alone keeps ids apart.
  const ssize_t size =
      ::pwrite(lock_.get(), instance.data(), instance.size(), 0);
  if (size >= 0) static_cast<void>(::ftruncate(lock_.get(), size) == 0);
}

}  // namespace forkserver::server
