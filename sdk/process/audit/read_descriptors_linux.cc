#include <dirent.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "sdk/process/audit/read_descriptors.h"
#include "sdk/process/audit/socket_table.h"

namespace forkserver::audit {
namespace {

struct AnonymousKind {
  const char* name;  // as the kernel writes it, after "anon_inode:"
  DescriptorKind kind;
};

constexpr AnonymousKind kAnonymousKinds[] = {
    {"[eventpoll]", DescriptorKind::kEventPoll},
    {"[eventfd]", DescriptorKind::kEventFd},
    {"[timerfd]", DescriptorKind::kTimerFd},
    {"inotify", DescriptorKind::kInotify},
    {"[fanotify]", DescriptorKind::kInotify},
    {"[io_uring]", DescriptorKind::kIoUring},
    {"[userfaultfd]", DescriptorKind::kUserFault},
};

bool StartsWith(std::string_view text, std::string_view start) {
  return text.substr(0, start.size()) == start;
}

// The number in "socket:[123]".
std::uint64_t NumberIn(std::string_view text) {
  const std::size_t at = text.find('[');
  return at == std::string_view::npos
             ? 0
             : std::strtoull(text.data() + at + 1, nullptr, 10);
}

// "TCP", of a socket that no table lists, or empty.
std::string ProtocolOf(const std::string& path) {
  char name[64];
  const ssize_t size =
      ::getxattr(path.c_str(), "system.sockprotoname", name, sizeof(name));
  return size <= 0 ? std::string()
                   : std::string(name, ::strnlen(name, sizeof(name)));
}

DescriptorKind KindOfPath(const std::string& link, const std::string& path) {
  if (StartsWith(link, "/memfd:") || StartsWith(link, "/dev/shm/")) {
    return DescriptorKind::kSharedMemory;
  }
  if (StartsWith(link, "pipe:")) return DescriptorKind::kPipe;
  struct stat status = {};
  if (::stat(path.c_str(), &status) != 0) return DescriptorKind::kOther;
  if (S_ISFIFO(status.st_mode)) return DescriptorKind::kPipe;
  if (S_ISREG(status.st_mode) || S_ISDIR(status.st_mode)) {
    return DescriptorKind::kFile;
  }
  if (StartsWith(link, "/dev/pts/") || StartsWith(link, "/dev/tty") ||
      link == "/dev/console") {
    return DescriptorKind::kTerminal;
  }
  return DescriptorKind::kDevice;
}

}  // namespace

void ReadDescriptors(ProcessFacts& facts) {
  const std::string folder = "/proc/" + std::to_string(facts.pid) + "/fd/";
  DIR* const directory = ::opendir(folder.c_str());
  if (directory == nullptr) {
    facts.unreadable.push_back("its descriptors: " + folder +
                               " cannot be opened");
    return;
  }
  const bool self = facts.pid == ::getpid();
  std::vector<std::uint64_t> sockets;  // by place in `descriptors`
  while (const dirent* entry = ::readdir(directory)) {
    if (entry->d_name[0] < '0' || entry->d_name[0] > '9') continue;
    const int fd = std::atoi(entry->d_name);
    if (self && fd == ::dirfd(directory)) continue;
    const std::string path = folder + entry->d_name;
    char target[4096];
    const ssize_t size = ::readlink(path.c_str(), target, sizeof(target) - 1);
    if (size <= 0) continue;  // closed meanwhile
    target[size] = '\0';
    DescriptorFact descriptor;
    descriptor.fd = fd;
    descriptor.text = target;
    std::uint64_t socket = 0;
    if (StartsWith(descriptor.text, "socket:")) {
      descriptor.kind = DescriptorKind::kUnknownSocket;
      socket = NumberIn(descriptor.text);
    } else if (StartsWith(descriptor.text, "anon_inode:")) {
      for (const AnonymousKind& known : kAnonymousKinds) {
        if (descriptor.text.substr(11) == known.name) {
          descriptor.kind = known.kind;
        }
      }
    } else {
      descriptor.kind = KindOfPath(descriptor.text, path);
    }
    facts.descriptors.push_back(std::move(descriptor));
    sockets.push_back(socket);
  }
  ::closedir(directory);

  if (std::any_of(sockets.begin(), sockets.end(),
                  [](std::uint64_t inode) { return inode != 0; })) {
    const SocketTable table(facts.pid);
    for (std::size_t i = 0; i < sockets.size(); ++i) {
      if (sockets[i] == 0) continue;
      DescriptorFact& descriptor = facts.descriptors[i];
      table.Describe(sockets[i], descriptor);
      if (descriptor.kind == DescriptorKind::kUnknownSocket) {
        // The kernel lists those of the internet only once they have an
        // address.
        const std::string protocol =
            ProtocolOf(folder + std::to_string(descriptor.fd));
        if (protocol.compare(0, 3, "TCP") == 0 ||
            protocol.compare(0, 3, "UDP") == 0) {
          descriptor.kind = DescriptorKind::kDatagram;
        }
        if (!protocol.empty()) descriptor.text = protocol;
      }
      // It talks to itself, as through a pipe.
      const std::uint64_t peer = table.PeerOf(sockets[i]);
      if (peer != 0 && descriptor.kind == DescriptorKind::kConnected &&
          std::find(sockets.begin(), sockets.end(), peer) != sockets.end()) {
        descriptor.kind = DescriptorKind::kPipe;
      }
    }
  }
  std::sort(facts.descriptors.begin(), facts.descriptors.end(),
            [](const DescriptorFact& one, const DescriptorFact& other) {
              return one.fd < other.fd;
            });
}

}  // namespace forkserver::audit
