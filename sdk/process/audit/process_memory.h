// The mappings and the memory of a process, seen from outside. macOS: the
// mappings only.
#pragma once

#include <forkserver/result.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "sdk/base/unique_fd.h"

namespace forkserver::audit {

struct Mapping {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  std::uint64_t offset = 0;  // in the file
  bool executable = false;
  std::string path;  // empty: anonymous; "[stack]"
};

// A file of /proc, whole. Linux only.
Result<std::string> ReadProcFile(const std::string& path);

// A snapshot of the mappings; the memory is that of the moment of reading.
class ProcessMemory {
 public:
  // Error: the mappings cannot be read. `readable()` says whether the memory
  // can be (it takes the right to trace the process).
  static Result<ProcessMemory> Open(pid_t pid);

  bool readable() const { return memory_.valid(); }
  const std::vector<Mapping>& mappings() const { return mappings_; }
  // The mapping that holds `address`, or nullptr.
  const Mapping* At(std::uint64_t address) const;
  // Where the file of `mapping` begins in memory: its load address.
  std::uint64_t LoadAddressOf(const Mapping& mapping) const;

  // As much as can be read from `address` on, up to `size`.
  std::string Read(std::uint64_t address, std::size_t size) const;
  // The words there; 0 where they cannot be read.
  std::vector<std::uint64_t> ReadWords(std::uint64_t address,
                                       std::size_t count) const;
  std::uint64_t ReadWord(std::uint64_t address) const;

 private:
  std::vector<Mapping> mappings_;  // in the order of their addresses
  UniqueFd memory_;
};

}  // namespace forkserver::audit
