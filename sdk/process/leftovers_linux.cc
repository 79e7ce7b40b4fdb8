#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include "sdk/base/unique_fd.h"
#include "sdk/process/leftovers.h"

namespace forkserver {
namespace {

// The beginning of a file of /proc; empty if it cannot be read.
std::string ReadBeginning(const std::string& path, std::size_t most) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::string text(most, '\0');
  std::size_t used = 0;
  while (fd && used < most) {
    const ssize_t got = ::read(fd.get(), text.data() + used, most - used);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    used += static_cast<std::size_t>(got);
  }
  text.resize(used);
  return text;
}

// The flag of the kernel for a process on its way out.
constexpr unsigned long kExiting = 0x4;

// It has ended, or nothing can keep it from ending.
bool IsEnding(pid_t pid) {
  const std::string folder = "/proc/" + std::to_string(pid);
  // "pid (name) state ppid pgrp session tty tpgid flags ..."
  const std::string stat = ReadBeginning(folder + "/stat", 512);
  const std::size_t name_end = stat.rfind(')');
  if (name_end == std::string::npos || name_end + 2 >= stat.size()) return true;
  const char* at = stat.c_str() + name_end + 2;
  if (*at == 'Z' || *at == 'X') return true;
  char* next = nullptr;
  ++at;
  for (int field = 0; field < 5; ++field, at = next) std::strtol(at, &next, 10);
  if ((std::strtoul(at, &next, 10) & kExiting) != 0) return true;
  const std::string status = ReadBeginning(folder + "/status", 4096);
  for (const char* const line : {"\nSigPnd:\t", "\nShdPnd:\t"}) {
    const std::size_t found = status.find(line);
    if (found == std::string::npos) continue;
    const unsigned long long pending =
        std::strtoull(status.c_str() + found + std::strlen(line), nullptr, 16);
    if ((pending >> (SIGKILL - 1)) & 1) return true;
  }
  return false;
}

std::string Describe(pid_t pid) {
  std::string command = ReadBeginning(
      "/proc/" + std::to_string(pid) + "/cmdline", kMaxLeftoverBytes);
  while (!command.empty() && command.back() == '\0') command.pop_back();
  for (char& each : command) {
    if (each == '\0') each = ' ';
  }
  if (command.empty()) {  // while it executes a program
    command = ReadBeginning("/proc/" + std::to_string(pid) + "/comm", 16);
    if (!command.empty()) command.back() = ']';  // the end of its line
    command.insert(0, 1, '[');
  }
  command = std::to_string(pid) + " " + command;
  if (command.size() > kMaxLeftoverBytes) command.resize(kMaxLeftoverBytes);
  return command;
}

}  // namespace

std::vector<std::string> FindLeftovers(pid_t group, pid_t heir) {
  std::vector<std::string> leftovers;
  const std::string id = std::to_string(heir);
  std::string children;
  // The kernel lists as many as the buffer holds; there may be thousands. A
  // small one, at first: a zygote pays for each page that it writes to.
  for (std::size_t most = 512;; most *= 4) {
    children = ReadBeginning("/proc/" + id + "/task/" + id + "/children", most);
    if (children.size() < most) break;
  }
  char* at = children.data();
  while (leftovers.size() < kMaxLeftovers) {
    char* next = nullptr;
    const auto pid = static_cast<pid_t>(std::strtol(at, &next, 10));
    if (next == at) break;
    at = next;
    if (pid != group && ::getpgid(pid) == group && !IsEnding(pid)) {
      leftovers.push_back(Describe(pid));
    }
  }
  return leftovers;
}

}  // namespace forkserver
