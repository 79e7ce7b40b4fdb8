// The words that the protocol, the daemon and every SDK share: workers, exit
// records, zygotes, status. The names of the fields are the names on the wire
// and in JSON.
//
// Public header: standard library only, C++17 or later. Plain values, no
// behaviour, nothing here blocks or owns anything but memory.
//
// Units are in the names: _ns monotonic nanoseconds (CLOCK_MONOTONIC of this
// machine), _us microseconds, _ms milliseconds, _bytes bytes.
#pragma once

#include <forkserver/service_types.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace forkserver {

// How a worker came to be: fork + exec from forkserverd ("exec"), forked from
// a zygote ("forked"), forked in advance and parked ("spare").
enum class WorkerKind { kExec, kForked, kSpare };

// launching: requested, not yet known to run. running: its program or entry
// has begun. stopping: it was asked to stop and its grace period runs.
// ended: it has an exit record.
enum class WorkerState { kLaunching, kRunning, kStopping, kEnded };

// Why a worker ended.
//   exited           by itself, with an exit code
//   signaled         by a signal that forkserverd did not send as a stop
//   timeout          its wall-clock timeout ran out
//   stopped          somebody asked forkserverd to stop it
//   client_gone      its client ended and the worker was not detached
//   zygote_died      the zygote that it was forked from died
//   fork_deadlock    it did not reach its entry within the zygote's deadline
//   daemon_stopping  forkserverd stopped
//   lost             nobody could observe how it ended
enum class EndReason {
  kExited,
  kSignaled,
  kTimeout,
  kStopped,
  kClientGone,
  kZygoteDied,
  kForkDeadlock,
  kDaemonStopping,
  kLost,
};

// starting: launched, preloading. ready: forks workers. retiring: no new
// forks, lives until its last worker ends. quarantined: several workers in a
// row did not reach their entry; it forks no more, and says why.
enum class ZygoteState { kStarting, kReady, kRetiring, kQuarantined };

// The group that a worker leads: a process group of its own, a session of its
// own (which is a process group too, without a terminal), or a session whose
// controlling terminal is the worker's descriptor 0.
enum class GroupKind { kProcessGroup, kSession, kTerminal };

// When what it reads and writes is served. realtime: before everybody else's.
// best_effort: by its level. idle: when nobody else wants the disk.
enum class IoClass { kRealtime, kBestEffort, kIdle };

// safe: nothing speaks against forking it. unsafe: something does. unknown:
// something could not be read, so that nobody can say.
enum class AuditVerdict { kSafe, kUnsafe, kUnknown };

// What becomes of a zygote that is not known to be safe. refuse: it is not put
// in service. warn: it is; the daemon's log says so, and whoever starts it is
// told. allow: it is.
enum class AuditPolicy { kRefuse, kWarn, kAllow };

// The names on the wire: "exec", "running", "client_gone", "process_group".
std::string_view NameOf(WorkerKind kind);
std::string_view NameOf(WorkerState state);
std::string_view NameOf(EndReason reason);
std::string_view NameOf(ZygoteState state);
std::string_view NameOf(GroupKind group);
std::string_view NameOf(IoClass io_class);
std::string_view NameOf(AuditVerdict verdict);
std::string_view NameOf(AuditPolicy policy);

// The steps of a worker's life; 0 where it did not get that far.
struct Journey {
  std::int64_t received_ns = 0;      // the daemon had the whole request
  std::int64_t launch_begun_ns = 0;  // before the fork, or handed to the zygote
  std::int64_t launched_ns = 0;      // the process exists
  std::int64_t started_ns = 0;       // exec is done, or the entry begins
  std::int64_t ended_ns = 0;         // its end was observed

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("received_ns", self.received_ns);
    visit.Required("launch_begun_ns", self.launch_begun_ns);
    visit.Required("launched_ns", self.launched_ns);
    visit.Required("started_ns", self.started_ns);
    visit.Required("ended_ns", self.ended_ns);
  }
};

// A place in the code of a worker that is gone: the path of a program or
// library, and how far from its beginning in memory.
struct CrashFrame {
  std::string module;  // empty: in no module, `offset` is the address
  std::int64_t offset = 0;

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("module", self.module);
    visit.Required("offset", self.offset);
  }
};

