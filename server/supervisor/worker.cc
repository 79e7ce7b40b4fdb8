#include "server/supervisor/worker.h"

#include <csignal>

#include "server/supervisor/crash_record.h"

namespace forkserver::server {

WorkerInfo DescribeWorker(const Worker& worker) {
  WorkerInfo info;
  info.id = worker.id;
  info.name = worker.name;
  info.pid = worker.pid;
  info.kind = worker.kind;
  info.zygote = worker.zygote_name;
  info.state = worker.state;
  info.detach = worker.detach;
  return info;
}

ExitRecord MakeRecord(const Worker& worker, const ProcessEnded& end) {
  ExitRecord record;
  record.id = worker.id;
  record.name = worker.name;
  record.pid = worker.pid;
  record.kind = worker.kind;
  record.zygote = worker.zygote_name;
  record.code = end.status.code;
  record.signal = end.status.signal;
  record.core = end.status.core;
  record.max_rss_bytes = end.status.max_rss_bytes;
  record.user_us = end.status.user_us;
  record.system_us = end.status.system_us;
  record.journey = worker.journey;
  record.journey.ended_ns = end.status.ended_ns;
  const std::int64_t begun_ns = worker.journey.launched_ns != 0
                                    ? worker.journey.launched_ns
                                    : worker.journey.launch_begun_ns;
  record.wall_us = (record.journey.ended_ns - begun_ns) / 1000;
  record.stacks = worker.stacks;
  record.leftovers = end.status.leftovers;
  record.oom_kills = end.status.oom_kills;
  if (worker.reason) {
    record.reason = *worker.reason;
  } else if (end.zygote_died) {
    record.reason = EndReason::kZygoteDied;
  } else if (!end.status.observed) {
    record.reason = EndReason::kLost;
  } else {
    record.reason =
        end.status.signal ? EndReason::kSignaled : EndReason::kExited;
  }
  const bool failed = worker.crash_report && end.status.code.value_or(0) != 0;
  // Where it was when its time was up is told too, if it left that.
  const bool hung =
      record.reason == EndReason::kTimeout && !end.status.crash.report.empty();
  const bool crashed = end.status.signal && *end.status.signal != SIGTERM &&
                       !end.status.crash.report.empty();
  if (failed || hung || crashed || record.reason == EndReason::kSignaled) {
    record.crash = MakeCrashReport(end.status);
    record.crash->pristine = worker.pristine;
    record.crash->dirty = worker.dirty;
  }
  return record;
}

}  // namespace forkserver::server
