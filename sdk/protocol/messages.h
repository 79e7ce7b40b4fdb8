// The messages of the wire, once, for the daemon, the zygotes and every SDK.
// docs/protocol.md is the same in prose and is normative.
//
// Each message is a plain struct whose Visit() lists its keys in the order in
// which they are encoded. Required keys are always sent and their absence is
// an error. Optional keys are left out when they have their default value.
//
// Protocol 1: the first.
#pragma once

#include <forkserver/error.h>
#include <forkserver/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "sdk/protocol/service_messages.h"
#include "sdk/protocol/test_messages.h"

namespace forkserver::protocol {

inline constexpr std::int64_t kMinProtocol = 1;
inline constexpr std::int64_t kMaxProtocol = 1;

// A whole frame's payload. Linux refuses more than 2 MiB of argv and
// environment at the usual stack limit; twice that leaves room for arguments.
inline constexpr std::size_t kMaxFrameBytes = 4u << 20;
// What a client should be ready to read: a list of all workers is long.
inline constexpr std::size_t kMaxReplyBytes = 64u << 20;
inline constexpr std::size_t kMaxFds = 253;  // SCM_MAX_FD
inline constexpr std::size_t kMaxNesting = 32;
inline constexpr std::size_t kMaxArray = 65536;  // elements
inline constexpr std::size_t kMaxMap = 1024;     // keys
// What a zygote or a forked worker writes on the report pipe in one write(2),
// length included: POSIX promises atomicity up to 512 bytes.
inline constexpr std::size_t kMaxReportBytes = 512;
inline constexpr std::size_t kMaxNameBytes = 128;
inline constexpr std::int64_t kMaxSpares = 64;

// Descriptor `index` of the frame becomes descriptor `child_fd` of the worker.
// On the wire: [child_fd, index].
struct FdPlacement {
  std::int64_t child_fd = 0;
  std::int64_t index = 0;
};

// --- client to daemon -------------------------------------------------------

struct Hello {
  static constexpr char kType[] = "hello";
  std::int64_t min_protocol = kMinProtocol;
  std::int64_t max_protocol = kMaxProtocol;
  std::string client;  // for logs: "forkserver-cli 0.1.0"
  std::vector<std::string> capabilities;

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("min_protocol", self.min_protocol);
    visit.Required("max_protocol", self.max_protocol);
    visit.Optional("client", self.client);
    visit.Optional("capabilities", self.capabilities);
  }
};

struct HelloReply {
  static constexpr char kType[] = "hello_reply";
  std::int64_t protocol = 0;
  std::string version;
  std::string instance;
  std::int64_t pid = 0;
  std::vector<std::string> capabilities;

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("protocol", self.protocol);
    visit.Required("version", self.version);
    visit.Required("instance", self.instance);
    visit.Required("pid", self.pid);
    visit.Required("capabilities", self.capabilities);
  }
};

// What the new process is to be. Travels as a bin inside the requests and is
// decoded only by whoever applies it: the daemon for an exec worker, the
// zygote otherwise.
struct Setup {
  static constexpr char kType[] = "setup";
  std::vector<std::string> argv;  // required and not empty for exec workers
  std::vector<std::string> env;   // "NAME=value", complete: it replaces
  std::string cwd;                // absolute
  std::int64_t umask = 022;
  ResourceLimits limits;  // on top of the client's own
  // Absolute; absent: that of the process that forks it.
  std::optional<std::int64_t> nice;
  // The same for each of these. Linux only: elsewhere "unsupported".
  std::vector<std::int64_t> cpus;  // exactly these; empty: absent
  std::optional<IoPriority> io_priority;
  std::optional<std::int64_t> oom_score_adj;
  bool no_new_privs = false;
  GroupKind group = GroupKind::kProcessGroup;
  std::vector<FdPlacement> fds;  // 0, 1, 2 not named: /dev/null
  // Forked workers only.
  std::string entry;
  Bytes args;                          // handed to the entry as they are
  std::optional<std::int64_t> result;  // index of the descriptor for the result

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Optional("argv", self.argv);
    visit.Required("env", self.env);
    visit.Required("cwd", self.cwd);
    visit.Required("umask", self.umask);
    visit.Optional("limits", self.limits);
    visit.Optional("nice", self.nice);
    visit.Optional("cpus", self.cpus);
    visit.Optional("io_priority", self.io_priority);
    visit.Optional("oom_score_adj", self.oom_score_adj);
    visit.Optional("no_new_privs", self.no_new_privs);
    visit.Optional("group", self.group);
    visit.Optional("fds", self.fds);
    visit.Optional("entry", self.entry);
    visit.Optional("args", self.args);
    visit.Optional("result", self.result);
  }
};

