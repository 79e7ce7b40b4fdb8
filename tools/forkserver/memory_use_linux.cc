#include <fstream>
#include <string>

#include "tools/forkserver/memory_use.h"

namespace forkserver::cli {

std::optional<MemoryUse> ReadMemoryUse(pid_t pid) {
  // "Pss:      1234 kB", a sum over all mappings.
  std::ifstream file("/proc/" + std::to_string(pid) + "/smaps_rollup");
  std::string line;
  std::getline(file, line);  // the range of addresses
  MemoryUse use;
  bool any = false;
  std::string key;
  std::string unit;
  for (std::int64_t kilobytes = 0; file >> key >> kilobytes >> unit;) {
    const std::int64_t bytes = kilobytes * 1024;
    if (key == "Pss:") use.pss_bytes = bytes;
    if (key.starts_with("Shared_")) use.shared_bytes += bytes;
    if (key.starts_with("Private_")) use.private_bytes += bytes;
    any = true;
  }
  // Of a process that has ended nothing can be read.
  return any ? std::optional(use) : std::nullopt;
}

}  // namespace forkserver::cli
