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
    case GroupKind::kTerminal:
      return "terminal";
  }
  return "";
}

std::string_view NameOf(IoClass io_class) {
  switch (io_class) {
    case IoClass::kRealtime:
      return "realtime";
    case IoClass::kBestEffort:
      return "best_effort";
    case IoClass::kIdle:
      return "idle";
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

std::string_view NameOf(RestartPolicy policy) {
  switch (policy) {
    case RestartPolicy::kNo:
      return "no";
    case RestartPolicy::kOnFailure:
      return "on-failure";
    case RestartPolicy::kAlways:
      return "always";
  }
  return "";
}

std::string_view NameOf(ReadyKind kind) {
  switch (kind) {
    case ReadyKind::kNone:
      return "none";
    case ReadyKind::kFd:
      return "fd";
    case ReadyKind::kLine:
      return "line";
    case ReadyKind::kExec:
      return "exec";
    case ReadyKind::kNotify:
      return "notify";
  }
  return "";
}

std::string_view NameOf(ServiceState state) {
  switch (state) {
    case ServiceState::kStopped:
      return "stopped";
    case ServiceState::kWaiting:
      return "waiting";
    case ServiceState::kStarting:
      return "starting";
    case ServiceState::kRunning:
      return "running";
    case ServiceState::kStopping:
      return "stopping";
    case ServiceState::kRestarting:
      return "restarting";
    case ServiceState::kFailing:
      return "failing";
    case ServiceState::kBackoff:
      return "backoff";
    case ServiceState::kFinished:
      return "finished";
    case ServiceState::kFailed:
      return "failed";
  }
  return "";
}

}  // namespace forkserver
