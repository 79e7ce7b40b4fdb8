#include <cxxabi.h>
#include <elf.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <optional>
#include <string_view>

#include "tools/forkserver/symbols.h"

namespace forkserver::cli {
namespace {

template <typename T>
std::optional<T> ReadAt(std::string_view file, std::uint64_t offset) {
  T value;
  if (offset > file.size() || file.size() - offset < sizeof(T)) return {};
  std::memcpy(&value, file.data() + offset, sizeof(T));
  return value;
}

std::string Hexadecimal(std::uint64_t number) {
  char text[32];
  std::snprintf(text, sizeof(text), "0x%llx",
                static_cast<unsigned long long>(number));
  return text;
}

std::string Demangle(const std::string& name) {
  int status = 0;
  char* const text =
      abi::__cxa_demangle(name.c_str(), nullptr, nullptr, &status);
  if (text == nullptr) return name;
  std::string demangled = text;
  std::free(text);
  return demangled;
}

}  // namespace

const Symbols::File& Symbols::Load(const std::string& path) {
  const auto known = files_.find(path);
  if (known != files_.end()) return known->second;
  File& file = files_[path];
  std::ifstream stream(path, std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(stream)),
                          std::istreambuf_iterator<char>());
  const auto header = ReadAt<Elf64_Ehdr>(bytes, 0);
  if (!header || std::memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 ||
      header->e_ident[EI_CLASS] != ELFCLASS64) {
    return file;
  }
  for (unsigned i = 0; i < header->e_phnum; ++i) {
    const auto segment = ReadAt<Elf64_Phdr>(
        bytes, header->e_phoff + std::uint64_t{i} * header->e_phentsize);
    if (segment && segment->p_type == PT_LOAD && segment->p_offset == 0) {
      file.base = segment->p_vaddr;
    }
  }
  for (unsigned i = 0; i < header->e_shnum; ++i) {
    const auto section = ReadAt<Elf64_Shdr>(
        bytes, header->e_shoff + std::uint64_t{i} * header->e_shentsize);
    if (!section ||
        (section->sh_type != SHT_DYNSYM && section->sh_type != SHT_SYMTAB)) {
      continue;
    }
    const auto names = ReadAt<Elf64_Shdr>(
        bytes, header->e_shoff +
                   std::uint64_t{section->sh_link} * header->e_shentsize);
    if (!names || names->sh_offset > bytes.size()) continue;
    for (std::uint64_t at = 0; at + sizeof(Elf64_Sym) <= section->sh_size;
         at += sizeof(Elf64_Sym)) {
      const auto symbol = ReadAt<Elf64_Sym>(bytes, section->sh_offset + at);
      if (!symbol) break;
      const std::uint64_t name = names->sh_offset + symbol->st_name;
      if (ELF64_ST_TYPE(symbol->st_info) != STT_FUNC || symbol->st_value == 0 ||
          name >= bytes.size()) {
        continue;
      }
      // c_str(): a string ends with a NUL behind its last byte, too.
      file.symbols[symbol->st_value] = {symbol->st_size, bytes.c_str() + name};
    }
  }
  return file;
}

std::string Symbols::FileAt(std::uint64_t address) const {
  const audit::Mapping* const mapping = memory_.At(address);
  return mapping == nullptr ? "" : mapping->path;
}

std::string Symbols::Name(std::uint64_t address, std::uint64_t looked_up) {
  const audit::Mapping* const mapping = memory_.At(looked_up);
  if (mapping == nullptr || mapping->path.empty()) return Hexadecimal(address);
  const std::string& path = mapping->path;
  const std::uint64_t offset = address - memory_.LoadAddressOf(*mapping);
  if (path[0] == '/') {
    const File& file = Load(path);
    const std::uint64_t wanted =
        looked_up - memory_.LoadAddressOf(*mapping) + file.base;
    auto symbol = file.symbols.upper_bound(wanted);
    if (symbol != file.symbols.begin()) {
      --symbol;
      const std::uint64_t into = wanted - symbol->first;
      if (into < symbol->second.size) {
        const std::uint64_t shown = address - looked_up + into;
        return Demangle(symbol->second.name) +
               (shown == 0 ? "" : "+" + Hexadecimal(shown)) + " (" + path + ")";
      }
    }
  }
  return path.substr(path.rfind('/') + 1) + "+" + Hexadecimal(offset) +
         (path[0] == '/' ? " (" + path + ")" : "");
}

std::string Symbols::NameReturn(std::uint64_t address) {
  return Name(address, address - 1);
}

std::string Symbols::NameFunction(std::uint64_t address) {
  return Name(address, address);
}

}  // namespace forkserver::cli
