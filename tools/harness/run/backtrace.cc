#include "tools/harness/run/backtrace.h"

#include <algorithm>
#include <cstdio>
#include <utility>

namespace forkserver::harness {
namespace {

void AddLines(const std::string& text, std::vector<std::string>& lines) {
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    lines.push_back(text.substr(at, end - at));
    at = end + 1;
  }
}

std::string Hex(std::int64_t value) {
  char text[32];
  std::snprintf(text, sizeof(text), "0x%llx",
                static_cast<unsigned long long>(value));
  return text;
}

std::string DescribeFrame(const cli::NamedFrame& frame) {
  if (frame.module.empty()) return Hex(frame.offset) + ", which is no code";
  std::string place = frame.module.substr(frame.module.rfind('/') + 1) + "+" +
                      Hex(frame.offset);
  if (frame.function.empty()) return place;
  if (frame.file.empty()) return frame.function + " (" + place + ")";
  return frame.function + " at " + frame.file + ":" +
         std::to_string(frame.line);
}

}  // namespace

std::vector<std::string> Backtraces::Describe(const ExitRecord& record) {
  if (!record.crash) return record.stacks;
  std::vector<std::string> lines;
  AddLines(record.crash->traceback, lines);
  for (std::size_t i = 0; i < record.crash->frames.size(); ++i) {
    lines.push_back("#" + std::to_string(i) + " " +
                    DescribeFrame(symbols_.Name(record.crash->frames[i])));
  }
  lines.insert(lines.end(), record.stacks.begin(), record.stacks.end());
  return lines;
}

}  // namespace forkserver::harness
