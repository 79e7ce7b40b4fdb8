// Names for addresses of another process, by the files that are mapped there.
#pragma once

#include <cstdint>
#include <string>

#include "sdk/process/audit/process_memory.h"
#include "tools/forkserver/symbols.h"

namespace forkserver::cli {

class ProcessSymbols {
 public:
  // `memory` is borrowed.
  explicit ProcessSymbols(const audit::ProcessMemory& memory)
      : memory_(memory) {}

  // "StartQueue(int) at queue.cc:17 (/usr/lib/libqueue.so.1)"; without a symbol
  // "libqueue.so.1+0x4a1c (...)"; without a file "0x7f0000001234".
  // A return address: the call before it is what counts.
  std::string NameReturn(std::uint64_t address);
  // Of a function itself.
  std::string NameFunction(std::uint64_t address);
  // The file that is mapped there; empty: none.
  std::string FileAt(std::uint64_t address) const;

 private:
  std::string Name(std::uint64_t address, std::uint64_t looked_up);

  const audit::ProcessMemory& memory_;
  Symbols symbols_;
};

}  // namespace forkserver::cli
