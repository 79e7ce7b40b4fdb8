#include "tools/forkserver/top_sampler.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

#include "sdk/process/process_tree.h"
#include "tools/forkserver/memory_use.h"

namespace forkserver::cli {
namespace {

std::vector<TopRow> MakeRows(const Snapshot& snapshot) {
  std::vector<TopRow> rows;
  std::set<std::string> runs;
  for (const ServiceInfo& service : snapshot.services) {
    TopRow& row = rows.emplace_back();
    row.kind = "service";
    row.name = service.name;
    row.id = service.worker;
    row.pid = service.pid;
    row.state = NameOf(service.state);
    row.restarts = service.restarts;
    runs.insert(service.worker);
  }
  for (const WorkerInfo& worker : snapshot.workers) {
    if (runs.count(worker.id) != 0) continue;
    TopRow& row = rows.emplace_back();
    row.kind = "worker";
    row.name = worker.name;
    row.id = worker.id;
    row.pid = worker.pid;
    row.state = NameOf(worker.state);
  }
  for (const ZygoteInfo& zygote : snapshot.zygotes) {
    TopRow& row = rows.emplace_back();
    row.kind = "zygote";
    row.name = zygote.name;
    row.id = zygote.id;
    row.pid = zygote.pid;
    row.state = NameOf(zygote.state);
  }
  return rows;
}

std::optional<std::int64_t> ReadMemory(const std::vector<pid_t>& processes) {
  std::optional<std::int64_t> bytes;
  for (const pid_t pid : processes) {
    const auto use = ReadMemoryUse(pid);
    if (!use) continue;
    bytes = bytes.value_or(0) +
            (use->pss_bytes != 0 ? use->pss_bytes : use->private_bytes);
  }
  return bytes;
}

CpuTimes ReadCpuTimes(const std::vector<pid_t>& processes) {
  CpuTimes times;
  for (const pid_t pid : processes) {
    if (const auto time = ReadCpuTime(pid)) times[pid] = *time;
  }
  return times;
}

}  // namespace

std::int64_t UsedSince(const CpuTimes& before, const CpuTimes& now,
                       std::int64_t since_us, bool with_reaped) {
  const auto total = [&](const CpuTime& time) {
    return time.own_us + (with_reaped ? time.reaped_us : 0);
  };
  const auto is_in = [](const CpuTimes& times, pid_t pid, const CpuTime& time) {
    const auto found = times.find(pid);
    return found != times.end() && found->second.begun_us == time.begun_us;
  };
  std::int64_t used_us = 0;
  for (const auto& [pid, time] : now) {
    if (is_in(before, pid, time)) {
      used_us += total(time) - total(before.at(pid));
    } else if (time.begun_us + kBegunGrainUs > since_us) {
      used_us += total(time);
    }
  }
  if (with_reaped) {
    // What they had used before is now among that of whoever has reaped them.
    for (const auto& [pid, time] : before) {
      if (!is_in(now, pid, time)) used_us -= total(time);
    }
  }
  // One that nobody has waited for takes its time with it.
  return std::max<std::int64_t>(0, used_us);
}

std::vector<TopRow> TopSampler::Take(const Snapshot& snapshot) {
  std::vector<TopRow> rows = MakeRows(snapshot);
  std::set<pid_t> roots;
  for (const TopRow& row : rows) roots.insert(static_cast<pid_t>(row.pid));
  const auto is_root = [&](pid_t pid) { return roots.count(pid) != 0; };
  Orphans orphans = ListOrphans(daemon_, is_root);
  const std::int64_t now_us = ProcessClockUs();
  const std::int64_t since_us = taken_us_.value_or(now_us);
  const std::int64_t elapsed_us = now_us - since_us;
  taken_us_ = now_us;
  std::map<std::string, CpuTimes> before = std::exchange(before_, {});
  for (TopRow& row : rows) {
    // With no process of its own any more it may have orphans, for a moment.
    const std::vector<pid_t> processes = ListTree(
        {static_cast<pid_t>(row.pid), orphans.of_worker[row.id]}, is_root);
    CpuTimes times = ReadCpuTimes(processes);
    if (elapsed_us > 0 && !times.empty()) {
      const double used_us = static_cast<double>(
          UsedSince(before[row.id], times, since_us, row.kind != "zygote"));
      row.cpu_percent = std::round(used_us * 1000 / elapsed_us) / 10;
    }
    before_[row.id] = std::move(times);
    row.memory_bytes = ReadMemory(processes);
  }
  return rows;
}

}  // namespace forkserver::cli
