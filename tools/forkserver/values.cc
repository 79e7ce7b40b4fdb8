#include "tools/forkserver/values.h"

#include <array>
#include <cctype>
#include <charconv>
#include <csignal>
#include <cstdint>
#include <limits>
#include <optional>
#include <set>
#include <string_view>

namespace forkserver::cli {
namespace {

Error BadValue(const std::string& text, const char* expected) {
  return MakeError(error_code::kBadRequest,
                   "'" + text + "' is not " + expected);
}

// The whole of `text` as a number that is not negative.
std::optional<std::int64_t> ParseNumber(std::string_view text, int base = 10) {
  std::int64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [parsed, error] = std::from_chars(text.data(), end, number, base);
  if (error != std::errc() || parsed != end || number < 0) return std::nullopt;
  return number;
}

struct Unit {
  std::string_view suffix;
  std::int64_t factor;
};
constexpr std::array<Unit, 5> kDurationUnits = {
    {{"ms", 1}, {"s", 1'000}, {"m", 60'000}, {"h", 3'600'000}, {"", 1'000}}};
constexpr std::array<Unit, 4> kByteUnits = {
    {{"K", 1 << 10}, {"M", 1 << 20}, {"G", 1 << 30}, {"", 1}}};

template <std::size_t kSize>
Unit TakeUnit(const std::array<Unit, kSize>& units, std::string_view& text) {
  for (const Unit& unit : units) {
    if (text.ends_with(unit.suffix)) {
      text.remove_suffix(unit.suffix.size());
      return unit;
    }
  }
  return units.back();
}

std::optional<std::int64_t> Multiply(std::int64_t number, std::int64_t factor) {
  if (number > std::numeric_limits<std::int64_t>::max() / factor) {
    return std::nullopt;
  }
  return number * factor;
}

std::optional<std::int64_t> ParseLimitValue(std::string_view text) {
  if (text == "unlimited") return -1;
  const Unit unit = TakeUnit(kByteUnits, text);
  const auto number = ParseNumber(text);
  return number ? Multiply(*number, unit.factor) : std::nullopt;
}

struct NamedSignal {
  std::string_view name;
  int number;
};
constexpr NamedSignal kSignals[] = {
    {"HUP", SIGHUP},   {"INT", SIGINT},       {"QUIT", SIGQUIT},
    {"ILL", SIGILL},   {"TRAP", SIGTRAP},     {"ABRT", SIGABRT},
    {"BUS", SIGBUS},   {"FPE", SIGFPE},       {"KILL", SIGKILL},
    {"USR1", SIGUSR1}, {"SEGV", SIGSEGV},     {"USR2", SIGUSR2},
    {"PIPE", SIGPIPE}, {"ALRM", SIGALRM},     {"TERM", SIGTERM},
    {"CHLD", SIGCHLD}, {"CONT", SIGCONT},     {"STOP", SIGSTOP},
    {"TSTP", SIGTSTP}, {"TTIN", SIGTTIN},     {"TTOU", SIGTTOU},
    {"URG", SIGURG},   {"XCPU", SIGXCPU},     {"XFSZ", SIGXFSZ},
    {"PROF", SIGPROF}, {"VTALRM", SIGVTALRM}, {"WINCH", SIGWINCH},
    {"IO", SIGIO},     {"SYS", SIGSYS},
};

}  // namespace

Result<std::chrono::milliseconds> ParseDuration(const std::string& text) {
  constexpr char kExpected[] =
      "a duration such as 2s, 500ms, 1m or a number of seconds";
  std::string_view rest = text;
  const Unit unit = TakeUnit(kDurationUnits, rest);
  // As integers, so that 0.1s is 100 ms and not 99.
  const auto point = rest.find('.');
  const std::string_view whole = rest.substr(0, point);
  std::int64_t fraction = 0;
  std::int64_t scale = 1;
  if (point != rest.npos) {
    const std::string_view digits = rest.substr(point + 1);
    const auto number = ParseNumber(digits);
    if (!number || digits.size() > 6) return BadValue(text, kExpected);
    fraction = *number;
    for (std::size_t i = 0; i < digits.size(); ++i) scale *= 10;
  }
  const auto number = ParseNumber(whole);
  const auto whole_ms = number ? Multiply(*number, unit.factor) : std::nullopt;
  // A century: what the daemon adds to it must not overflow.
  constexpr std::int64_t kMostMs = std::int64_t{100} * 366 * 86'400'000;
  if (!whole_ms || *whole_ms > kMostMs) return BadValue(text, kExpected);
  return std::chrono::milliseconds(*whole_ms + fraction * unit.factor / scale);
}

Result<std::chrono::milliseconds> ParseInterval(const std::string& text) {
  constexpr std::chrono::milliseconds kShortest{100};
  Result<std::chrono::milliseconds> interval = ParseDuration(text);
  if (interval && *interval < kShortest) {
    return BadValue(text, "100ms or more");
  }
  return interval;
}

std::string FormatDuration(std::chrono::milliseconds duration) {
  const std::int64_t ms = duration.count();
  if (ms % 60'000 == 0 && ms != 0) return std::to_string(ms / 60'000) + "m";
  if (ms % 1'000 == 0) return std::to_string(ms / 1'000) + "s";
  return std::to_string(ms) + "ms";
}

Result<int> ParseSignal(const std::string& text) {
  if (const auto number = ParseNumber(text)) {
    if (*number < NSIG) return static_cast<int>(*number);
    return BadValue(text, "the number of a signal");
  }
  std::string name;
  for (const char letter : text) {
    name += static_cast<char>(std::toupper(static_cast<unsigned char>(letter)));
  }
  if (name.starts_with("SIG")) name.erase(0, 3);
  for (const NamedSignal& signal : kSignals) {
    if (signal.name == name) return signal.number;
  }
  return BadValue(text, "a signal such as TERM, SIGTERM or 15");
}

std::string SignalName(int signal) {
  for (const NamedSignal& each : kSignals) {
    if (each.number == signal) return "SIG" + std::string(each.name);
  }
  return "signal " + std::to_string(signal);
}

Result<int> ParseUmask(const std::string& text) {
  const auto number = ParseNumber(text, 8);
  if (!number || *number > 0777) {
    return BadValue(text, "an octal mask such as 022");
  }
  return static_cast<int>(*number);
}

Result<std::pair<std::string, ResourceLimit>> ParseLimit(
    const std::string& text) {
  constexpr char kExpected[] =
      "a limit such as nofile=1024, nofile=1024:4096, as=2G or core=unlimited";
  const auto equals = text.find('=');
  if (equals == text.npos || equals == 0) return BadValue(text, kExpected);
  const std::string values = text.substr(equals + 1);
  const auto colon = values.find(':');
  const auto soft = ParseLimitValue(values.substr(0, colon));
  const auto hard =
      colon == values.npos ? soft : ParseLimitValue(values.substr(colon + 1));
  if (!soft || !hard) return BadValue(text, kExpected);
  return std::pair(text.substr(0, equals), ResourceLimit{*soft, *hard});
}

Result<std::int64_t> ParseSize(const std::string& text) {
  const auto size = ParseLimitValue(text);
  if (!size || *size < 0) {
    return BadValue(text, "a number of bytes such as 4096, 64K or 10M");
  }
  return *size;
}

Result<std::vector<std::int64_t>> ParseExitCodes(const std::string& text) {
  constexpr std::int64_t kMost = 255;
  std::vector<std::int64_t> codes;
  std::string_view rest = text;
  for (;;) {
    const auto comma = rest.find(',');
    const auto code = ParseNumber(rest.substr(0, comma));
    if (!code || *code > kMost) {
      return BadValue(text, "a list of exit codes such as 2 or 2,143");
    }
    codes.push_back(*code);
    if (comma == rest.npos) return codes;
    rest.remove_prefix(comma + 1);
  }
}

Result<ReadyCheck> ParseReady(const std::string& text) {
  constexpr std::int64_t kMostFd = 1023;
  const auto colon = text.find(':');
  const std::string kind = text.substr(0, colon);
  const std::string value =
      colon == text.npos ? std::string() : text.substr(colon + 1);
  ReadyCheck check;
  if (kind == "fd") {
    check.kind = ReadyKind::kFd;
    if (colon == text.npos) return check;
    const auto fd = ParseNumber(value);
    if (fd && *fd >= 3 && *fd <= kMostFd) {
      check.fd = *fd;
      return check;
    }
  } else if (kind == "line" && !value.empty()) {
    check.kind = ReadyKind::kLine;
    check.line = value;
    return check;
  } else if (kind == "exec" && !value.empty()) {
    check.kind = ReadyKind::kExec;
    check.command = {"/bin/sh", "-c", value};
    return check;
  } else if (text == "notify") {
    check.kind = ReadyKind::kNotify;
    return check;
  } else if (text == "none") {
    return check;
  }
  return BadValue(text,
                  "one of none, notify, fd, fd:NUMBER (3 to 1023), line:REGEX "
                  "and exec:COMMAND");
}

Result<std::int64_t> ParseCpuShare(const std::string& text) {
  constexpr std::int64_t kMostCpus = 8192;
  std::string_view rest = text;
  std::int64_t percent = 0;
  const auto point = rest.find('.');
  if (rest.ends_with('%')) {
    rest.remove_suffix(1);
    percent = ParseNumber(rest).value_or(0);
  } else if (const auto cpus = ParseNumber(rest.substr(0, point));
             cpus && *cpus <= kMostCpus) {
    percent = *cpus * 100;
    if (point != rest.npos) {
      std::string hundredths(rest.substr(point + 1));
      if (hundredths.size() == 1) hundredths += '0';
      const auto more = ParseNumber(hundredths);
      percent = more && hundredths.size() == 2 ? percent + *more : 0;
    }
  }
  if (percent < 1 || percent > kMostCpus * 100) {
    return BadValue(text, "processor time such as 50%, 150% or 1.5 (CPUs)");
  }
  return percent;
}

Result<std::vector<int>> ParseCpus(const std::string& text) {
  constexpr char kExpected[] = "a list of CPUs such as 0-3,7";
  constexpr std::int64_t kMost = 8191;
  std::set<int> cpus;
  std::string_view rest = text;
  for (;;) {
    const auto comma = rest.find(',');
    const std::string_view part = rest.substr(0, comma);
    const auto dash = part.find('-');
    const auto first = ParseNumber(part.substr(0, dash));
    const auto last =
        dash == part.npos ? first : ParseNumber(part.substr(dash + 1));
    if (!first || !last || *first > *last || *last > kMost) {
      return BadValue(text, kExpected);
    }
    for (std::int64_t cpu = *first; cpu <= *last; ++cpu) {
      cpus.insert(static_cast<int>(cpu));
    }
    if (comma == rest.npos) break;
    rest.remove_prefix(comma + 1);
  }
  return std::vector<int>(cpus.begin(), cpus.end());
}

Result<IoPriority> ParseIoPriority(const std::string& text) {
  constexpr std::int64_t kLast = 7;
  const auto colon = text.find(':');
  const std::string name = text.substr(0, colon);
  IoPriority priority;
  if (name == "realtime") {
    priority.io_class = IoClass::kRealtime;
  } else if (name == "idle" && colon == text.npos) {
    priority.io_class = IoClass::kIdle;
  } else if (name != "best-effort") {
    return BadValue(text,
                    "one of idle, best-effort[:LEVEL] and "
                    "realtime[:LEVEL]");
  }
  if (colon == text.npos) return priority;
  const auto level = ParseNumber(std::string_view(text).substr(colon + 1));
  if (!level || *level > kLast) {
    return BadValue(text, "a class and a level from 0 to 7");
  }
  priority.level = *level;
  return priority;
}

Result<std::pair<int, int>> ParseSpares(const std::string& text) {
  const auto colon = text.find(':');
  const auto least = ParseNumber(text.substr(0, colon));
  const auto most =
      colon == text.npos ? least : ParseNumber(text.substr(colon + 1));
  constexpr int kMost = 64;
  if (!least || !most || *least > *most || *most > kMost) {
    return BadValue(text, "MIN:MAX such as 1:4, with MAX at most 64");
  }
  return std::pair(static_cast<int>(*least), static_cast<int>(*most));
}

}  // namespace forkserver::cli
