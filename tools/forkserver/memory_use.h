// How much memory a process of this user takes, and how much of it is shared
// with others.
#pragma once

#include <forkserver/types.h>
#include <sys/types.h>

#include <cstdint>
#include <optional>

namespace forkserver::cli {

struct MemoryUse {
  // Its private pages, and of each shared page its share. macOS knows none: 0.
  std::int64_t pss_bytes = 0;
  std::int64_t shared_bytes = 0;
  std::int64_t private_bytes = 0;

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("pss_bytes", self.pss_bytes);
    visit.Required("shared_bytes", self.shared_bytes);
    visit.Required("private_bytes", self.private_bytes);
  }
};

// Absent if it has ended, or may not be looked at.
std::optional<MemoryUse> ReadMemoryUse(pid_t pid);

// A worker as `ps --memory` shows it.
struct MeasuredWorker {
  WorkerInfo worker;
  std::optional<MemoryUse> memory;

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    WorkerInfo::Visit(self.worker, visit);
    visit.Required("memory", self.memory);
  }
};

}  // namespace forkserver::cli
