#include <dlfcn.h>
#include <elf.h>
#include <unistd.h>

#include <cstring>
#include <fstream>
#include <iterator>
#include <string_view>

#include "sdk/process/audit/library_answer.h"

namespace forkserver::audit {
namespace {

template <typename T>
std::optional<T> ReadAt(std::string_view file, std::uint64_t offset) {
  T value;
  if (offset > file.size() || file.size() - offset < sizeof(T)) return {};
  std::memcpy(&value, file.data() + offset, sizeof(T));
  return value;
}

// The address of an exported function, from the load address; 0: none.
std::uint64_t FindSymbol(std::string_view file, const std::string& name) {
  const auto header = ReadAt<Elf64_Ehdr>(file, 0);
  if (!header || std::memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 ||
      header->e_ident[EI_CLASS] != ELFCLASS64) {
    return 0;
  }
  for (unsigned i = 0; i < header->e_shnum; ++i) {
    const auto section = ReadAt<Elf64_Shdr>(
        file, header->e_shoff + std::uint64_t{i} * header->e_shentsize);
    if (!section || section->sh_type != SHT_DYNSYM) continue;
    const auto names = ReadAt<Elf64_Shdr>(
        file, header->e_shoff +
                  std::uint64_t{section->sh_link} * header->e_shentsize);
    if (!names || names->sh_offset > file.size()) return 0;
    const std::string_view texts = file.substr(
        names->sh_offset, std::min<std::uint64_t>(names->sh_size, file.size()));
    for (std::uint64_t at = 0; at + sizeof(Elf64_Sym) <= section->sh_size;
         at += sizeof(Elf64_Sym)) {
      const auto symbol = ReadAt<Elf64_Sym>(file, section->sh_offset + at);
      if (!symbol) return 0;
      if (symbol->st_value == 0 || symbol->st_name >= texts.size()) continue;
      const std::string_view text = texts.substr(symbol->st_name);
      if (text.substr(0, text.find('\0')) == name) return symbol->st_value;
    }
  }
  return 0;
}

#ifdef __x86_64__
// Takes `bytes` from the front of `code` if they are there.
bool Skip(std::string_view& code, std::string_view bytes) {
  if (code.substr(0, bytes.size()) != bytes) return false;
  code.remove_prefix(bytes.size());
  return true;
}

// The address of the variable, and which of its bits count; nullopt if the
// function does anything but return one variable.
struct Variable {
  std::uint64_t address = 0;
  unsigned mask = 0xff;
};
std::optional<Variable> VariableOf(std::uint64_t function,
                                   std::string_view code,
                                   const ProcessMemory& memory) {
  const std::string_view whole = code;
  Skip(code, "\xf3\x0f\x1e\xfa");                          // endbr64
  const bool frame = Skip(code, {"\x55\x48\x89\xe5", 4});  // push, mov rbp
  const auto relative = [&]() -> std::uint64_t {
    std::int32_t distance = 0;
    if (code.size() < sizeof(distance)) return 0;
    std::memcpy(&distance, code.data(), sizeof(distance));
    code.remove_prefix(sizeof(distance));
    return function + (whole.size() - code.size()) +
           static_cast<std::uint64_t>(std::int64_t{distance});
  };
  Variable variable;
  if (Skip(code, {"\x0f\xb6\x05", 3}) || Skip(code, {"\x8a\x05", 2}) ||
      Skip(code, {"\x8b\x05", 2})) {  // movzbl, mov: of a variable of its own
    variable.address = relative();
  } else if (const bool compare = Skip(code, {"\x80\x3d", 2});
             compare || Skip(code, {"\xf6\x05", 2})) {  // cmpb, testb: imm
    // The address counts from the end of the instruction, after its byte.
    variable.address = relative() + 1;
    if (code.empty() || (compare && code[0] != 0)) return {};
    if (!compare) variable.mask = static_cast<unsigned char>(code[0]);
    code.remove_prefix(1);
    if (!Skip(code, {"\x0f\x95\xc0", 3})) return {};  // setne al
  } else if (Skip(code, {"\x48\x8b\x05", 3})) {       // by way of the GOT
    variable.address = memory.ReadWord(relative());
    if (!Skip(code, {"\x0f\xb6\x00", 3}) && !Skip(code, {"\x8b\x00", 2})) {
      return {};
    }
  } else {
    return {};
  }
  for (bool more = true; more;) {
    more = false;
    if (code.size() > 3 && (Skip(code, {"\x83\xe0", 2}))) {  // and imm, eax
      variable.mask &= static_cast<unsigned char>(code[0]);
      code.remove_prefix(1);
      more = true;
    } else if (code.size() > 2 && Skip(code, {"\x24", 1})) {  // and imm, al
      variable.mask &= static_cast<unsigned char>(code[0]);
      code.remove_prefix(1);
      more = true;
    } else if (Skip(code, {"\x0f\xb6\xc0", 3})) {  // movzbl al, eax
      more = true;
    } else if (Skip(code, {"\x85\xc0\x0f\x95\xc0", 5}) ||
               Skip(code, {"\x84\xc0\x0f\x95\xc0", 5})) {  // != 0
      more = true;
    }
  }
  if (frame && !Skip(code, {"\x5d", 1})) return {};
  if (!Skip(code, {"\xc3", 1})) return {};
  return variable;
}
#endif

}  // namespace

std::optional<bool> AskLibrary(pid_t pid, const ProcessMemory& memory,
                               const Mapping& library,
                               const std::string& symbol) {
  if (pid == ::getpid()) {
    void* const loaded =
        ::dlopen(library.path.c_str(), RTLD_LAZY | RTLD_NOLOAD);
    if (loaded == nullptr) return {};
    const auto function =
        reinterpret_cast<bool (*)()>(::dlsym(loaded, symbol.c_str()));
    std::optional<bool> answer;
    if (function != nullptr) answer = function();
    ::dlclose(loaded);
    return answer;
  }
#ifdef __x86_64__
  constexpr std::size_t kLongestFunction = 48;
  std::ifstream stream("/proc/" + std::to_string(pid) + "/root" + library.path,
                       std::ios::binary);
  const std::string file((std::istreambuf_iterator<char>(stream)),
                         std::istreambuf_iterator<char>());
  const std::uint64_t value = FindSymbol(file, symbol);
  if (value == 0) return {};
  const std::uint64_t function = memory.LoadAddressOf(library) + value;
  const std::string code = memory.Read(function, kLongestFunction);
  const auto variable = VariableOf(function, code, memory);
  if (!variable) return {};
  const std::string byte = memory.Read(variable->address, 1);
  if (byte.empty()) return {};
  return (static_cast<unsigned char>(byte[0]) & variable->mask) != 0;
#else
  static_cast<void>(memory);
  return {};
#endif
}

}  // namespace forkserver::audit
