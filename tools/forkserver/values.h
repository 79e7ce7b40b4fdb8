// The values that a command line spells: durations, signals, limits, umasks.
// Pure functions. The errors are "bad_request" and name the text and what is
// expected; they are to be shown after the name of the option.
#pragma once

#include <forkserver/result.h>
#include <forkserver/types.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace forkserver::cli {

// "2s", "500ms", "1.5m", "1h"; a bare number is seconds. Not negative.
Result<std::chrono::milliseconds> ParseDuration(const std::string& text);
// The same, not below 100ms: how often somebody looks.
Result<std::chrono::milliseconds> ParseInterval(const std::string& text);
// The other way: "500ms", "30s", "2m".
std::string FormatDuration(std::chrono::milliseconds duration);

// "TERM", "SIGTERM", "term", "15". 0 only asks whether the process is there.
Result<int> ParseSignal(const std::string& text);
// "SIGTERM", or "signal 42" where it has no name.
std::string SignalName(int signal);

// Octal, up to 0777.
Result<int> ParseUmask(const std::string& text);

// "nofile=1024:4096", "as=2G", "core=unlimited". Without a hard limit both are
// the same. K, M and G are powers of 1024.
Result<std::pair<std::string, ResourceLimit>> ParseLimit(
    const std::string& text);

// "0-3,7": numbers of CPUs, ascending.
Result<std::vector<int>> ParseCpus(const std::string& text);

// "idle", "best-effort", "best-effort:7", "realtime:0".
Result<IoPriority> ParseIoPriority(const std::string& text);

// "10M", "64K", "1G", "4096": bytes. K, M and G are powers of 1024.
Result<std::int64_t> ParseSize(const std::string& text);

// "50%", "150%", or CPUs: "1.5", "2". In percent of one CPU, at least 1.
Result<std::int64_t> ParseCpuShare(const std::string& text);

// "0", "3,4": exit codes, each 0 to 255.
Result<std::vector<std::int64_t>> ParseExitCodes(const std::string& text);

// How a service says that it is ready: "none", "fd" (3) or "fd:5", "notify",
// "line:REGEX", "exec:COMMAND" (by the shell).
struct ReadyCheck {
  ReadyKind kind = ReadyKind::kNone;
  std::int64_t fd = 3;
  std::string line;
  std::vector<std::string> command;
};
Result<ReadyCheck> ParseReady(const std::string& text);

// "2:8": at least and at most; "4" is both. At most 64.
Result<std::pair<int, int>> ParseSpares(const std::string& text);

}  // namespace forkserver::cli
