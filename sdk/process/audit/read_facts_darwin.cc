// By reading of libproc.h and XNU's bsd/kern/proc_info.c; it compiles and has
// never run. From outside the libraries of the system's shared cache cannot
// be seen: what they answer from within is in OwnWords.
#include <arpa/inet.h>
#include <dlfcn.h>
#include <libproc.h>
#include <mach-o/dyld.h>
#include <sys/proc.h>
#include <sys/proc_info.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <set>

#include "sdk/process/audit/known_cases.h"
#include "sdk/process/audit/read_facts.h"

extern char** environ;

namespace forkserver::audit {
namespace {

void ReadThreads(pid_t pid, ProcessFacts& facts) {
  std::vector<std::uint64_t> ids(16384);
  const int size =
      ::proc_pidinfo(pid, PROC_PIDLISTTHREADS, 0, ids.data(),
                     static_cast<int>(ids.size() * sizeof(ids[0])));
  if (size <= 0) {
    facts.unreadable.push_back("its threads: proc_pidinfo() refuses");
    return;
  }
  const int count = size / static_cast<int>(sizeof(ids[0]));
  // The first is the one that was there first.
  for (int i = 1; i < count; ++i) {
    struct proc_threadinfo info = {};
    ::proc_pidinfo(pid, PROC_PIDTHREADINFO, ids[static_cast<std::size_t>(i)],
                   &info, sizeof(info));
    facts.threads.push_back(
        {static_cast<std::int64_t>(ids[static_cast<std::size_t>(i)]),
         info.pth_name, "", 0, ""});
  }
}

void AddLibrary(const std::string& path, bool own, ProcessFacts& facts) {
  LibraryFact library;
  library.path = path;
  for (const KnownCase& known : KnownCases()) {
    if (!own || known.asks.empty() ||
        !Matches(known.library, FileNameOf(path))) {
      continue;
    }
    const auto function =
        reinterpret_cast<bool (*)()>(::dlsym(RTLD_DEFAULT, known.asks.c_str()));
    if (function != nullptr) library.used = function();
  }
  facts.libraries.push_back(std::move(library));
}

void ReadLibraries(pid_t pid, ProcessFacts& facts) {
  if (pid == ::getpid()) {
    for (std::uint32_t i = 0; i < ::_dyld_image_count(); ++i) {
      const char* const path = ::_dyld_get_image_name(i);
      if (path != nullptr) AddLibrary(path, true, facts);
    }
    return;
  }
  std::set<std::string> seen;
  std::uint64_t address = 0;
  for (;;) {
    struct proc_regionwithpathinfo region = {};
    const int size = ::proc_pidinfo(pid, PROC_PIDREGIONPATHINFO, address,
                                    &region, sizeof(region));
    if (size < static_cast<int>(sizeof(region))) return;
    const std::string path = region.prp_vip.vip_path;
    if (!path.empty() && seen.insert(path).second) {
      AddLibrary(path, false, facts);
    }
    address = region.prp_prinfo.pri_address + region.prp_prinfo.pri_size;
  }
}

std::string AddressOf(const struct in_sockinfo& info, bool foreign) {
  char text[INET6_ADDRSTRLEN] = {};
  const bool ipv4 = (info.insi_vflag & INI_IPV4) != 0;
  if (ipv4) {
    const auto& address = foreign ? info.insi_faddr.ina_46.i46a_addr4
                                  : info.insi_laddr.ina_46.i46a_addr4;
    ::inet_ntop(AF_INET, &address, text, sizeof(text));
  } else {
    const auto& address =
        foreign ? info.insi_faddr.ina_6 : info.insi_laddr.ina_6;
    ::inet_ntop(AF_INET6, &address, text, sizeof(text));
  }
  const int port = ntohs(
      static_cast<std::uint16_t>(foreign ? info.insi_fport : info.insi_lport));
  return (ipv4 ? std::string(text) : "[" + std::string(text) + "]") + ":" +
         std::to_string(port);
}

void DescribeSocket(pid_t pid, DescriptorFact& descriptor) {
  struct socket_fdinfo info = {};
  const int size = ::proc_pidfdinfo(pid, descriptor.fd, PROC_PIDFDSOCKETINFO,
                                    &info, sizeof(info));
  descriptor.kind = DescriptorKind::kUnknownSocket;
  if (size < static_cast<int>(sizeof(info))) return;
  const struct socket_info& socket = info.psi;
  const bool listens = (socket.soi_options & SO_ACCEPTCONN) != 0;
  const bool connected = (socket.soi_state & SOI_S_ISCONNECTED) != 0;
  descriptor.kind = listens ? DescriptorKind::kListening
                    : connected && socket.soi_type != SOCK_DGRAM
                        ? DescriptorKind::kConnected
                        : DescriptorKind::kDatagram;
  if (socket.soi_kind == SOCKINFO_TCP || socket.soi_kind == SOCKINFO_IN) {
    const struct in_sockinfo& ends = socket.soi_kind == SOCKINFO_TCP
                                         ? socket.soi_proto.pri_tcp.tcpsi_ini
                                         : socket.soi_proto.pri_in;
    descriptor.text = (socket.soi_kind == SOCKINFO_TCP ? "TCP " : "UDP ") +
                      AddressOf(ends, false);
    if (connected) {
      descriptor.peer = AddressOf(ends, true);
      descriptor.text += " -> " + descriptor.peer;
    }
  } else if (socket.soi_kind == SOCKINFO_UN) {
    descriptor.text = "Unix socket";
    descriptor.peer = socket.soi_proto.pri_un.unsi_caddr.ua_sun.sun_path;
    if (!descriptor.peer.empty()) descriptor.text += " -> " + descriptor.peer;
  }
}

void ReadDescriptors(pid_t pid, ProcessFacts& facts) {
  std::vector<struct proc_fdinfo> listed(65536);
  const int size =
      ::proc_pidinfo(pid, PROC_PIDLISTFDS, 0, listed.data(),
                     static_cast<int>(listed.size() * sizeof(listed[0])));
  if (size < 0) {
    facts.unreadable.push_back("its descriptors: proc_pidinfo() refuses");
    return;
  }
  for (int i = 0; i < size / static_cast<int>(sizeof(listed[0])); ++i) {
    const struct proc_fdinfo& one = listed[static_cast<std::size_t>(i)];
    DescriptorFact descriptor;
    descriptor.fd = one.proc_fd;
    switch (one.proc_fdtype) {
      case PROX_FDTYPE_VNODE: {
        struct vnode_fdinfowithpath path = {};
        ::proc_pidfdinfo(pid, one.proc_fd, PROC_PIDFDVNODEPATHINFO, &path,
                         sizeof(path));
        descriptor.kind = DescriptorKind::kFile;
        descriptor.text = path.pvip.vip_path;
        if (descriptor.text.compare(0, 8, "/dev/tty") == 0) {
          descriptor.kind = DescriptorKind::kTerminal;
        } else if (descriptor.text.compare(0, 5, "/dev/") == 0) {
          descriptor.kind = DescriptorKind::kDevice;
        }
        break;
      }
      case PROX_FDTYPE_SOCKET:
        DescribeSocket(pid, descriptor);
        break;
      case PROX_FDTYPE_PIPE:
        descriptor.kind = DescriptorKind::kPipe;
        break;
      case PROX_FDTYPE_KQUEUE:
        descriptor.kind = DescriptorKind::kEventPoll;
        descriptor.text = "kqueue";
        break;
      case PROX_FDTYPE_PSHM:
        descriptor.kind = DescriptorKind::kSharedMemory;
        break;
      default:
        descriptor.kind = DescriptorKind::kOther;
        break;
    }
    facts.descriptors.push_back(std::move(descriptor));
  }
}

}  // namespace

Result<ProcessFacts> ReadFacts(pid_t pid) {
  struct proc_bsdinfo info = {};
  const int size =
      ::proc_pidinfo(pid, PROC_PIDTBSDINFO, 0, &info, sizeof(info));
  const std::string name = "process " + std::to_string(pid);
  if (size != static_cast<int>(sizeof(info))) {
    return MakeError(error_code::kSystem,
                     "there is no " + name + ", or it may not be looked at",
                     "run this as its user, or as root");
  }
  if (info.pbi_status == SZOMB) {
    return MakeError(error_code::kSystem,
                     name + " has ended and waits for its parent (zombie)",
                     "it forks no more; look at its parent");
  }
  ProcessFacts facts;
  facts.pid = pid;
  char path[PROC_PIDPATHINFO_MAXSIZE] = {};
  if (::proc_pidpath(pid, path, sizeof(path)) > 0) facts.program = path;
  facts.memory_readable = false;
  ReadThreads(pid, facts);
  ReadLibraries(pid, facts);
  ReadDescriptors(pid, facts);
  if (pid == ::getpid()) {
    for (char** each = environ; *each != nullptr; ++each) {
      facts.environment.emplace_back(*each);
    }
  }
  return facts;
}

}  // namespace forkserver::audit
