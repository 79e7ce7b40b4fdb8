// The log file of a service: the daemon's log writer writes it, `forkserver
// logs` reads it. One line of the service is one line of the file:
//
//   2026-11-22T16:33:26.123456Z out listening on port 8000
//   2026-11-22T16:33:26.123501Z err+ the first 64 kB of a very long line
//   2026-11-22T16:33:26.123501Z err and the rest of it
//
// The second column is the stream; a '+' behind it says that the line goes on
// in the next line of the same stream. What follows after one space is the
// text, byte for byte. `note` is the daemon's word on the service, `log`
// the log writer's own.
//
// The time is the wall clock when the line was read. The clock may be set:
// times can jump, and the order of the lines is what holds.
//
// Passive, no I/O.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace forkserver {

enum class LogStream { kOut, kErr, kNote, kLog };

// "out", "err", "note", "log".
std::string_view NameOf(LogStream stream);

struct LogLine {
  std::int64_t time_us = 0;  // since 1970, UTC
  LogStream stream = LogStream::kOut;
  bool continued = false;
  std::string text;  // any bytes, no newline
};

// The text of a longer line is continued.
inline constexpr std::size_t kMaxLogTextBytes = std::size_t{64} << 10;
// What stands before the text, at most.
inline constexpr std::size_t kMaxLogPrefixBytes = 34;

// "2026-11-22T16:33:26.123456Z". Years before 1970 and after 9999 are shown as
// these.
std::string FormatLogTime(std::int64_t time_us);
// The other way; nullopt for anything else.
std::optional<std::int64_t> ParseLogTime(std::string_view text);

// Appends a line, newline included. `time` is of FormatLogTime. Newlines in
// `text` become spaces.
void AppendLogLine(std::string& to, std::string_view time, LogStream stream,
                   bool continued, std::string_view text);

// A line without its newline; nullopt if it is not one of AppendLogLine.
std::optional<LogLine> ParseLogLine(std::string_view line);

}  // namespace forkserver