// How the daemon is to look after the worker.
struct Policy {
  std::string name;
  std::int64_t timeout_ms = 0;   // wall clock; 0: none
  std::int64_t grace_ms = 5000;  // between TERM and KILL
  bool detach = false;           // outlives its client
  bool watch = false;  // an `exit` message follows the reply, with its id
  // No reply at the launch: the `exit` message, or an error, is the only
  // answer. Spares two processes a wake-up. Implies `watch`.
  bool exit_only = false;
  // The exit record is to say more of a crash. Not for detached workers.
  bool crash_report = false;
  // The exit record is to name what the worker leaves in its process group.
  // Not for detached workers.
  bool report_leftovers = false;
  std::int64_t stop_signal = 15;  // what asks it to stop
  CgroupLimits cgroup;

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Optional("name", self.name);
    visit.Optional("timeout_ms", self.timeout_ms);
    visit.Defaulted("grace_ms", self.grace_ms, std::int64_t{5000});
    visit.Optional("detach", self.detach);
    visit.Optional("watch", self.watch);
    visit.Optional("exit_only", self.exit_only);
    visit.Optional("crash_report", self.crash_report);
    visit.Optional("report_leftovers", self.report_leftovers);
    visit.Defaulted("stop_signal", self.stop_signal, std::int64_t{15});
    CgroupLimits::Visit(self.cgroup, visit);
  }
};

// An exec worker. Answered by WorkerReply once the program runs.
struct Spawn {
  static constexpr char kType[] = "spawn";
  Bytes setup;
  Policy policy;

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("setup", self.setup);
    Policy::Visit(self.policy, visit);
  }
};

// A forked worker. Answered by WorkerReply once its entry begins.
struct Fork {
  static constexpr char kType[] = "fork";
  std::string zygote;
  Bytes setup;
  Policy policy;

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("zygote", self.zygote);
    visit.Required("setup", self.setup);
    Policy::Visit(self.policy, visit);
  }
};

struct WorkerReply {
  static constexpr char kType[] = "worker_reply";
  WorkerInfo worker;

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("worker", self.worker);
  }
};

// Start a zygote, or join the one of that name. Answered by ZygoteReply once
// it is ready.
struct ZygoteStart {
  static constexpr char kType[] = "zygote_start";
  std::string name;
  Bytes setup;  // of the zygote's own process; argv empty with `parent`
  std::vector<std::string> preload;
  std::string parent;  // fork it from this zygote instead of exec
  std::string binary;  // the client's fingerprint of the program; any text
  std::vector<std::string> freeze;  // further patterns of frozen variables
  bool keep = false;
  bool replace = false;
  AuditPolicy audit_policy = AuditPolicy::kRefuse;
  // How long a worker may take to reach its entry.
  std::int64_t entry_deadline_ms = 10'000;
  // How long it may take to end when it is retired and nothing lives off it.
  std::int64_t grace_ms = 5000;
  // How many workers it forks in advance; 0 and 0: none.
  std::int64_t spares_min = 0;
  std::int64_t spares_max = 0;
  // Whose it is, as of ServiceStart. Then all of `setup` and of this request
  // is part of its identity.
  std::string project;
  // As of ServiceStart.
  bool compare = false;

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("name", self.name);
    visit.Required("setup", self.setup);
    visit.Optional("preload", self.preload);
    visit.Optional("parent", self.parent);
    visit.Optional("binary", self.binary);
    visit.Optional("freeze", self.freeze);
    visit.Optional("keep", self.keep);
    visit.Optional("replace", self.replace);
    visit.Optional("audit_policy", self.audit_policy);
    visit.Defaulted("entry_deadline_ms", self.entry_deadline_ms,
                    std::int64_t{10'000});
    visit.Defaulted("grace_ms", self.grace_ms, std::int64_t{5000});
    visit.Optional("spares_min", self.spares_min);
    visit.Optional("spares_max", self.spares_max);
    visit.Optional("project", self.project);
    visit.Optional("compare", self.compare);
  }
};

struct ZygoteReply {
  static constexpr char kType[] = "zygote_reply";
  ZygoteInfo zygote;
  // Of `compare`: "argv, environment (LD_PRELOAD)", or empty.
  std::string difference;

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("zygote", self.zygote);
    visit.Optional("difference", self.difference);
  }
};

