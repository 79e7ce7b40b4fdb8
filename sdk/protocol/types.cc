#include <forkserver/types.h>

namespace forkserver {

std::string_view NameOf(WorkerKind kind) {
  switch (kind) {
    case WorkerKind::kExec:
      return "exec";
    case WorkerKind::kForked:
      return "forked";
    case WorkerKind::kSpare:
      return "spare";
  }
  return "";
}

std::string_view NameOf(WorkerState state) {
  switch (state) {
    case WorkerState::kLaunching:
      return "launching";
    case WorkerState::kRunning:
      return "running";
    case WorkerState::kStopping:
      return "stopping";
    case WorkerState::kEnded:
      return "ended";
  }
  return "";
}

std::string_view NameOf(EndReason reason) {
  switch (reason) {
    case EndReason::kExited:
      return "exited";
    case EndReason::kSignaled:
      return "signaled";
    case EndReason::kTimeout:
      return "timeout";
    case EndReason::kStopped:
      return "stopped";
    case EndReason::kClientGone:
      return "client_gone";
    case EndReason::kZygoteDied:
      return "zygote_died";
    case EndReason::kForkDeadlock:
      return "fork_deadlock";
    case EndReason::kDaemonStopping:
      return "daemon_stopping";
    case EndReason::kLost:
      return "lost";
  }
  return "";
}

std::string_view NameOf(ZygoteState state) {
  switch (state) {
    case ZygoteState::kStarting:
      return "starting";
    case ZygoteState::kReady:
      return "ready";
    case ZygoteState::kRetiring:
      return "retiring";
    case ZygoteState::kQuarantined:
      return "quarantined";
  }
  return "";
}

std::string_view NameOf(GroupKind group) {
  switch (group) {
    case GroupKind::kProcessGroup:
      return "process_group";
    case GroupKind::kSession:
      return "session";
  }
  return "";
}

std::string_view NameOf(AuditVerdict verdict) {
  switch (verdict) {
    case AuditVerdict::kSafe:
      return "safe";
    case AuditVerdict::kUnsafe:
      return "unsafe";
    case AuditVerdict::kUnknown:
      return "unknown";
  }
  return "";
}

std::string_view NameOf(AuditPolicy policy) {
  switch (policy) {
    case AuditPolicy::kRefuse:
      return "refuse";
    case AuditPolicy::kWarn:
      return "warn";
    case AuditPolicy::kAllow:
      return "allow";
  }
  return "";
}

}  // namespace forkserver
