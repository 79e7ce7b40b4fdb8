#include <libproc.h>
#include <mach/mach_time.h>
#include <sys/resource.h>

#include "tools/forkserver/cpu_time.h"

namespace forkserver::cli {
namespace {

std::int64_t Microseconds(std::uint64_t units_of_absolute_time) {
  mach_timebase_info_data_t base = {};
  ::mach_timebase_info(&base);
  return static_cast<std::int64_t>(static_cast<double>(units_of_absolute_time) *
                                   base.numer / base.denom / 1000);
}

}  // namespace

std::optional<CpuTime> ReadCpuTime(pid_t pid) {
  rusage_info_v1 info = {};
  if (::proc_pid_rusage(pid, RUSAGE_INFO_V1,
                        reinterpret_cast<rusage_info_t*>(&info)) != 0) {
    return std::nullopt;
  }
  // All of these are in units of mach_absolute_time.
  CpuTime time;
  time.own_us = Microseconds(info.ri_user_time + info.ri_system_time);
  time.reaped_us =
      Microseconds(info.ri_child_user_time + info.ri_child_system_time);
  time.begun_us = Microseconds(info.ri_proc_start_abstime);
  return time;
}

std::int64_t ProcessClockUs() { return Microseconds(::mach_absolute_time()); }

}  // namespace forkserver::cli
