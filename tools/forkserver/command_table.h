// The commands: what they are called, what they take, what they do.
#pragma once

#include <span>
#include <string_view>

#include "tools/forkserver/options.h"

namespace forkserver::cli {

// Sets of options and arguments, declared in command_line.cc.
enum OptionSet : unsigned {
  kJsonOption = 1u << 0,
  kProcessOptions = 1u << 1,
  kWorkerOptions = 1u << 2,
  kForkOptions = 1u << 3,
  kZygoteOptions = 1u << 4,
  kZygoteName = 1u << 5,
  kWorkerId = 1u << 6,
  kWaitOptions = 1u << 7,
  kKillOptions = 1u << 8,
  kStopOptions = 1u << 9,
  kDaemonOptions = 1u << 10,
  // Words after `--`; kCommand must have some, and `--` may be left out.
  kWords = 1u << 11,
  kCommand = 1u << 12,
  kDoctorOptions = 1u << 13,
  kGuardOptions = 1u << 14,
  // Not for people: no help lists it.
  kHidden = 1u << 15,
  kTestOptions = 1u << 16,
  kPsOptions = 1u << 17,
  kServiceName = 1u << 18,
  kServiceOptions = 1u << 19,
  kNoWait = 1u << 20,
  kMaybeServiceName = 1u << 21,
  kLogOptions = 1u << 22,
  kShell = 1u << 23,
  // Its words are a command line that is being typed.
  kCompletes = 1u << 24,
  kLoginOptions = 1u << 25,
  kServiceNames = 1u << 26,
  kProjectFile = 1u << 27,
  kDryRun = 1u << 28,
  kTopOptions = 1u << 29,
  // It is told all that there is.
  kTellsAll = 1u << 30,
};

struct Command {
  // "zygote start": a command of the group "zygote".
  std::string_view name;
  std::string_view synopsis;  // after the name
  std::string_view description;
  std::string_view notes;  // an example, and exit codes where they matter
  unsigned options = 0;
  int usage_exit_code = 0;
  int (*run)(const Options&) = nullptr;
};

std::span<const Command> Commands();

// "zygote" and "daemon".
struct CommandGroup {
  std::string_view name;
  std::string_view description;
};
std::span<const CommandGroup> CommandGroups();

}  // namespace forkserver::cli
