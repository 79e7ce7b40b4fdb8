// What services, workers and zygotes take of the machine, as `top` shows it.
//
// Of a service or worker that is its whole tree (sdk/process/process_tree.h);
// of a zygote it is the zygote and its spares, since its workers and the
// zygotes forked from it are rows of their own.
#pragma once

#include <forkserver/types.h>
#include <sys/types.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "tools/forkserver/cpu_time.h"

namespace forkserver::cli {

struct TopRow {
  std::string kind;  // service worker zygote
  std::string name;  // of a worker it may be empty
  std::string id;    // of a service that of its run, or empty
  std::int64_t pid = 0;
  std::string state;
  // Of one core, since the sample before; absent in the first one.
  std::optional<double> cpu_percent;
  // PSS; on macOS, which does not know that, what is private.
  std::optional<std::int64_t> memory_bytes;
  std::optional<std::int64_t> restarts;  // of a service

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("kind", self.kind);
    visit.Required("name", self.name);
    visit.Required("id", self.id);
    visit.Required("pid", self.pid);
    visit.Required("state", self.state);
    visit.Required("cpu_percent", self.cpu_percent);
    visit.Required("memory_bytes", self.memory_bytes);
    visit.Required("restarts", self.restarts);
  }
};

using CpuTimes = std::map<pid_t, CpuTime>;

// The processor time that the processes `now` have used since `since_us` of
// ProcessClockUs(), when they were `before`. `with_reaped`: and those that have
// ended since, as their parents know it. A process that was not there before
// and is older is one that was not found then: it counts from now on.
std::int64_t UsedSince(const CpuTimes& before, const CpuTimes& now,
                       std::int64_t since_us, bool with_reaped);

class TopSampler {
 public:
  // `daemon` inherits the orphans of workers.
  explicit TopSampler(pid_t daemon) : daemon_(daemon) {}

  // Reads some small files for each process. In the order of the snapshot:
  // services, workers that are no run of a service, zygotes.
  std::vector<TopRow> Take(const Snapshot& snapshot);

 private:
  const pid_t daemon_;
  std::map<std::string, CpuTimes> before_;  // by the ids of workers and zygotes
  std::optional<std::int64_t> taken_us_;
};

}  // namespace forkserver::cli
