// Where a forked process writes the time of its first instruction.
//
// A page of a file that the benchmark, the zygote and the process that forks
// by hand all map before anything is forked, so that the children inherit the
// mapping: a stamp costs one store, and neither a descriptor nor a reply
// carries it. One worker at a time is stamped.
#pragma once

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>

namespace forkserver::benchmark {

// The path of the file; inherited by what the benchmark starts.
inline constexpr char kStampVariable[] = "BENCHMARK_STAMP_FILE";
inline constexpr std::size_t kStampBytes = 4096;

using Stamp = std::atomic<std::int64_t>;

// Nullptr when the variable or the file is missing. Never unmapped.
inline Stamp* MapStamp() {
  const char* const path = std::getenv(kStampVariable);
  if (path == nullptr) return nullptr;
  const int fd = ::open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return nullptr;
  void* memory = MAP_FAILED;
  if (::ftruncate(fd, kStampBytes) == 0) {
    memory =
        ::mmap(nullptr, kStampBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  }
  ::close(fd);
  return memory == MAP_FAILED ? nullptr : static_cast<Stamp*>(memory);
}

}  // namespace forkserver::benchmark
