// The daemon's log: one line per message, on standard error or in a file that
// is rotated once by size. The only global of the daemon.
//
// Lines: 2026-11-21T21:02:30.123Z info  worker 4fz0wkqd-17 launched, pid 4711
#pragma once

#include <forkserver/result.h>

#include <string>

namespace forkserver::server {

enum class LogLevel { kError, kWarning, kInfo, kDebug };

// "error", "warning", "info", "debug".
bool ParseLogLevel(const std::string& name, LogLevel& level);
void SetLogLevel(LogLevel level);
// Appends to `path` from now on. A file above 1 MiB is renamed to PATH.old.
Result<void> LogToFile(const std::string& path);

void Log(LogLevel level, const std::string& message);
bool LogEnabled(LogLevel level);

}  // namespace forkserver::server