// What is known of a worker that crashed besides its wait status. The worker
// wrote most of it itself: text of any kind, to be shown, not to be trusted.
struct CrashReport {
  std::string signal_name;              // "SIGSEGV"; empty: it was no signal
  std::string code_name;                // "SEGV_MAPERR"; empty: unknown
  std::optional<std::int64_t> address;  // that it was not allowed to touch
  std::string address_module;           // what is mapped there, if anything
  std::string thread;                   // the name of the one that crashed
  std::vector<CrashFrame> frames;       // native, innermost first
  std::string stderr_tail;  // the last that is known of standard error
  std::string traceback;    // of Python, as faulthandler wrote it
  // False: it was forked from a zygote that was not safe to fork, for the
  // reasons in `dirty`.
  bool pristine = true;
  std::vector<std::string> dirty;

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("signal_name", self.signal_name);
    visit.Optional("code_name", self.code_name);
    visit.Optional("address", self.address);
    visit.Optional("address_module", self.address_module);
    visit.Optional("thread", self.thread);
    visit.Optional("frames", self.frames);
    visit.Optional("stderr_tail", self.stderr_tail);
    visit.Optional("traceback", self.traceback);
    visit.Required("pristine", self.pristine);
    visit.Optional("dirty", self.dirty);
  }
};

// How one worker ended. There is exactly one per worker.
struct ExitRecord {
  std::string id;    // never repeats, not across restarts either
  std::string name;  // as asked for, may be empty
  std::int64_t pid = 0;
  WorkerKind kind = WorkerKind::kExec;
  std::string zygote;  // the name of its zygote, empty for an exec worker
  std::optional<std::int64_t> code;    // exit code, or null
  std::optional<std::int64_t> signal;  // signal number, or null
  bool core = false;                   // a core was dumped
  EndReason reason = EndReason::kLost;
  std::int64_t max_rss_bytes = 0;  // peak resident memory
  std::int64_t user_us = 0;
  std::int64_t system_us = 0;
  std::int64_t wall_us = 0;  // from its launch to its end
  Journey journey;
  // Of "fork_deadlock": where it was, as lines for a person.
  std::vector<std::string> stacks;
  // True when no daemon was involved (FORKSERVER_DISABLE=1).
  bool direct = false;
  // Of a worker that a signal ended which forkserverd did not send, as far as
  // it is still kept; with `crash_report` also of one that failed.
  std::optional<CrashReport> crash;
  // With `report_leftovers`: processes of its group that had not ended when it
  // did, as "4711 sleep 100"; the first few. They were killed.
  std::vector<std::string> leftovers;
  // With `memory_max_bytes`: how many of its processes the kernel killed
  // because there was no memory left for them.
  std::int64_t oom_kills = 0;

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("id", self.id);
    visit.Required("name", self.name);
    visit.Required("pid", self.pid);
    visit.Required("kind", self.kind);
    visit.Required("zygote", self.zygote);
    visit.Required("code", self.code);
    visit.Required("signal", self.signal);
    visit.Required("core", self.core);
    visit.Required("reason", self.reason);
    visit.Required("max_rss_bytes", self.max_rss_bytes);
    visit.Required("user_us", self.user_us);
    visit.Required("system_us", self.system_us);
    visit.Required("wall_us", self.wall_us);
    visit.Required("journey", self.journey);
    visit.Optional("stacks", self.stacks);
    visit.Optional("direct", self.direct);
    visit.Optional("crash", self.crash);
    visit.Optional("leftovers", self.leftovers);
    visit.Optional("oom_kills", self.oom_kills);
  }
};

// A worker as the daemon sees it now.
struct WorkerInfo {
  std::string id;
  std::string name;
  std::int64_t pid = 0;  // 0 while launching
  WorkerKind kind = WorkerKind::kExec;
  std::string zygote;
  WorkerState state = WorkerState::kLaunching;
  bool detach = false;
  std::optional<ExitRecord> exit;  // once it ended

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("id", self.id);
    visit.Required("name", self.name);
    visit.Required("pid", self.pid);
    visit.Required("kind", self.kind);
    visit.Required("zygote", self.zygote);
    visit.Required("state", self.state);
    visit.Optional("detach", self.detach);
    visit.Optional("exit", self.exit);
  }
};

// One thing that an audit found.
struct AuditFinding {
  std::string kind;      // thread library descriptor lock handlers environment
  std::string known_as;  // the row of the table of known cases, or empty
  std::string what;      // "thread 1240 'gdbus'"
  std::string where;     // "started by /usr/lib/libgio-2.0.so.0"
  std::string why;       // what happens in a child
  std::string advice;    // what to do
  std::string step;      // the preload step that brought it in, or empty

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("kind", self.kind);
    visit.Required("known_as", self.known_as);
    visit.Required("what", self.what);
    visit.Required("where", self.where);
    visit.Required("why", self.why);
    visit.Required("advice", self.advice);
    visit.Required("step", self.step);
  }
};