// Retires a zygote. Answered by Done at once.
struct ZygoteStop {
  static constexpr char kType[] = "zygote_stop";
  std::string name;

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("name", self.name);
  }
};

// Answered by ExitReply when the worker has ended.
struct Wait {
  static constexpr char kType[] = "wait";
  std::string worker;

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("worker", self.worker);
  }
};

// Answered by Done. `group`: to its whole process group.
struct Signal {
  static constexpr char kType[] = "signal";
  std::string worker;
  std::int64_t signal = 0;
  bool group = false;

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("worker", self.worker);
    visit.Required("signal", self.signal);
    visit.Optional("group", self.group);
  }
};

// The stop signal to it and all that descends from it, grace, KILL. Answered by
// ExitReply when nothing of that is left.
struct Stop {
  static constexpr char kType[] = "stop";
  std::string worker;
  std::optional<std::int64_t> grace_ms;  // absent: the worker's own

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("worker", self.worker);
    visit.Optional("grace_ms", self.grace_ms);
  }
};

struct ExitReply {
  static constexpr char kType[] = "exit_reply";
  ExitRecord exit;

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("exit", self.exit);
  }
};

struct Done {
  static constexpr char kType[] = "done";
  template <typename Self, typename Visitor>
  static void Visit(Self&, Visitor&) {}
};

// Answered by Snapshot.
struct List {
  static constexpr char kType[] = "list";
  template <typename Self, typename Visitor>
  static void Visit(Self&, Visitor&) {}
};

// Answered by DaemonStatus.
struct Status {
  static constexpr char kType[] = "status";
  template <typename Self, typename Visitor>
  static void Visit(Self&, Visitor&) {}
};

// Answered by Snapshot; every change after it is an `event` with this id.
struct Subscribe {
  static constexpr char kType[] = "subscribe";
  template <typename Self, typename Visitor>
  static void Visit(Self&, Visitor&) {}
};

// Stops the daemon in order. Answered by Done at once.
struct Shutdown {
  static constexpr char kType[] = "shutdown";
  template <typename Self, typename Visitor>
  static void Visit(Self&, Visitor&) {}
};

// Replaces the running daemon by another binary, in the same process: workers,
// zygotes, services, connections and unread exit records stay. Answered by
// UpgradeReply, by the new one; or with "upgrade_failed", by the one that is
// still there, which has lost nothing.
struct Upgrade {
  static constexpr char kType[] = "upgrade";
  // Absolute; empty: the file that the daemon was started from, as it is now.
  std::string program;

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Optional("program", self.program);
  }
};

using UpgradeReply = DaemonUpgrade;

// --- zygote to daemon, on the control socket --------------------------------

struct ZygoteHello {
  static constexpr char kType[] = "zygote_hello";
  std::int64_t min_protocol = kMinProtocol;
  std::int64_t max_protocol = kMaxProtocol;
  std::int64_t pid = 0;
  std::string sdk;  // for logs: "c++ 0.1.0"

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("min_protocol", self.min_protocol);
    visit.Required("max_protocol", self.max_protocol);
    visit.Required("pid", self.pid);
    visit.Optional("sdk", self.sdk);
  }
};

// What a library of the zygote says of itself, asked by its exported function
// `bool symbol(void)`.
struct LibraryAnswer {
  std::string symbol;
  std::string path;
  bool used = false;

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("symbol", self.symbol);
    visit.Required("path", self.path);
    visit.Required("used", self.used);
  }
};

// The preload steps are done. The zygote is audited now: what only it can know
// is in here.
struct ZygoteReady {
  static constexpr char kType[] = "zygote_ready";
  std::vector<std::string> entries;
  std::vector<PreloadReport> preloads;
  std::vector<ThreadNote> threads;    // that it has now
  std::vector<std::int64_t> own_fds;  // that belong to its SDK
  std::vector<LibraryAnswer> libraries;

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("entries", self.entries);
    visit.Required("preloads", self.preloads);
    visit.Optional("threads", self.threads);
    visit.Optional("own_fds", self.own_fds);
    visit.Optional("libraries", self.libraries);
  }
};

