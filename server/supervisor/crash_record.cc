#include "server/supervisor/crash_record.h"

#include <algorithm>
#include <charconv>
#include <csignal>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace forkserver::server {
namespace {

constexpr std::size_t kMaxFrames = 64;
constexpr std::size_t kMaxStderr = 2048;

struct Named {
  int number;
  std::string_view name;
};

constexpr Named kSignals[] = {
    {SIGHUP, "SIGHUP"},       {SIGINT, "SIGINT"},   {SIGQUIT, "SIGQUIT"},
    {SIGILL, "SIGILL"},       {SIGTRAP, "SIGTRAP"}, {SIGABRT, "SIGABRT"},
    {SIGBUS, "SIGBUS"},       {SIGFPE, "SIGFPE"},   {SIGKILL, "SIGKILL"},
    {SIGUSR1, "SIGUSR1"},     {SIGSEGV, "SIGSEGV"}, {SIGUSR2, "SIGUSR2"},
    {SIGPIPE, "SIGPIPE"},     {SIGALRM, "SIGALRM"}, {SIGTERM, "SIGTERM"},
    {SIGXCPU, "SIGXCPU"},     {SIGXFSZ, "SIGXFSZ"}, {SIGSYS, "SIGSYS"},
    {SIGVTALRM, "SIGVTALRM"}, {SIGPROF, "SIGPROF"}, {SIGIO, "SIGIO"},
};

struct NamedCode {
  int signal;  // 0: of any
  int number;
  std::string_view name;
};

constexpr NamedCode kCodes[] = {
    {SIGSEGV, SEGV_MAPERR, "SEGV_MAPERR"},
    {SIGSEGV, SEGV_ACCERR, "SEGV_ACCERR"},
    {SIGBUS, BUS_ADRALN, "BUS_ADRALN"},
    {SIGBUS, BUS_ADRERR, "BUS_ADRERR"},
    {SIGBUS, BUS_OBJERR, "BUS_OBJERR"},
    {SIGFPE, FPE_INTDIV, "FPE_INTDIV"},
    {SIGFPE, FPE_INTOVF, "FPE_INTOVF"},
    {SIGFPE, FPE_FLTDIV, "FPE_FLTDIV"},
    {SIGFPE, FPE_FLTOVF, "FPE_FLTOVF"},
    {SIGFPE, FPE_FLTUND, "FPE_FLTUND"},
    {SIGFPE, FPE_FLTRES, "FPE_FLTRES"},
    {SIGFPE, FPE_FLTINV, "FPE_FLTINV"},
    {SIGFPE, FPE_FLTSUB, "FPE_FLTSUB"},
    {SIGILL, ILL_ILLOPC, "ILL_ILLOPC"},
    {SIGILL, ILL_ILLOPN, "ILL_ILLOPN"},
    {SIGILL, ILL_ILLADR, "ILL_ILLADR"},
    {SIGILL, ILL_ILLTRP, "ILL_ILLTRP"},
    {SIGILL, ILL_PRVOPC, "ILL_PRVOPC"},
    {SIGILL, ILL_PRVREG, "ILL_PRVREG"},
    {SIGILL, ILL_COPROC, "ILL_COPROC"},
    {SIGILL, ILL_BADSTK, "ILL_BADSTK"},
    {SIGTRAP, TRAP_BRKPT, "TRAP_BRKPT"},
    {SIGTRAP, TRAP_TRACE, "TRAP_TRACE"},
#ifdef SYS_SECCOMP
    {SIGSYS, SYS_SECCOMP, "SYS_SECCOMP"},
#endif
#ifdef SI_KERNEL
    {0, SI_KERNEL, "SI_KERNEL"},
#endif
#ifdef SI_TKILL
    {0, SI_TKILL, "SI_TKILL"},
#endif
    {0, SI_USER, "SI_USER"},
    {0, SI_QUEUE, "SI_QUEUE"},
};

std::string SignalName(std::int64_t number) {
  for (const Named& each : kSignals) {
    if (each.number == number) return std::string(each.name);
  }
  return "signal " + std::to_string(number);
}

std::string CodeName(std::int64_t signal, std::int64_t code) {
  for (const NamedCode& each : kCodes) {
    if ((each.signal == 0 || each.signal == signal) && each.number == code) {
      return std::string(each.name);
    }
  }
  return {};
}

// The words of a line, one after the other.
std::string_view TakeWord(std::string_view& line) {
  const std::size_t end = std::min(line.find(' '), line.size());
  const std::string_view word = line.substr(0, end);
  line.remove_prefix(std::min(end + 1, line.size()));
  return word;
}

std::optional<std::int64_t> Decimal(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return {};
  return value;
}

// An address that has no place in an integer of the wire is none of a process.
std::optional<std::int64_t> Hex(std::string_view text) {
  if (!text.starts_with("0x")) return {};
  text.remove_prefix(2);
  std::uint64_t value = 0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), value, 16);
  if (error != std::errc() || end != text.data() + text.size() ||
      value > std::uint64_t{std::numeric_limits<std::int64_t>::max()}) {
    return {};
  }
  return static_cast<std::int64_t>(value);
}

// "MODULE OFFSET"; the path may hold spaces. MODULE is "-" where there is none.
std::optional<CrashFrame> Place(std::string_view text) {
  const std::size_t space = text.rfind(' ');
  if (space == text.npos || space == 0) return {};
  const auto offset = Hex(text.substr(space + 1));
  if (!offset) return {};
  const std::string_view module = text.substr(0, space);
  return CrashFrame{module == "-" ? std::string() : std::string(module),
                    *offset};
}

void TakeLine(std::string_view line, std::int64_t signal, CrashReport& crash) {
  const std::string_view kind = TakeWord(line);
  if (kind == "signal") {
    const auto number = Decimal(TakeWord(line));
    const auto code = Decimal(TakeWord(line));
    // Of a crash that it survived, or none at all.
    if (number != signal || !code) return;
    crash.code_name = CodeName(signal, *code);
    crash.address = Hex(line);
  } else if (kind == "thread") {
    TakeWord(line);
    crash.thread = line;
  } else if (kind == "at") {
    if (auto place = Place(line)) crash.address_module = place->module;
  } else if (kind == "frame" && crash.frames.size() < kMaxFrames) {
    if (auto place = Place(line)) crash.frames.push_back(std::move(*place));
  }
}

std::string Tail(std::string_view text, std::size_t size) {
  return std::string(text.substr(text.size() - std::min(text.size(), size)));
}

}  // namespace

CrashReport MakeCrashReport(const EndStatus& status) {
  CrashReport crash;
  if (status.signal) crash.signal_name = SignalName(*status.signal);
  std::string_view text = status.crash.report;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line == "stderr") {
      crash.stderr_tail = Tail(text, kMaxStderr);
      break;
    }
    TakeLine(line, status.signal.value_or(0), crash);
  }
  // What went through the daemon is all that was written.
  if (!status.crash.stderr_tail.empty()) {
    crash.stderr_tail = Tail(status.crash.stderr_tail, kMaxStderr);
  }
  crash.traceback = status.crash.traceback;
  return crash;
}

}  // namespace forkserver::server