// Whether a process is safe to fork.
struct Audit {
  AuditVerdict verdict = AuditVerdict::kSafe;
  std::vector<AuditFinding> reasons;    // why it is unsafe
  std::vector<std::string> unreadable;  // what could not be read
  std::vector<AuditFinding> notes;      // what is worth knowing, and harmless

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("verdict", self.verdict);
    visit.Required("reasons", self.reasons);
    visit.Required("unreadable", self.unreadable);
    visit.Required("notes", self.notes);
  }
};

// What a zygote knows of one of its threads, and nobody from outside.
struct ThreadNote {
  std::int64_t id = 0;
  std::string name;
  std::string started_by;  // the module that did
  std::string step;        // after which it was first there
  bool survives = false;   // the user said so

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("id", self.id);
    visit.Required("name", self.name);
    visit.Optional("started_by", self.started_by);
    visit.Optional("step", self.step);
    visit.Optional("survives", self.survives);
  }
};

// What one preload step of a zygote did.
struct PreloadReport {
  std::string name;
  std::int64_t wall_us = 0;
  std::int64_t rss_bytes = 0;  // growth of resident memory
  std::int64_t threads = 1;    // of the process, after the step
  // What was not there before the step.
  std::vector<ThreadNote> new_threads;
  std::vector<std::int64_t> new_fds;
  std::vector<std::string> new_libraries;  // paths

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("name", self.name);
    visit.Required("wall_us", self.wall_us);
    visit.Required("rss_bytes", self.rss_bytes);
    visit.Required("threads", self.threads);
    visit.Optional("new_threads", self.new_threads);
    visit.Optional("new_fds", self.new_fds);
    visit.Optional("new_libraries", self.new_libraries);
  }
};

struct ZygoteInfo {
  std::string name;
  std::string id;  // as unique as a worker's
  std::int64_t pid = 0;
  ZygoteState state = ZygoteState::kStarting;
  std::string parent;        // the zygote it was forked from, or empty
  std::string identity;      // digest of what it was made of, 16 hex digits
  bool keep = false;         // outlives the connection that made it
  std::int64_t workers = 0;  // live ones
  std::int64_t forks = 0;    // since it became ready
  std::vector<std::string> argv;
  std::vector<std::string> entries;
  std::vector<PreloadReport> preloads;
  AuditPolicy audit_policy = AuditPolicy::kRefuse;
  std::optional<Audit> audit;  // since it is ready
  std::string quarantine;      // why, or empty
  // How many workers it forks in advance.
  std::int64_t spares_min = 0;
  std::int64_t spares_max = 0;
  std::string project;  // the file of the project that it belongs to, or empty

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("name", self.name);
    visit.Required("id", self.id);
    visit.Required("pid", self.pid);
    visit.Required("state", self.state);
    visit.Required("parent", self.parent);
    visit.Required("identity", self.identity);
    visit.Required("keep", self.keep);
    visit.Required("workers", self.workers);
    visit.Required("forks", self.forks);
    visit.Required("argv", self.argv);
    visit.Required("entries", self.entries);
    visit.Required("preloads", self.preloads);
    visit.Optional("audit_policy", self.audit_policy);
    visit.Optional("audit", self.audit);
    visit.Optional("quarantine", self.quarantine);
    visit.Optional("spares_min", self.spares_min);
    visit.Optional("spares_max", self.spares_max);
    visit.Optional("project", self.project);
  }
};

