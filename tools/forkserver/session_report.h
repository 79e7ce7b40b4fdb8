// What `forkserver doctor` says of this session: the daemon, its zygotes, and
// what of the environment bears on them.
#pragma once

#include <forkserver/types.h>

#include <optional>
#include <string>
#include <vector>

#include "tools/forkserver/options.h"

namespace forkserver::cli {

struct SessionReport {
  AuditVerdict verdict = AuditVerdict::kSafe;  // the worst of all below
  std::string version;                         // of this command
  std::string socket;
  std::string runtime_folder;  // that of the socket
  std::string folder_state;    // "0700, yours", or what is wrong with it
  std::optional<DaemonStatus> daemon;
  std::optional<Audit> daemon_audit;
  std::string daemon_error;  // why it cannot be asked, though one is there
  std::vector<ZygoteInfo> zygotes;
  std::vector<std::string> limits;        // "nofile 1024 (hard 1048576)"
  std::vector<AuditFinding> environment;  // work-arounds
  std::vector<std::string> problems;      // that somebody should mend

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("verdict", self.verdict);
    visit.Required("version", self.version);
    visit.Required("socket", self.socket);
    visit.Required("runtime_folder", self.runtime_folder);
    visit.Required("folder_state", self.folder_state);
    visit.Required("daemon", self.daemon);
    visit.Required("daemon_audit", self.daemon_audit);
    visit.Required("daemon_error", self.daemon_error);
    visit.Required("zygotes", self.zygotes);
    visit.Required("limits", self.limits);
    visit.Required("environment", self.environment);
    visit.Required("problems", self.problems);
  }
};

// Asks the daemon, if one runs; starts none. Blocks as Client::Connect does.
SessionReport ExamineSession(const Options& options);

std::string ToText(const SessionReport& report);

}  // namespace forkserver::cli
