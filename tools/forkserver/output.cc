#include "tools/forkserver/output.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "tools/forkserver/exit_codes.h"
#include "tools/forkserver/values.h"

namespace forkserver::cli {

void PrintLine(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fputc('\n', stdout);
}

void PrintTable(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths;
  const auto shown = [](const std::string& cell) {
    return cell.empty() ? std::string("-") : cell;
  };
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) {
      widths[i] = std::max(widths[i], shown(row[i]).size());
    }
  }
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      line += shown(row[i]);
      if (i + 1 == row.size()) break;
      line.append(widths[i] - shown(row[i]).size() + 2, ' ');
    }
    PrintLine(line);
  }
}

void PrintError(std::string_view text) {
  std::string line = "forkserver: " + std::string(text);
  std::replace(line.begin(), line.end(), '\n', ' ');
  line += '\n';
  std::fwrite(line.data(), 1, line.size(), stderr);
}

void PrintWarning(std::string_view text) {
  const std::string line = "forkserver: warning: " + std::string(text) + "\n";
  std::fwrite(line.data(), 1, line.size(), stderr);
}

int Fail(const Error& error) {
  PrintError(error.ToString());
  return kFailed;
}

std::string Describe(const ExitRecord& record) {
  std::string text;
  if (record.code) {
    text = "exit code " + std::to_string(*record.code);
  } else if (record.signal) {
    text = SignalName(static_cast<int>(*record.signal));
    if (record.core) text += " (core dumped)";
  } else {
    return std::string(NameOf(EndReason::kLost));
  }
  if (record.reason != EndReason::kExited &&
      record.reason != EndReason::kSignaled) {
    text += " (" + std::string(NameOf(record.reason)) + ")";
  }
  return text;
}

std::string DescribeOomKills(const ExitRecord& record) {
  if (record.oom_kills == 0) return {};
  return "ran out of memory (--memory-max): the kernel killed " +
         std::to_string(record.oom_kills) +
         (record.oom_kills == 1 ? " process" : " processes") + " of it";
}

bool FlushOutput() {
  const bool failed_before = std::ferror(stdout) != 0;
  if (std::fflush(stdout) == 0 && !failed_before) return true;
  PrintError(std::string("write(standard output): ") + std::strerror(errno));
  return false;
}

}  // namespace forkserver::cli
