// The exit codes of `forkserver`. docs/command_line.md has the same table.
//
// `run`, `fork` and `wait` also exit with the worker's own code, or with
// kSignalBase + n when signal n ended it.
#pragma once

namespace forkserver::cli {

inline constexpr int kOk = 0;
// `daemon status`: none runs. `daemon start`: one already serves the socket
// (this one is forkserverd's own exit code).
inline constexpr int kNoDaemon = 1;
// `doctor`: it is not safe to fork; nobody can say.
inline constexpr int kUnsafe = 1;
inline constexpr int kUnknown = 2;
// `check`: something is wrong in the file. `up`, `down`, `reload`, `restart`
// of a project: not everything is as it is to be.
inline constexpr int kNotAll = 1;
// A usage error (of `up` and its like: or a bad project file), except of `run`,
// `fork` and `doctor`, which report it as kFailed: 2 has a meaning there.
inline constexpr int kUsage = 2;
// The worker's reason is "timeout".
inline constexpr int kWorkerTimeout = 124;
// forkserver itself failed: no daemon, a refused request, a lost connection.
inline constexpr int kFailed = 125;
inline constexpr int kNotExecutable = 126;
inline constexpr int kNotFound = 127;
inline constexpr int kSignalBase = 128;

}  // namespace forkserver::cli
