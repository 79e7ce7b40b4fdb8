#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "sdk/process/audit/process_memory.h"
#include "sdk/process/audit/read_stacks.h"
#include "sdk/process/audit/system_call.h"

namespace forkserver::audit {
namespace {

constexpr std::size_t kMaxThreads = 8;
constexpr std::size_t kMaxFrames = 24;
constexpr std::size_t kMaxWords = 4096;
constexpr std::uint64_t kWord = sizeof(std::uint64_t);

// Whether a call ends at `address`: what a return address follows.
bool FollowsCall(const ProcessMemory& memory, std::uint64_t address) {
#ifdef __x86_64__
  const std::string code = memory.Read(address - 7, 7);
  if (code.size() < 7) return false;
  const auto byte = [&code](std::size_t back) {
    return static_cast<unsigned char>(code[7 - back]);
  };
  if (byte(5) == 0xe8) return true;  // call rel32
  // call r/m64: FF /2 with 0, 1, 4 or more bytes after it.
  for (const std::size_t length : {2u, 3u, 4u, 6u, 7u}) {
    if (byte(length) == 0xff && (byte(length - 1) & 0x38) == 0x10) return true;
  }
  return false;
#else
  return memory.At(address) != nullptr;
#endif
}

std::string FrameAt(const ProcessMemory& memory, std::uint64_t address) {
  const Mapping* const mapping = memory.At(address);
  if (mapping == nullptr || !mapping->executable || mapping->path.empty()) {
    return {};
  }
  char offset[32];
  std::snprintf(offset, sizeof(offset), "+0x%llx",
                static_cast<unsigned long long>(
                    address - memory.LoadAddressOf(*mapping)));
  return "  " + mapping->path + offset;
}

void AddThread(const ProcessMemory& memory, pid_t pid, pid_t thread,
               std::vector<std::string>& lines) {
  const std::string folder =
      "/proc/" + std::to_string(pid) + "/task/" + std::to_string(thread) + "/";
  auto name = ReadProcFile(folder + "comm");
  if (!name) return;
  if (!name->empty() && name->back() == '\n') name->pop_back();
  auto text = ReadProcFile(folder + "syscall");
  const SystemCall call = text ? ParseSystemCall(*text) : SystemCall();
  const std::string doing = call.running ? "runs" : Describe(call.number);
  lines.push_back("thread " + std::to_string(thread) + " '" + *name + "'" +
                  (doing.empty() ? "" : " " + doing));
  if (call.stack_pointer == 0) return;
  std::size_t frames = 0;
  if (const std::string frame = FrameAt(memory, call.program_counter);
      !frame.empty()) {
    lines.push_back(frame);
    ++frames;
  }
  const Mapping* const stack = memory.At(call.stack_pointer);
  if (stack == nullptr) return;
  const std::uint64_t begin = call.stack_pointer & ~(kWord - 1);
  const std::vector<std::uint64_t> words = memory.ReadWords(
      begin, std::min<std::uint64_t>((stack->end - begin) / kWord, kMaxWords));
  for (const std::uint64_t word : words) {
    if (frames == kMaxFrames) break;
    const std::string frame = FrameAt(memory, word);
    if (frame.empty() || !FollowsCall(memory, word)) continue;
    lines.push_back(frame);
    ++frames;
  }
}

}  // namespace

std::vector<std::string> ReadStacks(pid_t pid) {
  std::vector<std::string> lines;
  auto memory = ProcessMemory::Open(pid);
  if (!memory) return lines;
  std::size_t threads = 0;
  for (const std::int64_t thread : ListThreadIds(pid)) {
    if (++threads > kMaxThreads) break;
    AddThread(*memory, pid, static_cast<pid_t>(thread), lines);
  }
  return lines;
}

std::vector<pid_t> ListChildren(pid_t pid) {
  std::vector<pid_t> children;
  const std::string number = std::to_string(pid);
  auto text = ReadProcFile("/proc/" + number + "/task/" + number + "/children");
  if (!text) return children;
  const char* next = text->c_str();
  for (;;) {
    char* after = nullptr;
    const long child = std::strtol(next, &after, 10);
    if (after == next) return children;
    children.push_back(static_cast<pid_t>(child));
    next = after;
  }
}

}  // namespace forkserver::audit
