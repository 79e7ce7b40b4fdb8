// What can be seen of a process that matters for a fork. Plain values: read by
// ReadFacts, judged by Judge, made up by tests.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace forkserver::audit {

struct ThreadFact {
  std::int64_t id = 0;
  std::string name;
  // The file whose function the thread began with, and where in it (from its
  // load address); empty and 0 where that cannot be had.
  std::string library;
  std::uint64_t offset = 0;
  // What it is doing: "waits in futex", or empty.
  std::string doing;
};

struct LibraryFact {
  std::string path;
  // The library's own answer to the question of its row. Absent: it could not
  // be asked, or has no row that asks.
  std::optional<bool> used;
};

enum class DescriptorKind {
  kFile,    // regular file or folder: shared offset
  kDevice,  // a character or block device
  kTerminal,
  kPipe,       // or a socket whose other end is here too
  kListening,  // socket that accepts connections
  kConnected,  // stream or seqpacket socket with a peer
  kDatagram,   // or any socket without a connection
  kUnknownSocket,
  kEventPoll,  // epoll, kqueue
  kEventFd,
  kTimerFd,
  kInotify,  // and fanotify
  kIoUring,
  kUserFault,
  kSharedMemory,  // memfd, /dev/shm
  kOther,         // signalfd, pidfd, ...: stands a fork
};

struct DescriptorFact {
  int fd = -1;
  DescriptorKind kind = DescriptorKind::kOther;
  // A path, or "TCP 127.0.0.1:40000 -> 127.0.0.1:5432".
  std::string text;
  // Of a connection: its other end alone, for the table.
  std::string peer;
};

// A mutex that somebody waits for.
struct LockFact {
  std::string where;  // "/lib/libfoo.so+0x1234", "the heap"
  std::int64_t holder = 0;
  std::int64_t waiter = 0;
};

struct ProcessFacts {
  std::int64_t pid = 0;
  std::string program;              // its file
  std::vector<ThreadFact> threads;  // without the first
  std::vector<LibraryFact> libraries;
  std::vector<DescriptorFact> descriptors;
  std::vector<LockFact> locks;
  std::vector<std::string> handled_signals;  // by name
  std::vector<std::string> environment;      // NAME=value
  // Without it nobody can tell who started a thread.
  bool memory_readable = true;
  // What could not be read, as sentences.
  std::vector<std::string> unreadable;
};

}  // namespace forkserver::audit
