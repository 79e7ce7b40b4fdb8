#include <libproc.h>
#include <mach/mach_time.h>
#include <sys/resource.h>

#include "tools/forkserver/cpu_time.h"

namespace forkserver::cli {

std::optional<CpuTime> ReadCpuTime(pid_t pid) {
  rusage_info_v1 info = {};
  if (::proc_pid_rusage(pid, RUSAGE_INFO_V1,
                        reinterpret_cast<rusage_info_t*>(&info)) != 0) {
    return std::nullopt;
  }
  // All of these are in units of mach_absolute_time.
  mach_timebase_info_data_t base = {};
  ::mach_timebase_info(&base);
  const auto microseconds = [&](std::uint64_t units) {
    return static_cast<std::int64_t>(static_cast<double>(units) * base.numer /
                                     base.denom / 1000);
  };
  CpuTime time;
  time.own_us = microseconds(info.ri_user_time + info.ri_system_time);
  time.reaped_us =
      microseconds(info.ri_child_user_time + info.ri_child_system_time);
  time.age_us =
      microseconds(::mach_absolute_time() - info.ri_proc_start_abstime);
  return time;
}

}  // namespace forkserver::cli
