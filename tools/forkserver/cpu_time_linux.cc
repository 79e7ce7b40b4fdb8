#include <time.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <sstream>
#include <string>

#include "tools/forkserver/cpu_time.h"

namespace forkserver::cli {

std::optional<CpuTime> ReadCpuTime(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  // proc(5). The name, the second field, may have blanks and brackets in it.
  const auto name_end = text.rfind(')');
  if (name_end == text.npos) return std::nullopt;
  std::istringstream fields(text.substr(name_end + 1));
  std::string skipped;
  for (int i = 3; i < 14; ++i) fields >> skipped;
  std::int64_t user = 0, system = 0, reaped_user = 0, reaped_system = 0;
  fields >> user >> system >> reaped_user >> reaped_system;
  for (int i = 18; i < 22; ++i) fields >> skipped;
  std::int64_t begun = 0;  // since the machine was booted
  if (!(fields >> begun)) return std::nullopt;
  const std::int64_t tick_us = 1'000'000 / ::sysconf(_SC_CLK_TCK);
  CpuTime time;
  time.own_us = (user + system) * tick_us;
  time.reaped_us = (reaped_user + reaped_system) * tick_us;
  time.begun_us = begun * tick_us;
  return time;
}

std::int64_t ProcessClockUs() {
  timespec now = {};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return std::int64_t{now.tv_sec} * 1'000'000 + now.tv_nsec / 1000;
}

}  // namespace forkserver::cli
