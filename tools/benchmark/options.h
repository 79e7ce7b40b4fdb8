// The words of the benchmark's command line.
#pragma once

#include <chrono>
#include <string>
#include <vector>

namespace forkserver::benchmark {

struct Options {
  std::string json;
  std::string html;
  std::string from;                // empty: measure
  std::string compare;             // the figures of before
  std::vector<std::string> cases;  // all when empty
  std::chrono::seconds patience{5};
  bool quick = false;
  bool list = false;

  bool Wants(const std::string& name) const;
};

// False: what is wrong has been said. --help is printed, and exits.
bool Parse(int argc, char** argv, const std::vector<std::string>& cases,
           Options& options);

}  // namespace forkserver::benchmark
