#include "tools/forkserver/process_symbols.h"

#include <cstdio>

namespace forkserver::cli {
namespace {

std::string Hexadecimal(std::uint64_t number) {
  char text[32];
  std::snprintf(text, sizeof(text), "0x%llx",
                static_cast<unsigned long long>(number));
  return text;
}

}  // namespace

std::string ProcessSymbols::FileAt(std::uint64_t address) const {
  const audit::Mapping* const mapping = memory_.At(address);
  return mapping == nullptr ? "" : mapping->path;
}

std::string ProcessSymbols::Name(std::uint64_t address,
                                 std::uint64_t looked_up) {
  const audit::Mapping* const mapping = memory_.At(looked_up);
  if (mapping == nullptr || mapping->path.empty()) return Hexadecimal(address);
  const std::string& path = mapping->path;
  const std::uint64_t base = memory_.LoadAddressOf(*mapping);
  std::string name;
  if (path[0] == '/') {
    const NamedFrame frame =
        symbols_.Name({path, static_cast<std::int64_t>(looked_up - base)});
    name = frame.function;
    if (!name.empty() && !frame.file.empty()) {
      name += " at " + frame.file + ":" + std::to_string(frame.line);
    }
  }
  if (name.empty()) {
    name = path.substr(path.rfind('/') + 1) + "+" + Hexadecimal(address - base);
  }
  return path[0] == '/' ? name + " (" + path + ")" : name;
}

std::string ProcessSymbols::NameReturn(std::uint64_t address) {
  return Name(address, address - 1);
}

std::string ProcessSymbols::NameFunction(std::uint64_t address) {
  return Name(address, address);
}

}  // namespace forkserver::cli
