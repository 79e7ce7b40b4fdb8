// What there is to say of one fork that libforkguard watched: the audit of the
// process that forked, and who did what.
#pragma once

#include <forkserver/result.h>
#include <forkserver/types.h>

#include <cstdint>
#include <string>
#include <vector>

namespace forkserver::cli {

struct ThreadOrigin {
  std::int64_t id = 0;
  std::string name;
  std::string begins_with;         // a function
  std::vector<std::string> stack;  // that started it, innermost first

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("id", self.id);
    visit.Required("name", self.name);
    visit.Required("begins_with", self.begins_with);
    visit.Required("stack", self.stack);
  }
};

struct ForkReport {
  std::int64_t pid = 0;
  std::int64_t child = 0;  // 0: the fork was denied
  std::string program;
  AuditVerdict verdict = AuditVerdict::kSafe;
  Audit audit;
  std::vector<std::string> stack;  // that forked
  std::vector<ThreadOrigin> threads;
  std::vector<std::string> fork_handlers;  // functions
  std::vector<std::string> instead;        // what would have been safe
  std::string text;                        // all of it, for a person

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("pid", self.pid);
    visit.Required("child", self.child);
    visit.Required("program", self.program);
    visit.Required("verdict", self.verdict);
    visit.Required("audit", self.audit);
    visit.Required("stack", self.stack);
    visit.Required("threads", self.threads);
    visit.Required("fork_handlers", self.fork_handlers);
    visit.Required("instead", self.instead);
    visit.Required("text", self.text);
  }
};

// A program that was run for the sake of its forks.
struct CommandReport {
  std::vector<std::string> argv;
  int exit_code = 0;                           // 128 + N: signal N ended it
  AuditVerdict verdict = AuditVerdict::kSafe;  // the worst of its forks
  std::vector<ForkReport> forks;  // those that were not safe, one for a stack

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("argv", self.argv);
    visit.Required("exit_code", self.exit_code);
    visit.Required("verdict", self.verdict);
    visit.Required("forks", self.forks);
  }
};

// Reads the record (sdk/guard/fork_record.h) from `fd` and looks at the
// process now; blocks as the audit does. A child that has executed a program
// meanwhile makes the verdict safe.
Result<ForkReport> MakeForkReport(int fd);

}  // namespace forkserver::cli
