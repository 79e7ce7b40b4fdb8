#include "tools/forkserver/session_report.h"

#include <forkserver/client.h>
#include <forkserver/version.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "sdk/process/audit/audit.h"
#include "sdk/process/platform.h"
#include "tools/forkserver/audit_report.h"
#include "tools/forkserver/connect.h"
#include "tools/forkserver/version_skew.h"

extern char** environ;

namespace forkserver::cli {
namespace {

void Worsen(AuditVerdict& verdict, AuditVerdict other) {
  if (other == AuditVerdict::kUnsafe || verdict == AuditVerdict::kSafe) {
    verdict = other;
  }
}

void ExamineFolder(SessionReport& report) {
  const std::size_t slash = report.socket.rfind('/');
  report.runtime_folder = report.socket.substr(0, slash);
  struct stat status = {};
  if (::stat(report.runtime_folder.c_str(), &status) != 0) {
    report.folder_state = errno == ENOENT ? "not there yet: the daemon makes it"
                                          : std::strerror(errno);
    return;
  }
  char mode[8];
  std::snprintf(mode, sizeof(mode), "%04o",
                static_cast<unsigned>(status.st_mode & 07777));
  const bool ours = status.st_uid == ::geteuid();
  report.folder_state =
      std::string(mode) +
      (ours ? ", yours" : ", of user " + std::to_string(status.st_uid));
  if (!ours || (status.st_mode & 077) != 0) {
    report.problems.push_back("the folder " + report.runtime_folder + " is " +
                              report.folder_state +
                              ": it must be yours alone (chmod 0700)");
  }
}

void ExamineDaemon(const Options& options, SessionReport& report) {
  Result<Client> client = ConnectSilently(options);
  if (!client) {
    if (IsAbsent(client.error())) return;
    report.daemon_error = client.error().ToString();
    report.problems.push_back("the daemon cannot be asked: " +
                              report.daemon_error);
    Worsen(report.verdict, AuditVerdict::kUnknown);
    return;
  }
  Result<DaemonStatus> status = client->Status();
  Result<Snapshot> snapshot = client->List();
  if (!status || !snapshot) {
    report.daemon_error =
        (status ? snapshot.error() : status.error()).ToString();
    Worsen(report.verdict, AuditVerdict::kUnknown);
    return;
  }
  report.daemon = *status;
  report.zygotes = std::move(snapshot->zygotes);
  auto audit = audit::AuditDaemon(static_cast<pid_t>(status->pid));
  if (audit) {
    Worsen(report.verdict, audit->verdict);
    report.daemon_audit = std::move(*audit);
  } else {
    report.problems.push_back(audit.error().ToString());
    Worsen(report.verdict, AuditVerdict::kUnknown);
  }
  const std::string skew = DescribeVersionSkew(status->version);
  if (!skew.empty()) report.problems.push_back(skew);
  for (const ZygoteInfo& zygote : report.zygotes) {
    if (zygote.audit) Worsen(report.verdict, zygote.audit->verdict);
    if (!zygote.quarantine.empty()) {
      report.problems.push_back("zygote '" + zygote.name +
                                "' is quarantined: " + zygote.quarantine);
    }
  }
}

void ExamineLimits(SessionReport& report) {
  const auto limits = ReadLimits(::getpid());
  if (!limits) return;
  const auto text = [](std::int64_t value) {
    return value < 0 ? std::string("unlimited") : std::to_string(value);
  };
  for (const char* const name : {"nofile", "nproc", "core", "stack", "as"}) {
    const auto found = limits->find(name);
    if (found == limits->end()) continue;
    report.limits.push_back(std::string(name) + " " + text(found->second.soft) +
                            " (hard " + text(found->second.hard) + ")");
  }
}

std::string NameOfZygote(const ZygoteInfo& zygote) {
  return "zygote '" + zygote.name + "' (pid " + std::to_string(zygote.pid) +
         ", " + std::string(NameOf(zygote.state)) + ")";
}

}  // namespace

SessionReport ExamineSession(const Options& options) {
  SessionReport report;
  report.version = kVersion;
  report.socket = SocketPath(options);
  ExamineFolder(report);
  ExamineDaemon(options, report);
  ExamineLimits(report);
  audit::ProcessFacts facts;
  for (char** each = environ; *each != nullptr; ++each) {
    facts.environment.emplace_back(*each);
  }
  report.environment = audit::Judge(facts, {}).notes;
  return report;
}

std::string ToText(const SessionReport& report) {
  std::string text = "forkserver   " + report.version + "\n";
  text += "socket       " + report.socket + "\n";
  text += "folder       " + report.runtime_folder + " (" + report.folder_state +
          ")\n";
  if (report.daemon) {
    text += "daemon       pid " + std::to_string(report.daemon->pid) +
            ", version " + report.daemon->version + ", " +
            std::to_string(report.daemon->threads) + " thread, " +
            std::to_string(report.daemon->workers) + " workers, " +
            std::to_string(report.daemon->open_fds) + " open files\n";
  } else if (report.daemon_error.empty()) {
    text += "daemon       none runs; the first request starts one\n";
  } else {
    text += "daemon       " + report.daemon_error + "\n";
  }
  if (report.daemon_audit) {
    text += Report("the daemon", *report.daemon_audit, "  ") + "\n";
  }
  if (report.zygotes.empty()) text += "zygotes      none\n";
  for (const ZygoteInfo& zygote : report.zygotes) {
    if (zygote.audit) {
      text += Report(NameOfZygote(zygote), *zygote.audit) + "\n";
    } else {
      text += NameOfZygote(zygote) + " has not been audited yet\n";
    }
  }
  text += "limits       ";
  for (std::size_t i = 0; i < report.limits.size(); ++i) {
    text += (i == 0 ? "" : ", ") + report.limits[i];
  }
  text += "\n";
  for (const AuditFinding& variable : report.environment) {
    text += "environment  " + variable.what + ": " + variable.why + "; " +
            variable.advice + "\n";
  }
  for (const std::string& problem : report.problems) {
    text += "to mend      " + problem + "\n";
  }
  text += "verdict      " + std::string(NameOf(report.verdict));
  return text;
}

}  // namespace forkserver::cli
