// A client of forkserverd: ask for worker processes, look after them.
//
//   #include <forkserver/client.h>
//   #include <cstdio>
//
//   int main() {
//     auto client = forkserver::Client::Connect();
//     if (!client) {
//       std::fprintf(stderr, "%s\n", client.error().ToString().c_str());
//       return 1;
//     }
//     forkserver::SpawnOptions options;
//     options.argv = {"/bin/sh", "-c", "echo from a worker; exit 3"};
//     auto worker = client->Spawn(options);
//     if (!worker) return 1;
//     auto record = client->Wait(worker->id);
//     return record && record->code == 3 ? 0 : 1;
//   }
//
// Public header: standard library only, C++17 or later.
//
// A Client owns one connection. It is movable, not copyable, and not
// thread-safe: use one per thread, or a lock of your own. It starts no thread.
// When it is destroyed, its connection ends, and with it every worker that it
// asked for and did not detach.
//
// Calls block until the daemon has answered, unless their name ends in Async.
// Errors are values; a call that failed disturbed nothing else, except
// "connection_lost", after which every call fails the same way.
//
// After a fork of the calling process the child's copy is unusable: its
// descriptor is closed at the fork and every call fails with
// "use_after_fork". The parent is not affected. Connect again in the child.
#pragma once

#include <forkserver/result.h>
#include <forkserver/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace forkserver {

