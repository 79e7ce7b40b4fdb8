#include "sdk/cpp/run_by_hand.h"

#include <cstdio>
#include <iostream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sdk/cpp/worker_runner.h"
#include "sdk/cpp/zygote_startup.h"

namespace forkserver {
namespace {

constexpr int kUsageExitCode = 2;

struct CommandLine {
  bool list = false;
  bool help = false;
  std::vector<std::string> preloads;
  std::string entry;
  std::string args;
  std::vector<std::string> argv;
  std::string error;  // what is wrong with it
};

CommandLine Parse(int argc, char** argv) {
  CommandLine line;
  bool has_entry = false;
  for (int i = 1; i < argc; ++i) {
    const std::string_view word = argv[i];
    if (word == "--") {
      line.argv.assign(argv + i + 1, argv + argc);
      break;
    }
    if (word == "--list") {
      line.list = true;
    } else if (word == "--help" || word == "-h") {
      line.help = true;
    } else if (word == "--args" || word == "--preload") {
      if (++i == argc) {
        line.error = std::string(word) + " needs a value";
        return line;
      }
      if (word == "--args") {
        line.args = argv[i];
      } else {
        line.preloads.push_back(argv[i]);
      }
    } else if (!word.empty() && word.front() == '-') {
      line.error = "unknown option " + std::string(word);
      return line;
    } else if (has_entry) {
      line.error = "more than one entry: " + std::string(word);
      return line;
    } else {
      line.entry = word;
      has_entry = true;
    }
  }
  return line;
}

void PrintUsage(std::FILE* stream, const char* program,
                const ZygoteRegistry& registry) {
  std::fprintf(
      stream,
      "usage: %s [--preload NAME]... ENTRY [--args STRING] [-- ARGV...]\n"
      "       %s --list\n"
      "\n"
      "Runs one entry in this process and prints its result. As a zygote it "
      "is\n"
      "started by forkserverd: forkserver zygote start NAME -- %s\n"
      "\n"
      "entries: %s\n"
      "preload steps: %s\n",
      program, program, program, JoinKeys(registry.entries).c_str(),
      JoinKeys(registry.preloads).c_str());
}

}  // namespace

int RunByHand(int argc, char** argv, const ZygoteRegistry& registry) {
  const char* program = argc > 0 ? argv[0] : "program";
  CommandLine line = Parse(argc, argv);
  if (line.error.empty() && line.help) {
    PrintUsage(stdout, program, registry);
    return 0;
  }
  if (line.error.empty() && line.list) {
    for (const auto& [name, entry] : registry.entries) {
      std::printf("%s\n", name.c_str());
    }
    return 0;
  }
  const auto entry = registry.entries.find(line.entry);
  if (line.error.empty() && line.entry.empty()) line.error = "no entry given";
  if (line.error.empty() && entry == registry.entries.end()) {
    line.error = "there is no entry '" + line.entry + "'";
  }
  for (const std::string& name : line.preloads) {
    if (line.error.empty() && registry.preloads.count(name) == 0) {
      line.error = "there is no preload step '" + name + "'";
    }
  }
  if (!line.error.empty()) {
    std::fprintf(stderr, "%s: %s\n", program, line.error.c_str());
    PrintUsage(stderr, program, registry);
    return kUsageExitCode;
  }

  for (const std::string& name : line.preloads) {
    auto done = RunPreloadStep(name, registry.preloads.at(name));
    if (!done) {
      std::fprintf(stderr, "%s: %s\n", program,
                   done.error().ToString().c_str());
      return kSetupFailedExitCode;
    }
  }
  WorkerContext context = WorkerRunner::MakeContext(
      "by-hand", line.entry, std::move(line.args), std::move(line.argv));
  const int code = WorkerRunner::CallEntry(entry->second, context);
  std::cout.flush();
  if (const auto& result = WorkerRunner::ResultOf(context)) {
    std::fwrite(result->data(), 1, result->size(), stdout);
    std::fflush(stdout);
  }
  return code & 0xff;
}

}  // namespace forkserver
