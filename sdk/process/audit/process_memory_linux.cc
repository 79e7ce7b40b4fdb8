#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "sdk/process/audit/process_memory.h"

namespace forkserver::audit {
namespace {

// "first-end perms offset device inode   path"
Mapping ParseMapping(std::string_view line) {
  Mapping mapping;
  char* next = nullptr;
  mapping.begin = std::strtoull(line.data(), &next, 16);
  mapping.end = std::strtoull(next + 1, &next, 16);
  mapping.executable = next[3] == 'x';  // " r-xp"
  mapping.offset = std::strtoull(next + 5, &next, 16);
  const std::size_t path = line.find_first_of("/[");
  if (path != std::string_view::npos) mapping.path = line.substr(path);
  return mapping;
}

}  // namespace

Result<std::string> ReadProcFile(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return SystemError("open(" + path + ")", errno);
  std::string text;
  std::size_t used = 0;
  for (;;) {
    if (text.size() - used < 4096) text.resize(text.size() * 2 + 8192);
    const ssize_t size =
        ::read(fd.get(), text.data() + used, text.size() - used);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return SystemError("read(" + path + ")", errno);
    if (size == 0) break;
    used += static_cast<std::size_t>(size);
  }
  text.resize(used);
  return text;
}

Result<ProcessMemory> ProcessMemory::Open(pid_t pid) {
  const std::string folder = "/proc/" + std::to_string(pid);
  auto text = ReadProcFile(folder + "/maps");
  if (!text) return text.error();
  ProcessMemory memory;
  std::string_view rest = *text;
  while (!rest.empty()) {
    const std::size_t end = rest.find('\n');
    if (end == std::string_view::npos) break;
    memory.mappings_.push_back(ParseMapping(rest.substr(0, end)));
    rest.remove_prefix(end + 1);
  }
  memory.memory_.Reset(::open((folder + "/mem").c_str(), O_RDONLY | O_CLOEXEC));
  return memory;
}

const Mapping* ProcessMemory::At(std::uint64_t address) const {
  auto after = std::upper_bound(mappings_.begin(), mappings_.end(), address,
                                [](std::uint64_t value, const Mapping& each) {
                                  return value < each.begin;
                                });
  if (after == mappings_.begin()) return nullptr;
  --after;
  return address < after->end ? &*after : nullptr;
}

std::uint64_t ProcessMemory::LoadAddressOf(const Mapping& mapping) const {
  // Mappings of one file lie beside each other; the first has offset 0.
  std::size_t at = static_cast<std::size_t>(&mapping - mappings_.data());
  while (at > 0 && mappings_[at].offset != 0 &&
         (mappings_[at - 1].path == mapping.path ||
          mappings_[at - 1].path.empty())) {
    --at;
  }
  return mappings_[at].begin - mappings_[at].offset;
}

std::string ProcessMemory::Read(std::uint64_t address, std::size_t size) const {
  std::string data(size, '\0');
  ssize_t got = -1;
  if (memory_.valid()) {
    do {
      got = ::pread(memory_.get(), data.data(), size,
                    static_cast<off_t>(address));
    } while (got < 0 && errno == EINTR);
  }
  data.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
  return data;
}

std::vector<std::uint64_t> ProcessMemory::ReadWords(std::uint64_t address,
                                                    std::size_t count) const {
  const std::string data = Read(address, count * sizeof(std::uint64_t));
  std::vector<std::uint64_t> words(data.size() / sizeof(std::uint64_t));
  std::memcpy(words.data(), data.data(), words.size() * sizeof(std::uint64_t));
  return words;
}

std::uint64_t ProcessMemory::ReadWord(std::uint64_t address) const {
  const std::vector<std::uint64_t> words = ReadWords(address, 1);
  return words.empty() ? 0 : words[0];
}

}  // namespace forkserver::audit
