#include <arpa/inet.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <sstream>
#include <vector>

#include "sdk/base/unique_fd.h"
#include "sdk/process/audit/process_memory.h"
#include "sdk/process/audit/socket_table.h"

namespace forkserver::audit {
namespace {

// States of proc_net_tcp(5), types and states of proc_net_unix(5).
constexpr unsigned kTcpEstablished = 1, kTcpClose = 7, kTcpListen = 10;
constexpr unsigned kUnixStream = 1, kUnixDatagram = 2;
constexpr unsigned kUnixListens = 0x10000, kUnixConnected = 3;

// The fields of each line but the first.
void ForEachLine(const std::string& path,
                 const std::function<void(std::vector<std::string>)>& use) {
  auto text = ReadProcFile(path);
  if (!text) return;  // a kernel without that protocol
  std::istringstream lines(*text);
  std::string line;
  std::getline(lines, line);
  while (std::getline(lines, line)) {
    std::istringstream words(line);
    std::vector<std::string> fields;
    for (std::string word; words >> word;) fields.push_back(word);
    use(std::move(fields));
  }
}

// "0100007F:1F90", or 32 digits: words of the address in the machine's order.
std::string Address(const std::string& text) {
  const std::size_t colon = text.find(':');
  if (colon == std::string::npos) return text;
  unsigned char bytes[16] = {};
  const std::size_t words = colon / 8;
  for (std::size_t i = 0; i < words && i < 4; ++i) {
    const auto word = static_cast<std::uint32_t>(
        std::strtoul(text.substr(i * 8, 8).c_str(), nullptr, 16));
    std::memcpy(bytes + i * 4, &word, 4);
  }
  char printed[INET6_ADDRSTRLEN] = {};
  ::inet_ntop(words == 1 ? AF_INET : AF_INET6, bytes, printed, sizeof(printed));
  const std::string port =
      std::to_string(std::strtoul(text.c_str() + colon + 1, nullptr, 16));
  return words == 1 ? std::string(printed) + ":" + port
                    : "[" + std::string(printed) + "]:" + port;
}

}  // namespace

SocketTable::SocketTable(pid_t pid) {
  const std::string folder = "/proc/" + std::to_string(pid) + "/net/";
  ReadInternet(folder, "tcp", "TCP");
  ReadInternet(folder, "tcp6", "TCP");
  ReadInternet(folder, "udp", "UDP");
  ReadInternet(folder, "udp6", "UDP");
  ReadUnix(folder);
  ReadUnixPeers();
  ReadNetlink(folder);
}

void SocketTable::ReadInternet(const std::string& folder, const char* file,
                               const char* protocol) {
  const bool tcp = std::string_view(protocol) == "TCP";
  ForEachLine(folder + file, [&](const std::vector<std::string>& fields) {
    if (fields.size() < 10) return;
    const unsigned long state = std::strtoul(fields[3].c_str(), nullptr, 16);
    Socket socket;
    socket.text = std::string(protocol) + " " + Address(fields[1]);
    if (tcp && state == kTcpListen) {
      socket.kind = DescriptorKind::kListening;
    } else if (tcp && state != kTcpClose) {
      socket.kind = DescriptorKind::kConnected;
    } else {
      socket.kind = DescriptorKind::kDatagram;
    }
    if (socket.kind == DescriptorKind::kConnected ||
        (!tcp && state == kTcpEstablished)) {
      socket.peer = Address(fields[2]);
      socket.text += " -> " + socket.peer;
    }
    sockets_[std::strtoull(fields[9].c_str(), nullptr, 10)] = socket;
  });
}

void SocketTable::ReadUnix(const std::string& folder) {
  ForEachLine(folder + "unix", [&](const std::vector<std::string>& fields) {
    // Num RefCount Protocol Flags Type St Inode Path
    if (fields.size() < 7) return;
    const unsigned long flags = std::strtoul(fields[3].c_str(), nullptr, 16);
    const unsigned long type = std::strtoul(fields[4].c_str(), nullptr, 16);
    const unsigned long state = std::strtoul(fields[5].c_str(), nullptr, 16);
    Socket socket;
    socket.text = type == kUnixStream     ? "Unix stream"
                  : type == kUnixDatagram ? "Unix datagram"
                                          : "Unix seqpacket";
    if (fields.size() > 7) socket.text += " " + fields[7];
    if (type == kUnixDatagram || state != kUnixConnected) {
      socket.kind = DescriptorKind::kDatagram;
    } else {
      socket.kind = DescriptorKind::kConnected;
    }
    if ((flags & kUnixListens) != 0) socket.kind = DescriptorKind::kListening;
    sockets_[std::strtoull(fields[6].c_str(), nullptr, 10)] = socket;
  });
}

// /proc/net/unix does not tell who is at the other end; sock_diag(7) does.
void SocketTable::ReadUnixPeers() {
  const UniqueFd netlink(
      ::socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
  struct {
    nlmsghdr header;
    unix_diag_req request;
  } message = {};
  message.header.nlmsg_len = sizeof(message);
  message.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
  message.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  message.request.sdiag_family = AF_UNIX;
  message.request.udiag_states = ~0u;
  message.request.udiag_show = UDIAG_SHOW_PEER;
  // Where the kernel lacks it the peers just have no names.
  if (!netlink || ::send(netlink.get(), &message, sizeof(message), 0) < 0) {
    return;
  }
  alignas(nlmsghdr) char buffer[32768];
  for (;;) {
    const ssize_t size = ::recv(netlink.get(), buffer, sizeof(buffer), 0);
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) return;
    auto left = static_cast<unsigned>(size);
    for (auto* header = reinterpret_cast<nlmsghdr*>(buffer);
         NLMSG_OK(header, left); header = NLMSG_NEXT(header, left)) {
      if (header->nlmsg_type != SOCK_DIAG_BY_FAMILY) return;  // done, or error
      const auto* found = static_cast<unix_diag_msg*>(NLMSG_DATA(header));
      auto bytes = static_cast<unsigned>(header->nlmsg_len -
                                         NLMSG_LENGTH(sizeof(*found)));
      for (const auto* each = reinterpret_cast<const rtattr*>(found + 1);
           RTA_OK(each, bytes); each = RTA_NEXT(each, bytes)) {
        if (each->rta_type != UNIX_DIAG_PEER) continue;
        std::uint32_t peer_inode = 0;
        std::memcpy(&peer_inode, RTA_DATA(each), sizeof(peer_inode));
        const auto socket = sockets_.find(found->udiag_ino);
        const auto peer = sockets_.find(peer_inode);
        if (socket == sockets_.end()) continue;
        socket->second.peer_inode = peer_inode;
        if (peer == sockets_.end()) continue;
        const std::size_t path = peer->second.text.find_first_of("/@");
        if (path == std::string::npos) continue;
        socket->second.peer = peer->second.text.substr(
            path, peer->second.text.find(" -> ") - path);
        socket->second.text += " -> " + socket->second.peer;
      }
    }
  }
}

void SocketTable::ReadNetlink(const std::string& folder) {
  ForEachLine(folder + "netlink", [&](const std::vector<std::string>& fields) {
    if (fields.size() < 10) return;
    Socket socket;
    socket.kind = DescriptorKind::kDatagram;
    socket.text = "netlink";
    sockets_[std::strtoull(fields[9].c_str(), nullptr, 10)] = socket;
  });
}

std::uint64_t SocketTable::PeerOf(std::uint64_t inode) const {
  const auto found = sockets_.find(inode);
  return found == sockets_.end() ? 0 : found->second.peer_inode;
}

void SocketTable::Describe(std::uint64_t inode,
                           DescriptorFact& descriptor) const {
  const auto found = sockets_.find(inode);
  if (found == sockets_.end()) return;
  descriptor.kind = found->second.kind;
  descriptor.text = found->second.text;
  descriptor.peer = found->second.peer;
}

}  // namespace forkserver::audit
