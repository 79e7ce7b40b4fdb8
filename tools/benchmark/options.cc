#include "tools/benchmark/options.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace forkserver::benchmark {
namespace {

void PrintUsage(std::FILE* stream) {
  std::fputs(
      "usage: benchmark [--quick] [--json FILE] [--html FILE]\n"
      "                 [--compare OLD.json] [--case NAME]... [--list]\n"
      "                 [--patience SECONDS]\n"
      "       benchmark --from FILE [--html FILE] [--compare OLD.json]\n"
      "\n"
      "Measures forkserverd against the bare ways of making a process, and\n"
      "against others, in turn. It starts daemons of its own and stops them.\n"
      "\n"
      "  --quick      few rounds: to see that it works, not to compare\n"
      "  --json FILE  writes the figures there too\n"
      "  --html FILE  draws them, as a page that needs nothing else\n"
      "  --compare OLD.json\n"
      "               says what has changed since --json wrote that, and what\n"
      "               of it is beyond the noise\n"
      "  --from FILE  measures nothing: has the figures that --json wrote\n"
      "  --case NAME  only this case; may be repeated\n"
      "  --list       prints the names of the cases\n"
      "  --patience SECONDS\n"
      "               how long a measurement (a case has one or two) may be\n"
      "               put off in all while other processes run (5)\n",
      stream);
}

}  // namespace

bool Options::Wants(const std::string& name) const {
  return cases.empty() ||
         std::find(cases.begin(), cases.end(), name) != cases.end();
}

bool Parse(int argc, char** argv, const std::vector<std::string>& cases,
           Options& options) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    const auto take = [&](std::string& value) {
      if (i + 1 < argc) {
        value = argv[++i];
        return true;
      }
      std::fprintf(stderr, "benchmark: %s needs a value\n", argv[i]);
      return false;
    };
    std::string text;
    if (word == "--quick") {
      options.quick = true;
    } else if (word == "--list") {
      options.list = true;
    } else if (word == "--help" || word == "-h") {
      PrintUsage(stdout);
      std::exit(0);
    } else if (word == "--json") {
      if (!take(options.json)) return false;
    } else if (word == "--html") {
      if (!take(options.html)) return false;
    } else if (word == "--compare") {
      if (!take(options.compare)) return false;
    } else if (word == "--from") {
      if (!take(options.from)) return false;
    } else if (word == "--patience") {
      if (!take(text)) return false;
      options.patience = std::chrono::seconds(std::atoi(text.c_str()));
    } else if (word == "--case") {
      if (!take(text)) return false;
      if (std::find(cases.begin(), cases.end(), text) == cases.end()) {
        std::fprintf(stderr, "benchmark: there is no case '%s'; see --list\n",
                     text.c_str());
        return false;
      }
      options.cases.push_back(text);
    } else {
      std::fprintf(stderr, "benchmark: unknown argument %s\n", argv[i]);
      PrintUsage(stderr);
      return false;
    }
  }
  if (!options.from.empty() &&
      (options.quick || !options.json.empty() || !options.cases.empty())) {
    std::fputs(
        "benchmark: --from measures nothing: --quick, --json and --case are "
        "not for it\n",
        stderr);
    return false;
  }
  return true;
}

}  // namespace forkserver::benchmark
