#include <cstdio>

#include "tools/forkserver/symbols.h"

namespace forkserver::cli {

// The memory of another process takes a right that this program does not have.
std::string Symbols::NameReturn(std::uint64_t address) {
  return NameFunction(address);
}

std::string Symbols::NameFunction(std::uint64_t address) {
  char text[32];
  std::snprintf(text, sizeof(text), "0x%llx",
                static_cast<unsigned long long>(address));
  return text;
}

std::string Symbols::FileAt(std::uint64_t) const { return {}; }

}  // namespace forkserver::cli
