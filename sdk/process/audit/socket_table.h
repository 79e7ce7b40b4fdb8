// The sockets of a network namespace, as /proc/net and the kernel's socket
// diagnostics tell of them. Linux only.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

#include "sdk/process/audit/facts.h"

namespace forkserver::audit {

class SocketTable {
 public:
  // Those that `pid` sees. Reads them all.
  explicit SocketTable(pid_t pid);

  // Fills in kind, text and peer of the socket with this inode; leaves a
  // socket that is in no table as it is.
  void Describe(std::uint64_t inode, DescriptorFact& descriptor) const;
  // The inode at the other end of a Unix socket, 0 if there is none or the
  // kernel does not tell.
  std::uint64_t PeerOf(std::uint64_t inode) const;

 private:
  struct Socket {
    DescriptorKind kind = DescriptorKind::kUnknownSocket;
    std::string text;
    std::string peer;
    std::uint64_t peer_inode = 0;
  };
  void ReadInternet(const std::string& folder, const char* file,
                    const char* protocol);
  void ReadUnix(const std::string& folder);
  void ReadUnixPeers();
  void ReadNetlink(const std::string& folder);

  std::unordered_map<std::uint64_t, Socket> sockets_;
};

}  // namespace forkserver::audit
