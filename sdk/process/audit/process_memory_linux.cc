#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
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

}  // namespace forkserver::audit