struct DaemonStatus {
  std::int64_t pid = 0;
  std::string version;
  std::int64_t protocol = 0;  // what this connection negotiated
  std::string instance;       // the first part of every worker id of this run
  std::string socket;
  std::int64_t threads = 0;  // of the daemon: always 1
  std::int64_t uptime_ms = 0;
  std::int64_t clients = 0;
  std::int64_t workers = 0;  // live ones
  std::int64_t zygotes = 0;
  std::int64_t launched = 0;      // workers since it started
  std::int64_t upgrades = 0;      // since it started
  std::int64_t records_kept = 0;  // exit records in the ring
  std::int64_t open_fds = 0;
  std::string log;  // its log file, or empty for standard error
  // What it can limit by cgroups: "memory", "pids", "cpu". And why it has no
  // cgroup of its own, or empty.
  std::vector<std::string> cgroup_limits;
  std::string cgroup_missing;

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("pid", self.pid);
    visit.Required("version", self.version);
    visit.Required("protocol", self.protocol);
    visit.Required("instance", self.instance);
    visit.Required("socket", self.socket);
    visit.Required("threads", self.threads);
    visit.Required("uptime_ms", self.uptime_ms);
    visit.Required("clients", self.clients);
    visit.Required("workers", self.workers);
    visit.Required("zygotes", self.zygotes);
    visit.Required("launched", self.launched);
    visit.Required("records_kept", self.records_kept);
    visit.Required("open_fds", self.open_fds);
    visit.Required("log", self.log);
    visit.Optional("cgroup_limits", self.cgroup_limits);
    visit.Optional("cgroup_missing", self.cgroup_missing);
    visit.Optional("upgrades", self.upgrades);
  }
};

// A daemon that was replaced, in the same process.
struct DaemonUpgrade {
  std::string from;     // the version before
  std::string version;  // the one that serves now

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("from", self.from);
    visit.Required("version", self.version);
  }
};

// A service as the daemon sees it now.
struct ServiceInfo {
  std::string name;
  ServiceState state = ServiceState::kStopped;
  std::string worker;         // the id of its run, or empty
  std::int64_t pid = 0;       // of its run, or 0
  std::string zygote;         // the name of its zygote, or empty
  std::int64_t runs = 0;      // that it had, this one included
  std::int64_t restarts = 0;  // how many of them nobody asked for
  std::int64_t since_ns = 0;  // in this state
  std::int64_t next_ns = 0;   // in backoff: when it starts again
  std::string status;         // what it says of itself by STATUS=
  std::string why;            // why it failed, waits or is in backoff
  std::vector<std::string> argv;
  ServicePolicy policy;
  std::string project;  // the file of the project that it belongs to, or empty
  std::string log;      // the file that has its output, or empty
  std::optional<ExitRecord> exit;  // of its last run that has ended

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("name", self.name);
    visit.Required("state", self.state);
    visit.Required("worker", self.worker);
    visit.Required("pid", self.pid);
    visit.Required("zygote", self.zygote);
    visit.Required("runs", self.runs);
    visit.Required("restarts", self.restarts);
    visit.Required("since_ns", self.since_ns);
    visit.Optional("next_ns", self.next_ns);
    visit.Optional("status", self.status);
    visit.Optional("why", self.why);
    visit.Required("argv", self.argv);
    visit.Required("policy", self.policy);
    visit.Optional("project", self.project);
    visit.Optional("log", self.log);
    visit.Optional("exit", self.exit);
  }
};

// Everything that is alive now, and every service that is known.
struct Snapshot {
  std::vector<WorkerInfo> workers;
  std::vector<ZygoteInfo> zygotes;
  std::vector<ServiceInfo> services;

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("workers", self.workers);
    visit.Required("zygotes", self.zygotes);
    visit.Optional("services", self.services);
  }
};

// One change. `event` is one of
//   worker_launched  worker_ended             (with `worker`)
//   zygote_starting  zygote_ready  zygote_retiring  zygote_ended  (`zygote`)
//   service_changed  service_removed          (`service`)
//   overrun          (with `snapshot`: events were dropped because they were
//                    not read; go on from this snapshot)
struct Event {
  std::string event;
  std::int64_t time_ns = 0;
  std::optional<WorkerInfo> worker;
  std::optional<ZygoteInfo> zygote;
  std::optional<ServiceInfo> service;
  std::optional<Snapshot> snapshot;

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("event", self.event);
    visit.Required("time_ns", self.time_ns);
    visit.Optional("worker", self.worker);
    visit.Optional("zygote", self.zygote);
    visit.Optional("service", self.service);
    visit.Optional("snapshot", self.snapshot);
  }
};

// A resource limit; -1 is unlimited.
struct ResourceLimit {
  std::int64_t soft = -1;
  std::int64_t hard = -1;
};
// By the lower-case name of the RLIMIT_ constant: "nofile", "nproc", "core"...
using ResourceLimits = std::map<std::string, ResourceLimit>;

// As of ionice(1).
struct IoPriority {
  IoClass io_class = IoClass::kBestEffort;
  std::int64_t level = 4;  // 0, the first, to 7; means nothing with idle

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("io_class", self.io_class);
    visit.Required("level", self.level);
  }
};

}  // namespace forkserver
