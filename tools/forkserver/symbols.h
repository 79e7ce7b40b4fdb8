// Names for addresses of another process: the symbol tables of the files that
// are mapped there.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "sdk/process/audit/process_memory.h"

namespace forkserver::cli {

class Symbols {
 public:
  explicit Symbols(const audit::ProcessMemory& memory) : memory_(memory) {}

  // "StartQueue(int)+0x1c (/usr/lib/libqueue.so.1)"; without a symbol
  // "libqueue.so.1+0x4a1c (...)"; without a file "0x7f0000001234".
  // A return address: the call before it is what counts.
  std::string NameReturn(std::uint64_t address);
  // Of a function itself.
  std::string NameFunction(std::uint64_t address);
  // The file that is mapped there; empty: none.
  std::string FileAt(std::uint64_t address) const;

 private:
  struct Symbol {
    std::uint64_t size = 0;
    std::string name;
  };
  struct File {
    std::uint64_t base = 0;  // the address that its first byte is meant for
    std::map<std::uint64_t, Symbol> symbols;  // by address
  };
  const File& Load(const std::string& path);
  std::string Name(std::uint64_t address, std::uint64_t looked_up);

  const audit::ProcessMemory& memory_;
  std::map<std::string, File> files_;
};

}  // namespace forkserver::cli