// An Error on the wire.
struct WireError {
  static constexpr char kType[] = "error";
  std::string code;
  std::string message;
  std::string step;
  std::int64_t error_number = 0;
  std::string hint;

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("code", self.code);
    visit.Required("message", self.message);
    visit.Required("step", self.step);
    visit.Required("errno", self.error_number);
    visit.Required("hint", self.hint);
  }
};

// The zygote cannot become ready; it exits after this.
struct ZygoteFailed {
  static constexpr char kType[] = "zygote_failed";
  WireError error;

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("error", self.error);
  }
};

// The zygote has forked a spare. The frame carries the daemon's end of its
// channel: what is sent there, a ForkWorker frame, makes it a worker.
struct SpareParked {
  static constexpr char kType[] = "spare_parked";
  std::int64_t pid = 0;

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("pid", self.pid);
  }
};

// A spare has ended, or is not to be used any more. Answered by SpareSettled,
// until which the zygote does not reap it.
struct SpareWithdrawn {
  static constexpr char kType[] = "spare_withdrawn";
  std::int64_t pid = 0;

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("pid", self.pid);
  }
};

// --- daemon to zygote, on the control socket --------------------------------

// The answer to ZygoteHello: what to preload.
struct Configure {
  static constexpr char kType[] = "configure";
  std::int64_t protocol = 0;
  std::string name;
  std::vector<std::string> preload;
  std::vector<std::string> freeze;  // all patterns of frozen variables
  AuditPolicy audit_policy = AuditPolicy::kRefuse;
  std::vector<std::string> ask;  // symbols of LibraryAnswer
  // Patterns of libraries whose threads survive a fork.
  std::vector<std::string> surviving;
  bool crash_reports = false;  // the daemon takes `crash`
  std::int64_t spares_min = 0;
  std::int64_t spares_max = 0;
  bool takes_spares = false;  // the daemon takes `spare_parked`

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("protocol", self.protocol);
    visit.Required("name", self.name);
    visit.Required("preload", self.preload);
    visit.Required("freeze", self.freeze);
    visit.Optional("audit_policy", self.audit_policy);
    visit.Optional("ask", self.ask);
    visit.Optional("surviving", self.surviving);
    visit.Optional("crash_reports", self.crash_reports);
    visit.Optional("spares_min", self.spares_min);
    visit.Optional("spares_max", self.spares_max);
    visit.Optional("takes_spares", self.takes_spares);
  }
};

// Fork a worker. The frame carries the descriptors of the setup. A canary has
// no entry: it reports that it started, and exits with 0.
struct ForkWorker {
  static constexpr char kType[] = "fork_worker";
  std::string worker;
  Bytes setup;
  ResourceLimits limits;  // the client's, under those of the setup
  bool detach = false;
  bool canary = false;
  // Not 0: the process that inherits orphans; `exited` is to name what is left
  // of the worker's group.
  std::int64_t heir = 0;
  // One more descriptor comes after those of the setup: the cgroup.procs of the
  // cgroup that it is to be in.
  bool cgroup = false;

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("worker", self.worker);
    visit.Required("setup", self.setup);
    visit.Optional("limits", self.limits);
    visit.Optional("detach", self.detach);
    visit.Optional("canary", self.canary);
    visit.Optional("heir", self.heir);
    visit.Optional("cgroup", self.cgroup);
  }
};

// Fork a zygote. The frame carries the descriptors of the setup, then the new
// zygote's control socket, then its report pipe.
struct ForkZygote {
  static constexpr char kType[] = "fork_zygote";
  std::string worker;  // the id under which the parent reports its end
  Bytes setup;
  ResourceLimits limits;

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("worker", self.worker);
    visit.Required("setup", self.setup);
    visit.Optional("limits", self.limits);
  }
};

// Send a signal to a worker, if it has not been reaped.
struct SignalWorker {
  static constexpr char kType[] = "signal_worker";
  std::string worker;
  std::int64_t signal = 0;
  bool group = false;

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("worker", self.worker);
    visit.Required("signal", self.signal);
    visit.Required("group", self.group);
  }
};

