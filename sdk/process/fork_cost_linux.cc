#include <malloc.h>
#include <sys/mman.h>

#include <cstdint>
#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

#include "sdk/process/fork_cost.h"

namespace forkserver {
namespace {

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25  // Linux 6.1
#endif

// Less is copied sooner than moved.
constexpr std::uint64_t kLeastBytes = 16u << 20;
constexpr std::uint64_t kHugeBytes = 2u << 20;

bool HugePagesAreOff() {
  std::ifstream file("/sys/kernel/mm/transparent_hugepage/enabled");
  std::string text;
  std::getline(file, text);
  return text.empty() || text.find("[never]") != text.npos;
}

struct Mapping {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  bool is_private_data = false;
  std::uint64_t written_bytes = 0;
};

// Large, and mostly there: what is sparse would take more memory than before.
bool IsWorthIt(const Mapping& mapping) {
  return mapping.is_private_data && mapping.written_bytes >= kLeastBytes &&
         mapping.written_bytes >= (mapping.end - mapping.begin) / 2;
}

std::vector<Mapping> FindLargeMappings() {
  std::ifstream file("/proc/self/smaps");
  std::vector<Mapping> found;
  Mapping mapping;
  for (std::string line; std::getline(file, line);) {
    unsigned long long first = 0;
    unsigned long long second = 0;
    char permissions[5] = {};
    if (std::sscanf(line.c_str(), "%llx-%llx %4s", &first, &second,
                    permissions) == 3) {
      if (IsWorthIt(mapping)) found.push_back(mapping);
      mapping = {first, second, std::string_view(permissions) == "rw-p", 0};
    } else if (std::sscanf(line.c_str(), "Anonymous: %llu kB", &first) == 1) {
      mapping.written_bytes = first * 1024;
    }
  }
  if (IsWorthIt(mapping)) found.push_back(mapping);
  return found;
}

}  // namespace

void MakeForksCheap() {
#ifdef __GLIBC__
  ::malloc_trim(0);
#endif
  if (HugePagesAreOff()) return;
  for (const Mapping& mapping : FindLargeMappings()) {
    const std::uint64_t begin =
        (mapping.begin + kHugeBytes - 1) / kHugeBytes * kHugeBytes;
    const std::uint64_t end = mapping.end / kHugeBytes * kHugeBytes;
    if (end <= begin) continue;
    // NOLINTNEXTLINE(performance-no-int-to-ptr): from /proc
    void* const address = reinterpret_cast<void*>(begin);
    // Where it fails there are no huge pages to be had: it stays as it was.
    ::madvise(address, end - begin, MADV_COLLAPSE);
  }
}

}  // namespace forkserver
