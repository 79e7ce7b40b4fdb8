#include "sdk/log/log_line.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <ctime>
#include <utility>

namespace forkserver {
namespace {

constexpr std::int64_t kMicroseconds = 1'000'000;
constexpr std::int64_t kEndOf9999 = 253'402'300'800;
constexpr std::string_view kTimePattern = "0000-00-00T00:00:00.000000Z";

constexpr std::array<std::pair<std::string_view, LogStream>, 4> kStreams = {
    {{"out", LogStream::kOut},
     {"err", LogStream::kErr},
     {"note", LogStream::kNote},
     {"log", LogStream::kLog}}};

bool IsDigit(char letter) { return letter >= '0' && letter <= '9'; }

bool LooksLikeTime(std::string_view text) {
  return std::equal(text.begin(), text.end(), kTimePattern.begin(),
                    kTimePattern.end(), [](char letter, char pattern) {
                      return pattern == '0' ? IsDigit(letter)
                                            : letter == pattern;
                    });
}

int Number(std::string_view text, std::size_t at, std::size_t digits) {
  int number = 0;
  for (const char digit : text.substr(at, digits)) {
    number = number * 10 + (digit - '0');
  }
  return number;
}

}  // namespace

std::string_view NameOf(LogStream stream) {
  for (const auto& [name, value] : kStreams) {
    if (value == stream) return name;
  }
  return {};
}

std::string FormatLogTime(std::int64_t time_us) {
  time_us =
      std::clamp(time_us, std::int64_t{0}, kEndOf9999 * kMicroseconds - 1);
  const auto seconds = static_cast<std::time_t>(time_us / kMicroseconds);
  std::tm parts = {};
  ::gmtime_r(&seconds, &parts);
  char text[96];
  const int size = std::snprintf(
      text, sizeof(text), "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ",
      parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday, parts.tm_hour,
      parts.tm_min, parts.tm_sec, static_cast<int>(time_us % kMicroseconds));
  return {text, static_cast<std::size_t>(size)};
}

std::optional<std::int64_t> ParseLogTime(std::string_view text) {
  if (!LooksLikeTime(text)) return std::nullopt;
  std::tm parts = {};
  parts.tm_year = Number(text, 0, 4) - 1900;
  parts.tm_mon = Number(text, 5, 2) - 1;
  parts.tm_mday = Number(text, 8, 2);
  parts.tm_hour = Number(text, 11, 2);
  parts.tm_min = Number(text, 14, 2);
  parts.tm_sec = Number(text, 17, 2);
  const std::int64_t time_us =
      std::int64_t{::timegm(&parts)} * kMicroseconds + Number(text, 20, 6);
  // timegm() takes the 31st of February for a day in March.
  if (FormatLogTime(time_us) != text) return std::nullopt;
  return time_us;
}

void AppendLogLine(std::string& to, std::string_view time, LogStream stream,
                   bool continued, std::string_view text) {
  to += time;
  to += ' ';
  to += NameOf(stream);
  to += continued ? "+ " : " ";
  const std::size_t at = to.size();
  to += text;
  std::replace(to.begin() + static_cast<std::ptrdiff_t>(at), to.end(), '\n',
               ' ');
  to += '\n';
}

std::optional<LogLine> ParseLogLine(std::string_view line) {
  const auto time = ParseLogTime(line.substr(0, kTimePattern.size()));
  if (!time) return std::nullopt;
  line.remove_prefix(kTimePattern.size());
  if (line.substr(0, 1) != " ") return std::nullopt;
  line.remove_prefix(1);
  for (const auto& [name, stream] : kStreams) {
    if (!line.starts_with(name)) continue;
    std::string_view text = line.substr(name.size());
    const bool continued = text.starts_with('+');
    if (continued) text.remove_prefix(1);
    if (!text.starts_with(' ')) continue;
    return LogLine{*time, stream, continued, std::string(text.substr(1))};
  }
  return std::nullopt;
}

}  // namespace forkserver
