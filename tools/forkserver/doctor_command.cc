#include "tools/forkserver/doctor_command.h"

#include <forkserver/client.h>

#include "sdk/process/audit/audit.h"
#include "tools/forkserver/audit_report.h"
#include "tools/forkserver/connect.h"
#include "tools/forkserver/exit_codes.h"
#include "tools/forkserver/guard_command.h"
#include "tools/forkserver/json.h"
#include "tools/forkserver/output.h"
#include "tools/forkserver/session_report.h"

namespace forkserver::cli {
namespace {

int Print(const Options& options, const std::string& subject,
          Result<Audit> audit) {
  if (!audit) return Fail(audit.error());
  NameStarters(*audit);
  PrintLine(options.json ? ToJson(*audit) : Report(subject, *audit));
  return ExitCodeOf(audit->verdict);
}

}  // namespace

int RunDoctor(const Options& options) {
  if (!options.words.empty()) {
    if (!options.pid && !options.daemon) return RunDoctorOnCommand(options);
    PrintError(
        "a process or a command, not both; see `forkserver doctor "
        "--help`");
    return kFailed;
  }
  if (options.pid) {
    return Print(options, "process " + std::to_string(*options.pid),
                 audit::AuditProcess(*options.pid, {}));
  }
  if (options.daemon) {
    Result<Client> client = ConnectToRunning(options);
    if (!client) return Fail(client.error());
    Result<DaemonStatus> status = client->Status();
    if (!status) return Fail(status.error());
    return Print(options,
                 "forkserverd (pid " + std::to_string(status->pid) + ")",
                 audit::AuditDaemon(static_cast<pid_t>(status->pid)));
  }
  const SessionReport report = ExamineSession(options);
  PrintLine(options.json ? ToJson(report) : ToText(report));
  return ExitCodeOf(report.verdict);
}

}  // namespace forkserver::cli
