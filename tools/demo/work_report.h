// What a worker of the demo tells the one who asked, as one line of text.
#pragma once

#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <string>

namespace forkserver::demo {

// CLOCK_MONOTONIC is one clock for all processes of the machine.
inline std::int64_t MonotonicNs() {
  timespec now = {};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * std::int64_t{1'000'000'000} + now.tv_nsec;
}

struct WorkReport {
  std::int64_t first_instruction_ns = 0;
  std::int64_t answer = 0;
};

inline std::string FormatReport(const WorkReport& report) {
  return std::to_string(report.first_instruction_ns) + " " +
         std::to_string(report.answer) + "\n";
}

// False if the text is not a report.
inline bool ParseReport(const std::string& text, WorkReport& report) {
  return std::sscanf(text.c_str(), "%" SCNd64 " %" SCNd64,
                     &report.first_instruction_ns, &report.answer) == 2;
}

}  // namespace forkserver::demo
