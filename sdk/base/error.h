// What went wrong, as a value: a stable code, a sentence, and where it was.
//
// Public header: standard library only, C++17 or later.
#pragma once

#include <string>
#include <string_view>
#include <utility>

namespace forkserver {

// The stable codes. They are strings on the wire and in every SDK, so that a
// newer daemon may send one that an older client has no name for.
namespace error_code {
inline constexpr char kMalformed[] = "malformed";
inline constexpr char kFrameTooLarge[] = "frame_too_large";
inline constexpr char kBadRequest[] = "bad_request";
inline constexpr char kMissingKey[] = "missing_key";
inline constexpr char kUnknownRequest[] = "unknown_request";
inline constexpr char kHelloRequired[] = "hello_required";
inline constexpr char kVersionMismatch[] = "version_mismatch";
inline constexpr char kBadDescriptor[] = "bad_descriptor";
inline constexpr char kTooManyDescriptors[] = "too_many_descriptors";
inline constexpr char kDescriptorLimit[] = "descriptor_limit";
inline constexpr char kLaunchFailed[] = "launch_failed";
inline constexpr char kDaemonUnsafe[] = "daemon_unsafe";
inline constexpr char kUnknownWorker[] = "unknown_worker";
inline constexpr char kRecordExpired[] = "record_expired";
inline constexpr char kWorkerEnded[] = "worker_ended";
inline constexpr char kUnknownZygote[] = "unknown_zygote";
inline constexpr char kUnknownEntry[] = "unknown_entry";
inline constexpr char kUnknownPreload[] = "unknown_preload";
inline constexpr char kZygoteConflict[] = "zygote_conflict";
inline constexpr char kZygoteFailed[] = "zygote_failed";
inline constexpr char kZygoteUnsafe[] = "zygote_unsafe";
inline constexpr char kForkDeadlock[] = "fork_deadlock";
inline constexpr char kZygoteQuarantined[] = "zygote_quarantined";
inline constexpr char kZygoteRetired[] = "zygote_retired";
inline constexpr char kUnknownService[] = "unknown_service";
inline constexpr char kServiceConflict[] = "service_conflict";
inline constexpr char kServiceFailed[] = "service_failed";
inline constexpr char kServiceStopped[] = "service_stopped";
inline constexpr char kStaleEnvironment[] = "stale_environment";
inline constexpr char kPeerConfined[] = "peer_confined";
inline constexpr char kPeerRefused[] = "peer_refused";
inline constexpr char kDaemonStopping[] = "daemon_stopping";
inline constexpr char kUpgradeFailed[] = "upgrade_failed";
inline constexpr char kClientStalled[] = "client_stalled";
inline constexpr char kLimitReached[] = "limit_reached";
inline constexpr char kUnsupported[] = "unsupported";
// Of the SDK itself; never on the wire.
inline constexpr char kConnectFailed[] = "connect_failed";
inline constexpr char kConnectionLost[] = "connection_lost";
inline constexpr char kSocketPath[] = "socket_path";
inline constexpr char kTimeout[] = "timeout";
inline constexpr char kUseAfterFork[] = "use_after_fork";
inline constexpr char kDisabled[] = "disabled";
inline constexpr char kSystem[] = "system";
}  // namespace error_code

// One failure. `message` is a sentence for a person and names what was wrong;
// `hint` (may be empty) says what to do; `step` (may be empty) is the step of
// the request at which it happened, such as "execve"; `error_number` is the
// errno of that step, or 0.
struct Error {
  std::string code;
  std::string message;
  std::string step;
  int error_number = 0;
  std::string hint;

  // "message [code; step: strerror; hint]" on one line, for logs and terminals.
  std::string ToString() const;
};

// The error of a failed system call: "operation(args): strerror(errno)".
// `operation` is the text before the colon. Reads no errno itself.
Error SystemError(std::string operation, int error_number);

// An error without a system call behind it.
Error MakeError(std::string_view code, std::string message,
                std::string hint = {});

}  // namespace forkserver
