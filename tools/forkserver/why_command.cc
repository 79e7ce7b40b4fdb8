#include "tools/forkserver/why_command.h"

#include <forkserver/client.h>

#include <algorithm>
#include <cstdio>
#include <string>
#include <string_view>

#include "tools/forkserver/connect.h"
#include "tools/forkserver/exit_codes.h"
#include "tools/forkserver/explanation.h"
#include "tools/forkserver/json.h"
#include "tools/forkserver/known_deaths.h"
#include "tools/forkserver/output.h"
#include "tools/forkserver/symbols.h"
#include "tools/forkserver/values.h"

namespace forkserver::cli {
namespace {

// As many frames at one place are a recursion that did not end.
constexpr std::ptrdiff_t kManyTimes = 10;
constexpr std::int64_t kFirstPage = 4096;

std::string Hex(std::int64_t value) {
  char text[32];
  std::snprintf(text, sizeof(text), "0x%llx",
                static_cast<unsigned long long>(value));
  return text;
}

// What a worker wrote is not to command the terminal.
std::string Printable(std::string_view text) {
  std::string shown;
  for (const char letter : text) {
    const auto code = static_cast<unsigned char>(letter);
    const bool control =
        (code < 32 && letter != '\n' && letter != '\t') || code == 127;
    shown += control ? '?' : letter;
  }
  return shown;
}

std::string FileName(const std::string& path) {
  return path.substr(path.rfind('/') + 1);
}

// Why it was ended, of the ends that forkserverd brought about.
std::string_view DescribeReason(EndReason reason) {
  switch (reason) {
    case EndReason::kTimeout:
      return "was stopped by forkserverd: its timeout ran out";
    case EndReason::kStopped:
      return "was stopped because somebody asked for it";
    case EndReason::kClientGone:
      return "was stopped: the client that asked for it is gone";
    case EndReason::kZygoteDied:
      return "was killed because its zygote died";
    case EndReason::kForkDeadlock:
      return "was killed: it did not reach its entry in time (fork_deadlock)";
    case EndReason::kDaemonStopping:
      return "was stopped because forkserverd stopped";
    case EndReason::kLost:
      return "is gone, and nobody could observe how it ended";
    case EndReason::kExited:
    case EndReason::kSignaled:
      break;
  }
  return {};
}

bool IsEndlessRecursion(const CrashReport& crash) {
  return std::any_of(
      crash.frames.begin(), crash.frames.end(), [&](const CrashFrame& one) {
        return std::count_if(crash.frames.begin(), crash.frames.end(),
                             [&](const CrashFrame& other) {
                               return other.module == one.module &&
                                      other.offset == one.offset;
                             }) >= kManyTimes;
      });
}

std::string DescribeSignal(const ExitRecord& record) {
  std::string text =
      "was ended by " + SignalName(static_cast<int>(*record.signal));
  if (!record.crash) return text;
  const CrashReport& crash = *record.crash;
  if (!crash.code_name.empty()) text += " (" + crash.code_name + ")";
  if (crash.address) {
    text += ": it must not touch address " + Hex(*crash.address);
    if (*crash.address >= 0 && *crash.address < kFirstPage) {
      text += ", a null pointer";
    } else if (crash.signal_name == "SIGSEGV" && IsEndlessRecursion(crash)) {
      text += ", its stack was full: a function called itself without end";
    }
  }
  if (!crash.frames.empty() && !crash.frames.front().module.empty()) {
    text += ", in " + FileName(crash.frames.front().module);
  }
  return text;
}

std::string Summarize(const ExitRecord& record) {
  std::string text = "Worker " + record.id;
  if (!record.name.empty()) text += " '" + record.name + "'";
  text += " (pid " + std::to_string(record.pid) + ") ";
  if (const auto reason = DescribeReason(record.reason); !reason.empty()) {
    text += reason;
    if (record.signal || record.code) text += "; " + Describe(record);
  } else if (record.signal) {
    text += DescribeSignal(record);
    if (record.core) text += "; a core was dumped";
  } else {
    text += record.code == 0 ? "ended normally, with exit code 0"
                             : "ended by itself, with exit code " +
                                   std::to_string(record.code.value_or(0));
  }
  if (const std::string memory = DescribeOomKills(record); !memory.empty()) {
    text += ". It " + memory;
  }
  return Printable(text) + ".";
}

std::string DescribeAncestry(const ExitRecord& record) {
  if (record.kind == WorkerKind::kExec) {
    return record.direct
               ? "a program, started without forkserverd"
               : "clean: a program that forkserverd started, which has one "
                 "thread";
  }
  const std::string zygote = "zygote '" + record.zygote + "'";
  if (!record.crash) return "forked from " + zygote;
  if (record.crash->pristine) {
    return "clean: forked from " + zygote + ", which was safe to fork";
  }
  std::string text =
      "NOT clean: forked from " + zygote + ", which was not safe to fork";
  for (const std::string& reason : record.crash->dirty) {
    text += "; " + reason;
  }
  return text;
}

void PrintIndented(std::string_view title, std::string_view text) {
  if (text.empty()) return;
  PrintLine("");
  PrintLine(title);
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    PrintLine("  " + Printable(text.substr(0, end)));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

std::string DescribeFrames(const std::vector<NamedFrame>& frames) {
  std::string text;
  for (std::size_t i = 0; i < frames.size(); ++i) {
    const NamedFrame& frame = frames[i];
    text += "#" + std::to_string(i) + " ";
    if (frame.module.empty()) {
      text += "at " + Hex(frame.offset) + ", which is no code\n";
      continue;
    }
    text += frame.function.empty() ? "?" : frame.function;
    if (!frame.file.empty()) {
      text += " at " + frame.file + ":" + std::to_string(frame.line);
    }
    text += "  (" + frame.module + "+" + Hex(frame.offset) + ")\n";
  }
  return text;
}

// The frames among the lines, "  MODULE+0xOFFSET", get their functions.
std::string DescribeStacks(const std::vector<std::string>& lines) {
  Symbols symbols;
  std::string text;
  for (const std::string& line : lines) {
    text += line;
    const std::size_t plus = line.rfind("+0x");
    if (line.compare(0, 3, "  /") == 0 && plus != std::string::npos) {
      CrashFrame frame;
      frame.module = line.substr(2, plus - 2);
      frame.offset = std::strtoll(line.c_str() + plus + 1, nullptr, 16);
      const NamedFrame named = symbols.Name(frame);
      if (!named.function.empty()) text += "  " + named.function;
    }
    text += "\n";
  }
  return text;
}

void Print(const Explanation& explanation) {
  const ExitRecord& record = explanation.exit;
  PrintLine(explanation.summary);
  for (const KnownDeath& known : explanation.known) {
    PrintLine("");
    PrintLine("This is known: " + known.sentence);
    PrintLine("See " + known.page);
  }
  PrintLine("");
  PrintLine("Ancestry: " + Printable(DescribeAncestry(record)));
  PrintIndented("Where it was, and its zygote:", DescribeStacks(record.stacks));
  if (!record.crash) return;
  const CrashReport& crash = *record.crash;
  if (!crash.address_module.empty()) {
    PrintLine("Address in: " + Printable(crash.address_module));
  }
  if (!crash.thread.empty()) {
    PrintLine("Thread: " + Printable(crash.thread));
  }
  PrintIndented("Native stack, innermost first:",
                DescribeFrames(explanation.frames));
  PrintIndented("Python:", crash.traceback);
  PrintIndented("The end of its standard error:", crash.stderr_tail);
}

}  // namespace

int ExplainWorker(const Options& options) {
  Result<Client> client = ConnectToRunning(options);
  if (!client) return Fail(client.error());
  Result<Snapshot> snapshot = client->List();
  if (!snapshot) return Fail(snapshot.error());
  for (const WorkerInfo& worker : snapshot->workers) {
    if (worker.id != options.worker_id) continue;
    PrintError("worker " + worker.id + " has not ended");
    return kFailed;
  }
  Result<ExitRecord> record = client->Wait(options.worker_id);
  if (!record) return Fail(record.error());
  Explanation explanation;
  explanation.summary = Summarize(*record);
  explanation.known = FindKnownDeaths(*record);
  if (record->crash) explanation.frames = NameFrames(record->crash->frames);
  explanation.exit = std::move(*record);
  if (options.json) {
    PrintLine(ToJson(explanation));
  } else {
    Print(explanation);
  }
  return kOk;
}

}  // namespace forkserver::cli
