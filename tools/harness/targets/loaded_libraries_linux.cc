#include <algorithm>
#include <fstream>

#include "tools/harness/targets/loaded_libraries.h"

namespace forkserver::harness {

std::vector<std::string> ListMappedCode(pid_t pid) {
  // "7f12...-7f13... r-xp 00001000 fe:01 1234    /usr/lib/libc.so.6"
  std::ifstream maps("/proc/" + std::to_string(pid) + "/maps");
  std::vector<std::string> paths;
  for (std::string line; std::getline(maps, line);) {
    const std::size_t rights = line.find(' ');
    const std::size_t path = line.find('/');
    if (rights == std::string::npos || path == std::string::npos) continue;
    if (line.compare(rights + 3, 1, "x") != 0) continue;
    constexpr std::string_view kDeleted = " (deleted)";
    if (line.size() > kDeleted.size() &&
        line.compare(line.size() - kDeleted.size(), kDeleted.size(),
                     kDeleted) == 0) {
      continue;
    }
    paths.push_back(line.substr(path));
  }
  std::sort(paths.begin(), paths.end());
  paths.erase(std::unique(paths.begin(), paths.end()), paths.end());
  return paths;
}

}  // namespace forkserver::harness