// What has become of a spare. `worker`: of the request that it was given, or
// empty: it was given none, and never will be. `heir`: as in ForkWorker.
struct SpareSettled {
  static constexpr char kType[] = "spare_settled";
  std::int64_t pid = 0;
  std::string worker;
  std::int64_t heir = 0;

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("pid", self.pid);
    visit.Optional("worker", self.worker);
    visit.Optional("heir", self.heir);
  }
};

// No new forks; exit when the last worker has ended.
struct Retire {
  static constexpr char kType[] = "retire";
  template <typename Self, typename Visitor>
  static void Visit(Self&, Visitor&) {}
};

// --- zygote and forked workers to daemon, on the report pipe ----------------

// By the forked worker, when its set-up is done and its entry is next.
struct Started {
  static constexpr char kType[] = "started";
  std::string worker;
  std::int64_t pid = 0;
  std::int64_t forked_ns = 0;   // its first instruction
  std::int64_t started_ns = 0;  // its entry

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("worker", self.worker);
    visit.Required("pid", self.pid);
    visit.Required("forked_ns", self.forked_ns);
    visit.Required("started_ns", self.started_ns);
  }
};

// By the zygote (it refused or fork failed: no process) or by the forked
// worker (its set-up failed: `pid` is not 0 and `exited` follows).
struct Failed {
  static constexpr char kType[] = "failed";
  std::string worker;
  std::int64_t pid = 0;
  WireError error;

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("worker", self.worker);
    visit.Required("pid", self.pid);
    visit.Required("error", self.error);
  }
};

// By the zygote, before `exited`: a piece of what a worker left that crashed.
struct Crash {
  static constexpr char kType[] = "crash";
  std::string worker;
  std::string part;  // "report" or "traceback"
  Bytes data;

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("worker", self.worker);
    visit.Required("part", self.part);
    visit.Required("data", self.data);
  }
};

// By the zygote, before it reaps the worker.
struct Exited {
  static constexpr char kType[] = "exited";
  std::string worker;
  std::int64_t pid = 0;
  std::optional<std::int64_t> code;
  std::optional<std::int64_t> signal;
  bool core = false;
  std::int64_t max_rss_bytes = 0;
  std::int64_t user_us = 0;
  std::int64_t system_us = 0;
  std::int64_t ended_ns = 0;
  std::vector<std::string> leftovers;

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("worker", self.worker);
    visit.Required("pid", self.pid);
    visit.Required("code", self.code);
    visit.Required("signal", self.signal);
    visit.Required("core", self.core);
    visit.Required("max_rss_bytes", self.max_rss_bytes);
    visit.Required("user_us", self.user_us);
    visit.Required("system_us", self.system_us);
    visit.Required("ended_ns", self.ended_ns);
    visit.Optional("leftovers", self.leftovers);
  }
};

Error FromWire(WireError error);
WireError ToWire(const Error& error);

// Every message body above and in test_messages.h, for the codec's
// instantiations and the schema.
// X(type) is expanded once for each.
// The formatter moves the list at every run.
// clang-format off
#define FORKSERVER_PROTOCOL_BODIES(X)                                         \
  X(Hello) X(HelloReply) X(Setup) X(Spawn) X(Fork) X(WorkerReply)             \
  X(ZygoteStart) X(ZygoteReply) X(ZygoteStop) X(Wait) X(Signal) X(Stop)       \
  X(ExitReply) X(Done) X(List) X(Status) X(Subscribe) X(Shutdown)             \
  X(Upgrade) X(UpgradeReply)                                                  \
  X(ZygoteHello) X(ZygoteReady) X(WireError) X(ZygoteFailed) X(Configure)     \
  X(SpareParked) X(SpareWithdrawn) X(SpareSettled)                            \
  X(ForkWorker) X(ForkZygote) X(SignalWorker) X(Retire) X(Started)            \
  X(Failed) X(Crash) X(Exited) X(ExitRecord) X(Snapshot)                      \
  X(DaemonStatus) X(Event) X(Audit)                                           \
  X(ServiceStart) X(ServiceStop) X(ServiceRestart) X(ServiceReply)            \
  X(ServicePolicy)                                                            \
  X(TestList) X(TestRun) X(TestProgress) X(TestFiles) X(TestPlan)
// clang-format on

}  // namespace forkserver::protocol