struct ConnectOptions {
  // The daemon's socket. Empty: see DefaultSocketPath().
  std::string socket_path;
  // Start a daemon when none serves the socket. Never makes a second one.
  bool start_daemon = true;
  // The forkserverd to start. Empty: the folder FORKSERVER_BIN, then PATH,
  // then the folder of this program, then ~/.local/bin.
  std::string daemon_program;
  // One that is started ends when it had nothing to do, and no client, for so
  // long. 0: never.
  std::chrono::milliseconds daemon_idle_exit{600'000};
  // Niceness, CPUs and the like of this process are those of a daemon that is
  // started, and so of its workers. For one that nobody else is to use.
  bool daemon_keeps_surroundings = false;
  // How long to wait for a daemon that is being started.
  std::chrono::milliseconds start_timeout{10'000};
  // Named in the daemon's log.
  std::string client_name = "c++";
};

// What a new process is to be. What is not given is the caller's own at the
// time of the call: its environment, working directory, umask and limits.
struct ProcessOptions {
  // Complete: it replaces the worker's environment. "NAME=value".
  std::optional<std::vector<std::string>> env;
  // Absolute, or relative to the caller's.
  std::optional<std::string> cwd;
  std::optional<int> umask;
  // On top of the caller's own: {"nofile", {1024, 4096}}; -1 is unlimited.
  ResourceLimits limits;
  // Absent: the daemon's, and for forked workers the zygote's.
  std::optional<int> nice;
  // The same for each of these. Linux only: elsewhere "unsupported".
  std::vector<int> cpus;  // it runs on exactly these; empty: absent
  std::optional<IoPriority> io_priority;
  std::optional<int> oom_score_adj;  // -1000 to 1000
  // It never gains rights by executing a program. Cannot be taken back.
  bool no_new_privs = false;
  GroupKind group = GroupKind::kProcessGroup;
  // {child_fd, fd}: the worker gets a copy of `fd` as `child_fd`. Borrowed
  // until the call returns. 0, 1 and 2 that are not named are the caller's
  // own; see `null_streams`. At most 253, with the streams.
  std::map<int, int> fds;
  // Streams that `fds` does not name are /dev/null, not the caller's.
  bool null_streams = false;
};

struct WorkerOptions : ProcessOptions {
  std::string name;  // for people; need not be unique
  // Wall clock; zero: none. When it runs out the worker is stopped.
  std::chrono::milliseconds timeout{0};
  // What asks it to stop, by its number, and how long until it is killed.
  int stop_signal = 15;
  std::chrono::milliseconds grace{5'000};
  // It outlives this client.
  bool detach = false;
  // Its exit record is to say more if it crashes or fails: the end of its
  // standard error and, of an exec worker, where it was. Not with `detach`.
  bool crash_report = false;
  // Its exit record is to name the processes that it leaves behind in its
  // process group, which are killed. Not with `detach`.
  bool report_leftovers = false;
  // Of it and all that descends from it.
  CgroupLimits cgroup;
};

struct SpawnOptions : WorkerOptions {
  // argv[0] is looked up in the PATH of `env` when it has no slash.
  std::vector<std::string> argv;
};

struct ForkOptions : WorkerOptions {
  std::string zygote;             // its name
  std::string entry;              // one that the zygote offers
  std::string args;               // bytes for the entry
  std::vector<std::string> argv;  // for WorkerContext::argv
};

struct ZygoteOptions : ProcessOptions {
  std::string name;
  std::vector<std::string> argv;     // the program; empty with `parent`
  std::string parent;                // fork it from this zygote
  std::vector<std::string> preload;  // preload steps, in order
  std::vector<std::string> freeze;   // further frozen variables, "FOO_*"
  bool keep = false;                 // outlives this client
  bool replace = false;  // retire one of the same name and another identity
  // What becomes of it where it is not known to be safe to fork.
  AuditPolicy audit_policy = AuditPolicy::kRefuse;
  // How long a worker of it may take to reach its entry; then it is killed,
  // and its exit record has the reason "fork_deadlock".
  std::chrono::milliseconds entry_deadline{10'000};
  // How long it may take to end, once it is retired and nothing lives off it;
  // then it is killed.
  std::chrono::milliseconds grace{5'000};
  // Spares: workers that it forks in advance, at least so many and at most so
  // many. A request that meets one costs no fork. 0 and 0: none.
  int spares_min = 0;
  int spares_max = 0;
  // The file of the project that it belongs to, or empty. Then everything here
  // is part of its identity, and one of another project is never joined.
  std::string project;
  ZygoteOptions() { null_streams = true; }
};

// A service: its output goes to its log, its input is /dev/null.
struct ServiceOptions : ProcessOptions {
  std::string name;  // of the letters a-z, A-Z, 0-9 and _-.@:, up to 64
  // Its command; with `zygote` instead the argv of the forked worker.
  std::vector<std::string> argv;
  std::string zygote;
  std::string entry;  // of the zygote's
  std::string args;   // bytes for the entry
  ServicePolicy policy;
  // One of the same name that is made of something else is replaced.
  bool replace = false;
  // Do not wait until it is ready.
  bool no_wait = false;
  // The file of the project that it belongs to, or empty. One that belongs to
  // another project, or to none, is not touched: "service_conflict".
  std::string project;
  ServiceOptions() { null_streams = true; }
};

// A worker that runs. A plain value: it owns nothing.
using Worker = WorkerInfo;

struct CallResult {
  std::string result;  // what the entry passed to SetResult
  ExitRecord exit;
};

// The socket of the daemon of this user session: FORKSERVER_SOCKET,
// $XDG_RUNTIME_DIR/forkserver/default.sock, /run/user/UID/forkserver/... if it
// is ours, the user's temporary folder on macOS, /tmp/forkserver-UID/.
std::string DefaultSocketPath();

class Client {
 public:
  // Connects, and starts a daemon if there is none. With FORKSERVER_DISABLE=1
  // in the environment it does neither: Spawn then launches exec workers
  // directly from this process, and what needs a daemon fails with "disabled".
  static Result<Client> Connect(const ConnectOptions& options = {});

  Client(Client&&) noexcept;
  Client& operator=(Client&&) noexcept;
  ~Client();

  // An exec worker. Returns when its program runs: a program that cannot be
  // executed is an error "launch_failed" with `step` and `error_number`.
  Result<Worker> Spawn(const SpawnOptions& options);

  // Spawn and Wait in one request with one answer, which is the fastest way
  // when only the end matters.
  Result<ExitRecord> Run(const SpawnOptions& options);

  // Starts a zygote or joins the one of that name and identity; returns when
  // it is ready. Errors: "zygote_conflict", "zygote_failed", "zygote_unsafe".
  Result<ZygoteInfo> StartZygote(const ZygoteOptions& options);
  // In what the one of that name differs from what StartZygote with these
  // options would make, or empty. Changes nothing. Error "unknown_zygote".
  Result<std::string> CompareZygote(const ZygoteOptions& options);
  // Retires it: no new forks; its workers go on.
  Result<void> StopZygote(const std::string& name);

  // A worker forked from a zygote. Returns when its entry begins, or when it
  // was ended before that (by its timeout, say): its record tells.
  Result<Worker> Fork(const ForkOptions& options);

  // Fork and Wait in one request with one answer.
  Result<ExitRecord> Run(const ForkOptions& options);

  // A forked worker that is waited for, with the bytes of its result. An
  // entry that fails is not an error of the call: look at `exit`.
  Result<CallResult> Call(const ForkOptions& options);

  // The exit record of any worker of this session. Blocks until it has ended,
  // or fails with "timeout". Workers of this client: each record is kept
  // until it has been returned once by Wait or Stop. Others: "unknown_worker",
  // "record_expired".
  Result<ExitRecord> Wait(
      const std::string& worker_id,
      std::optional<std::chrono::milliseconds> timeout = std::nullopt);

  // To the process, or to its whole process group.
  Result<void> Signal(const std::string& worker_id, int signal,
                      bool group = false);

  // The stop signal to it and all that descends from it, grace, KILL; returns
  // when nothing of that is left.
  Result<ExitRecord> Stop(
      const std::string& worker_id,
      std::optional<std::chrono::milliseconds> grace = std::nullopt);

  // Makes a service and starts it; one that runs and is made of the same is
  // left alone. Returns when it is ready or has finished, or with `no_wait` at
  // once. Errors: "service_conflict", "service_failed" (it has failed, with why
  // and what its policy says of that), "service_stopped" (by somebody else),
  // "unknown_service" (one that it is to be after).
  Result<ServiceInfo> StartService(const ServiceOptions& options);
  // Starts one that is known, as it is known.
  Result<ServiceInfo> StartService(const std::string& name,
                                   bool no_wait = false);
  // Stops it; returns when nothing of it is left. While another call waits for
  // that, it kills what is left. With `remove` it is forgotten then.
  Result<ServiceInfo> StopService(
      const std::string& name,
      std::optional<std::chrono::milliseconds> grace = std::nullopt,
      bool remove = false);
  // Stops it and starts it again; returns as StartService does.
  Result<ServiceInfo> RestartService(const std::string& name,
                                     bool no_wait = false);
  // As CompareZygote: "its command and its environment (PORT)".
  Result<std::string> CompareService(const ServiceOptions& options);

  Result<Snapshot> List();
  Result<DaemonStatus> Status();
  // Asks the daemon to stop in order; returns at once.
  Result<void> Shutdown();
  // Replaces the running daemon by `program`, or if that is empty by the file
  // that it was started from, as it is now. The process stays, and with it
  // workers, zygotes, services, connections and exit records. A relative path
  // is one from the caller's working directory. Blocks until the new one has
  // answered, or some 10 s if it does not; others are served meanwhile.
  //
  //   auto upgrade = client.Upgrade("/usr/local/bin/forkserverd");
  //   if (upgrade) std::puts(upgrade->version.c_str());
  //
  // Errors: "upgrade_failed" (the message says why; the old one goes on and
  // has lost nothing), "daemon_stopping", "unknown_request" (the daemon is too
  // old for it), and "connection_lost" if the new one died after it had taken
  // over.
  Result<DaemonUpgrade> Upgrade(const std::string& program = "");
  // The daemon's, "0.1.0", when this client connected to it or last upgraded
  // it; others may have upgraded it since (see Status). Empty when disabled.
  std::string daemon_version() const;

  // Returns what is alive now; `on_event` is called from Process() for every
  // change after it.
  Result<Snapshot> Subscribe(std::function<void(const Event&)> on_event);

  // --- in an event loop of your own ---
  //
  // Poll descriptor() for reading and call Process() when it is readable:
  // it never blocks and calls the callbacks of what has arrived. While a
  // blocking call waits, callbacks of other things are called from it too.
  // A callback may call Async functions, but no blocking ones.

  // Owned by the client; -1 when disabled.
  int descriptor() const;
  Result<void> Process();

  // As Spawn, Fork, StartZygote and so on, answered by a callback. Several may
  // be under way.
  // The request is sent when the call returns. May block while the daemon
  // does not read. A failure to send is answered by the callback as well.
  // Callbacks, of this call and of others, may run before it returns.
  void SpawnAsync(const SpawnOptions& options,
                  std::function<void(Result<Worker>)> done);
  void ForkAsync(const ForkOptions& options,
                 std::function<void(Result<Worker>)> done);
  void StartZygoteAsync(const ZygoteOptions& options,
                        std::function<void(Result<ZygoteInfo>)> done);
  void StopZygoteAsync(const std::string& name,
                       std::function<void(Result<void>)> done);
  void StartServiceAsync(const ServiceOptions& options,
                         std::function<void(Result<ServiceInfo>)> done);
  void StopServiceAsync(const std::string& name,
                        std::optional<std::chrono::milliseconds> grace,
                        bool remove,
                        std::function<void(Result<ServiceInfo>)> done);
  // Calls `done` once, with the exit record of a worker of this client, which
  // may have ended already; then perhaps before OnExit returns. It does not
  // use the record up: Wait and Stop return it as well. (Of those that only
  // OnExit was told of, the last 1,024 are kept.)
  void OnExit(const std::string& worker_id,
              std::function<void(Result<ExitRecord>)> done);

 private:
  class Impl;
  explicit Client(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace forkserver
