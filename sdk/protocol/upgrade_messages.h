// What the daemon hands to the program that replaces it, in the same process:
// everything that it knows. Not a part of the protocol that clients speak.
// Still, it crosses versions: keys are added, as Optional ones, and not
// changed; what cannot be said so is another kUpgradeFormat. So is a further
// descriptor: a program that does not know of it would never close it. Held by
// tests/unit/protocol/kept_states_test.cc.
//
// What crosses besides: the keeper's table, SetupFailure of
// sdk/process/child_setup.h, crash files, and log_messages.h.
//
// Descriptors are numbers, which stay what they are when a process executes
// another program; -1: there is none. Keys of processes, connections and
// services are as the layers that have them say. Times are monotonic.
#pragma once

#include <forkserver/service_types.h>
#include <forkserver/types.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sdk/protocol/log_messages.h"
#include "sdk/protocol/messages.h"

namespace forkserver::protocol {

inline constexpr std::int64_t kUpgradeFormat = 1;

// As many as a daemon can have of anything.
inline constexpr std::size_t kMaxHanded = std::size_t{1} << 24;

// --- streams ----------------------------------------------------------------

// What was received and not handed out yet.
struct HandedReader {
  Bytes bytes;
  std::vector<std::int64_t> fds;
  bool fds_lost = false;

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("bytes", self.bytes);
    visit.Required("fds", self.fds);
    visit.Required("fds_lost", self.fds_lost);
  }
};

// What waits to be sent.
struct HandedFrame {
  Bytes bytes;
  std::int64_t sent = 0;          // of its bytes
  std::vector<std::int64_t> fds;  // ride with its first byte
  std::int64_t key = 0;           // what it is about
  bool event = false;             // to a client: not a reply
  bool note = false;              // to the log writer: is told again

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("bytes", self.bytes);
    visit.Required("sent", self.sent);
    visit.Optional("fds", self.fds);
    visit.Optional("key", self.key);
    visit.Optional("event", self.event);
    visit.Optional("note", self.note);
  }
};

// --- server/control ---------------------------------------------------------

struct HandedClaim {
  std::string path;
  std::int64_t lock = -1;
  std::int64_t listening = -1;
  bool owns_file = false;
  std::int64_t inode = 0;

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("path", self.path);
    visit.Required("lock", self.lock);
    visit.Required("listening", self.listening);
    visit.Required("owns_file", self.owns_file);
    visit.Required("inode", self.inode);
  }
};

struct HandedConnection {
  std::int64_t id = 0;
  std::int64_t pid = 0;
  std::int64_t socket = -1;
  std::int64_t process = -1;
  HandedReader reader;
  std::vector<HandedFrame> outgoing;
  bool overrun = false;
  std::int64_t protocol = 0;
  std::string client;
  std::vector<std::int64_t> subscriptions;
  std::vector<std::int64_t> waits_on;
  bool closing = false;

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("id", self.id);
    visit.Required("pid", self.pid);
    visit.Required("socket", self.socket);
    visit.Required("process", self.process);
    visit.Required("reader", self.reader);
    visit.Required("outgoing", self.outgoing);
    visit.Required("overrun", self.overrun);
    visit.Required("protocol", self.protocol);
    visit.Required("client", self.client);
    visit.Required("subscriptions", self.subscriptions);
    visit.Required("waits_on", self.waits_on);
    visit.Required("closing", self.closing);
  }
};

// The way back for the answer of one request.
struct HandedWaiter {
  std::int64_t key = 0;  // of the worker or zygote that it waits for
  std::string service;   // or of which service
  std::int64_t owner = 0;
  std::int64_t request = 0;
  bool exit_frame = false;
  bool quiet = false;
  bool up = false;

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Optional("key", self.key);
    visit.Optional("service", self.service);
    visit.Required("owner", self.owner);
    visit.Required("request", self.request);
    visit.Optional("exit_frame", self.exit_frame);
    visit.Optional("quiet", self.quiet);
    visit.Optional("up", self.up);
  }
};

struct HandedControl {
  static constexpr std::size_t kMaxElements = kMaxHanded;
  HandedClaim claim;
  std::int64_t started_ns = 0;
  std::int64_t last_connection = 0;
  std::vector<HandedConnection> connections;
  std::vector<HandedWaiter> launches;
  std::vector<HandedWaiter> zygotes;
  std::vector<HandedWaiter> exits;
  std::vector<HandedWaiter> services;
  std::optional<HandedWaiter> upgrade;

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("claim", self.claim);
    visit.Required("started_ns", self.started_ns);
    visit.Required("last_connection", self.last_connection);
    visit.Required("connections", self.connections);
    visit.Required("launches", self.launches);
    visit.Required("zygotes", self.zygotes);
    visit.Required("exits", self.exits);
    visit.Required("services", self.services);
    visit.Optional("upgrade", self.upgrade);
  }
};

// --- server/launch ----------------------------------------------------------

struct HandedCgroups {
  std::string folder;
  std::string why_not;
  std::vector<std::string> controllers;
  std::vector<std::string> enabled;
  std::vector<std::string> left;

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("folder", self.folder);
    visit.Required("why_not", self.why_not);
    visit.Required("controllers", self.controllers);
    visit.Required("enabled", self.enabled);
    visit.Required("left", self.left);
  }
};

struct HandedKeeper {
  std::int64_t table = -1;
  std::int64_t pipe = -1;
  std::int64_t pid = 0;
  std::int64_t used = 0;
  std::string cgroup_control;
  bool missing = false;

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("table", self.table);
    visit.Required("pipe", self.pipe);
    visit.Required("pid", self.pid);
    visit.Required("used", self.used);
    visit.Required("cgroup_control", self.cgroup_control);
    visit.Required("missing", self.missing);
  }
};

// A child of the daemon that is not reaped yet.
struct HandedChild {
  std::int64_t key = 0;
  std::int64_t pid = 0;
  bool kill_group = false;
  bool keep_pidfd = false;
  bool report_leftovers = false;

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("key", self.key);
    visit.Required("pid", self.pid);
    visit.Optional("kill_group", self.kill_group);
    visit.Optional("keep_pidfd", self.keep_pidfd);
    visit.Optional("report_leftovers", self.report_leftovers);
  }
};

struct HandedAdopted {
  std::int64_t key = 0;
  std::int64_t pid = 0;
  std::int64_t start_time = 0;
  std::int64_t fd = -1;
  std::int64_t ended_ns = 0;

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("key", self.key);
    visit.Required("pid", self.pid);
    visit.Required("start_time", self.start_time);
    visit.Required("fd", self.fd);
    visit.Required("ended_ns", self.ended_ns);
  }
};

// An exec worker or zygote.
struct HandedRun {
  std::int64_t key = 0;
  std::int64_t launched_ns = 0;
  bool zygote = false;
  bool failed = false;
  std::int64_t slot = -1;  // of the keeper
  std::int64_t crash_file = -1;
  // While it is being launched.
  std::int64_t status = -1;
  std::int64_t pid = 0;
  Bytes setup;

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("key", self.key);
    visit.Required("launched_ns", self.launched_ns);
    visit.Optional("zygote", self.zygote);
    visit.Optional("failed", self.failed);
    visit.Required("slot", self.slot);
    visit.Required("crash_file", self.crash_file);
    visit.Required("status", self.status);
    visit.Required("pid", self.pid);
    visit.Optional("setup", self.setup);
  }
};

struct HandedRelay {
  std::int64_t key = 0;
  std::int64_t source = -1;
  std::int64_t target = -1;
  bool is_socket = false;
  bool ended = false;
  Bytes pending;
  Bytes tail;

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("key", self.key);
    visit.Required("source", self.source);
    visit.Required("target", self.target);
    visit.Required("is_socket", self.is_socket);
    visit.Required("ended", self.ended);
    visit.Required("pending", self.pending);
    visit.Required("tail", self.tail);
  }
};

struct HandedExamination {
  std::int64_t key = 0;
  std::int64_t pipe = -1;
  Bytes bytes;
  std::int64_t audited = 0;  // the zygote, or 0
  std::int64_t stacks = 0;   // the worker, or 0

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("key", self.key);
    visit.Required("pipe", self.pipe);
    visit.Required("bytes", self.bytes);
    visit.Optional("audited", self.audited);
    visit.Optional("stacks", self.stacks);
  }
};

struct HandedChannel {
  std::int64_t control = -1;
  std::int64_t report = -1;
  std::int64_t standard_error = -1;
  HandedReader control_reader;
  HandedReader report_reader;
  std::vector<HandedFrame> outgoing;
  bool broken = false;
  Bytes stderr_tail;

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("control", self.control);
    visit.Required("report", self.report);
    visit.Required("standard_error", self.standard_error);
    visit.Required("control_reader", self.control_reader);
    visit.Required("report_reader", self.report_reader);
    visit.Required("outgoing", self.outgoing);
    visit.Required("broken", self.broken);
    visit.Required("stderr_tail", self.stderr_tail);
  }
};

struct HandedSpare {
  std::int64_t pid = 0;
  std::int64_t channel = -1;

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("pid", self.pid);
    visit.Required("channel", self.channel);
  }
};

// A zygote as it is talked to; of a dead one only what is left of its reports.
struct HandedConversation {
  std::int64_t key = 0;
  std::int64_t parent = 0;
  std::string id;
  std::int64_t pid = 0;
  std::int64_t slot = -1;
  Configure configure;
  bool retired = false;
  std::optional<WireError> error;
  HandedChannel channel;
  std::vector<HandedSpare> spares;
  std::vector<SpareSettled> unsettled;

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("key", self.key);
    visit.Required("parent", self.parent);
    visit.Required("id", self.id);
    visit.Required("pid", self.pid);
    visit.Required("slot", self.slot);
    visit.Required("configure", self.configure);
    visit.Optional("retired", self.retired);
    visit.Optional("error", self.error);
    visit.Required("channel", self.channel);
    visit.Required("spares", self.spares);
    visit.Required("unsettled", self.unsettled);
  }
};

struct HandedSignal {
  std::int64_t signal = 0;
  bool group = false;

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("signal", self.signal);
    visit.Required("group", self.group);
  }
};

struct HandedForked {
  std::int64_t key = 0;
  std::int64_t zygote = 0;
  std::int64_t pid = 0;
  bool detach = false;
  bool orphan = false;
  bool taken_over = false;
  bool settled = false;
  std::int64_t slot = -1;
  std::vector<HandedSignal> kept;
  Bytes crash_report;
  Bytes traceback;

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("key", self.key);
    visit.Required("zygote", self.zygote);
    visit.Required("pid", self.pid);
    visit.Optional("detach", self.detach);
    visit.Optional("orphan", self.orphan);
    visit.Optional("taken_over", self.taken_over);
    visit.Optional("settled", self.settled);
    visit.Required("slot", self.slot);
    visit.Optional("kept", self.kept);
    visit.Optional("crash_report", self.crash_report);
    visit.Optional("traceback", self.traceback);
  }
};

struct HandedLauncher {
  static constexpr std::size_t kMaxElements = kMaxHanded;
  HandedCgroups cgroups;
  HandedKeeper keeper;
  std::vector<HandedChild> children;
  std::vector<HandedAdopted> adopted;
  std::vector<HandedRun> runs;
  std::vector<HandedRelay> relays;
  std::vector<HandedExamination> examinations;
  std::vector<HandedConversation> zygotes;
  std::vector<HandedConversation> remains;
  std::vector<HandedForked> forked;

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("cgroups", self.cgroups);
    visit.Required("keeper", self.keeper);
    visit.Required("children", self.children);
    visit.Required("adopted", self.adopted);
    visit.Required("runs", self.runs);
    visit.Required("relays", self.relays);
    visit.Required("examinations", self.examinations);
    visit.Required("zygotes", self.zygotes);
    visit.Required("remains", self.remains);
    visit.Required("forked", self.forked);
  }
};

// --- server/supervisor ------------------------------------------------------

struct HandedEnd {
  bool observed = false;
  std::optional<std::int64_t> code;
  std::optional<std::int64_t> signal;
  bool core = false;
  std::int64_t max_rss_bytes = 0;
  std::int64_t user_us = 0;
  std::int64_t system_us = 0;
  std::int64_t ended_ns = 0;
  Bytes crash_report;
  Bytes traceback;
  Bytes stderr_tail;
  std::int64_t oom_kills = 0;
  std::vector<std::string> leftovers;
  bool zygote_died = false;

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("observed", self.observed);
    visit.Optional("code", self.code);
    visit.Optional("signal", self.signal);
    visit.Optional("core", self.core);
    visit.Required("max_rss_bytes", self.max_rss_bytes);
    visit.Required("user_us", self.user_us);
    visit.Required("system_us", self.system_us);
    visit.Required("ended_ns", self.ended_ns);
    visit.Optional("crash_report", self.crash_report);
    visit.Optional("traceback", self.traceback);
    visit.Optional("stderr_tail", self.stderr_tail);
    visit.Optional("oom_kills", self.oom_kills);
    visit.Optional("leftovers", self.leftovers);
    visit.Optional("zygote_died", self.zygote_died);
  }
};

struct HandedWorker {
  std::int64_t key = 0;
  std::string name;
  WorkerKind kind = WorkerKind::kExec;
  WorkerState state = WorkerState::kLaunching;
  std::int64_t pid = 0;
  std::string first_id;
  std::int64_t owner = 0;
  std::int64_t zygote = 0;
  std::string zygote_name;
  bool detach = false;
  std::int64_t timeout_ms = 0;
  std::int64_t grace_ms = 0;
  std::int64_t stop_signal = 0;
  std::int64_t grace_until_ns = 0;
  std::optional<EndReason> reason;
  std::vector<std::string> stacks;
  Journey journey;
  bool pristine = true;
  std::vector<std::string> dirty;
  bool crash_report = false;
  bool cgroup = false;
  std::optional<HandedEnd> ended;

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("key", self.key);
    visit.Optional("name", self.name);
    visit.Required("kind", self.kind);
    visit.Required("state", self.state);
    visit.Required("pid", self.pid);
    visit.Optional("first_id", self.first_id);
    visit.Required("owner", self.owner);
    visit.Optional("zygote", self.zygote);
    visit.Optional("zygote_name", self.zygote_name);
    visit.Optional("detach", self.detach);
    visit.Required("timeout_ms", self.timeout_ms);
    visit.Required("grace_ms", self.grace_ms);
    visit.Required("stop_signal", self.stop_signal);
    visit.Required("grace_until_ns", self.grace_until_ns);
    visit.Optional("reason", self.reason);
    visit.Optional("stacks", self.stacks);
    visit.Required("journey", self.journey);
    visit.Required("pristine", self.pristine);
    visit.Optional("dirty", self.dirty);
    visit.Optional("crash_report", self.crash_report);
    visit.Optional("cgroup", self.cgroup);
    visit.Optional("ended", self.ended);
  }
};

struct HandedIdentity {
  std::vector<std::string> argv;
  std::string cwd;
  std::string binary;
  std::string parent;
  std::vector<std::string> preload;
  std::vector<std::string> frozen;
  std::string project;
  std::vector<std::string> environment;
  Bytes rest;

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("argv", self.argv);
    visit.Required("cwd", self.cwd);
    visit.Required("binary", self.binary);
    visit.Required("parent", self.parent);
    visit.Required("preload", self.preload);
    visit.Required("frozen", self.frozen);
    visit.Required("project", self.project);
    visit.Required("environment", self.environment);
    visit.Required("rest", self.rest);
  }
};

struct HandedZygote {
  std::int64_t key = 0;
  std::string name;
  std::int64_t pid = 0;
  ZygoteState state = ZygoteState::kStarting;
  std::int64_t parent = 0;
  HandedIdentity identity;
  std::vector<std::string> freeze;
  ResourceLimits limits;
  bool was_ready = false;
  bool keep = false;
  std::vector<std::int64_t> owners;
  std::int64_t workers = 0;
  std::int64_t forks = 0;
  std::int64_t last_used_ns = 0;
  AuditPolicy audit_policy = AuditPolicy::kRefuse;
  std::int64_t spares_min = 0;
  std::int64_t spares_max = 0;
  std::int64_t entry_deadline_ns = 0;
  std::int64_t grace_ns = 5'000'000'000;
  std::vector<std::int64_t> given_fds;
  std::optional<Audit> audit;
  std::optional<WireError> refused;
  std::int64_t canary = 0;
  std::int64_t unbegun_in_a_row = 0;
  std::string quarantine;
  std::vector<std::string> entries;
  std::vector<PreloadReport> preloads;
  bool pristine = true;
  std::vector<std::string> dirty;

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("key", self.key);
    visit.Required("name", self.name);
    visit.Required("pid", self.pid);
    visit.Required("state", self.state);
    visit.Required("parent", self.parent);
    visit.Required("identity", self.identity);
    visit.Required("freeze", self.freeze);
    visit.Required("limits", self.limits);
    visit.Required("was_ready", self.was_ready);
    visit.Required("keep", self.keep);
    visit.Required("owners", self.owners);
    visit.Required("workers", self.workers);
    visit.Required("forks", self.forks);
    visit.Required("last_used_ns", self.last_used_ns);
    visit.Required("audit_policy", self.audit_policy);
    visit.Required("spares_min", self.spares_min);
    visit.Required("spares_max", self.spares_max);
    visit.Required("entry_deadline_ns", self.entry_deadline_ns);
    visit.Defaulted("grace_ns", self.grace_ns, std::int64_t{5'000'000'000});
    visit.Required("given_fds", self.given_fds);
    visit.Optional("audit", self.audit);
    visit.Optional("refused", self.refused);
    visit.Required("canary", self.canary);
    visit.Required("unbegun_in_a_row", self.unbegun_in_a_row);
    visit.Required("quarantine", self.quarantine);
    visit.Required("entries", self.entries);
    visit.Required("preloads", self.preloads);
    visit.Required("pristine", self.pristine);
    visit.Required("dirty", self.dirty);
  }
};

struct HandedRecord {
  std::int64_t key = 0;
  ExitRecord record;

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("key", self.key);
    visit.Required("record", self.record);
  }
};

struct HandedDeadline {
  std::int64_t at_ns = 0;
  std::int64_t key = 0;
  std::int64_t kind = 0;

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("at_ns", self.at_ns);
    visit.Required("key", self.key);
    visit.Required("kind", self.kind);
  }
};

struct HandedSupervisor {
  static constexpr std::size_t kMaxElements = kMaxHanded;
  std::string instance;
  std::int64_t last_key = 0;
  std::int64_t launched = 0;
  std::vector<HandedWorker> workers;
  std::vector<HandedZygote> zygotes;
  std::vector<HandedRecord> records;  // the oldest first
  std::vector<HandedDeadline> deadlines;
  std::vector<std::int64_t> trees_to_stop;
  std::vector<std::int64_t> trees_to_end;

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("instance", self.instance);
    visit.Required("last_key", self.last_key);
    visit.Required("launched", self.launched);
    visit.Required("workers", self.workers);
    visit.Required("zygotes", self.zygotes);
    visit.Required("records", self.records);
    visit.Required("deadlines", self.deadlines);
    visit.Required("trees_to_stop", self.trees_to_stop);
    visit.Required("trees_to_end", self.trees_to_end);
  }
};

// --- server/services --------------------------------------------------------

struct HandedDefinition {
  std::string zygote;
  Bytes setup;
  ServicePolicy policy;
  ResourceLimits limits;

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("zygote", self.zygote);
    visit.Required("setup", self.setup);
    visit.Required("policy", self.policy);
    visit.Required("limits", self.limits);
  }
};

struct HandedReadiness {
  std::int64_t pipe = -1;
  bool pipe_is_done = false;
  std::int64_t socket = -1;
  std::string socket_path;

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("pipe", self.pipe);
    visit.Required("pipe_is_done", self.pipe_is_done);
    visit.Required("socket", self.socket);
    visit.Required("socket_path", self.socket_path);
  }
};

struct HandedService {
  std::int64_t number = 0;
  std::string name;
  std::string project;
  HandedDefinition definition;
  std::optional<HandedDefinition> next_definition;
  ServiceState state = ServiceState::kStopped;
  std::int64_t since_ns = 0;
  std::int64_t runs = 0;
  std::int64_t restarts = 0;
  std::int64_t short_runs = 0;
  std::string why;
  std::optional<ExitRecord> exit;
  std::optional<std::int64_t> stop_grace_ms;
  bool remove = false;
  bool saved = false;
  bool asked = false;
  bool start_others = false;
  std::int64_t run = 0;
  std::string worker;
  std::string first_worker;
  std::int64_t pid = 0;
  std::int64_t start_time = 0;
  bool launched = false;
  std::int64_t launch_lock = -1;
  bool said_ready = false;
  std::int64_t run_begun_ns = 0;
  std::string failure;
  std::string status;
  HandedReadiness readiness;
  std::int64_t log = 0;
  std::int64_t probe = 0;
  std::string probe_failure;
  std::int64_t backoff_until_ns = 0;
  std::int64_t ready_until_ns = 0;
  std::int64_t probe_at_ns = 0;
  std::int64_t watchdog_until_ns = 0;

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("number", self.number);
    visit.Required("name", self.name);
    visit.Required("project", self.project);
    visit.Required("definition", self.definition);
    visit.Optional("next_definition", self.next_definition);
    visit.Required("state", self.state);
    visit.Required("since_ns", self.since_ns);
    visit.Required("runs", self.runs);
    visit.Required("restarts", self.restarts);
    visit.Required("short_runs", self.short_runs);
    visit.Required("why", self.why);
    visit.Optional("exit", self.exit);
    visit.Optional("stop_grace_ms", self.stop_grace_ms);
    visit.Optional("remove", self.remove);
    visit.Optional("saved", self.saved);
    visit.Optional("asked", self.asked);
    visit.Optional("start_others", self.start_others);
    visit.Required("run", self.run);
    visit.Required("worker", self.worker);
    visit.Required("first_worker", self.first_worker);
    visit.Required("pid", self.pid);
    visit.Required("start_time", self.start_time);
    visit.Required("launched", self.launched);
    visit.Required("launch_lock", self.launch_lock);
    visit.Required("said_ready", self.said_ready);
    visit.Required("run_begun_ns", self.run_begun_ns);
    visit.Required("failure", self.failure);
    visit.Required("status", self.status);
    visit.Required("readiness", self.readiness);
    visit.Required("log", self.log);
    visit.Required("probe", self.probe);
    visit.Required("probe_failure", self.probe_failure);
    visit.Required("backoff_until_ns", self.backoff_until_ns);
    visit.Required("ready_until_ns", self.ready_until_ns);
    visit.Required("probe_at_ns", self.probe_at_ns);
    visit.Required("watchdog_until_ns", self.watchdog_until_ns);
  }
};

struct HandedLog {
  std::int64_t key = 0;
  OpenLog options;
  bool terminal = false;
  std::int64_t out = -1;
  std::int64_t err = -1;
  bool told = false;
  bool closing = false;
  std::int64_t lost_notes = 0;

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("key", self.key);
    visit.Required("options", self.options);
    visit.Optional("terminal", self.terminal);
    visit.Required("out", self.out);
    visit.Required("err", self.err);
    visit.Required("told", self.told);
    visit.Required("closing", self.closing);
    visit.Required("lost_notes", self.lost_notes);
  }
};

struct HandedLogWriter {
  std::int64_t channel = -1;
  std::int64_t pid = 0;
  bool ended = false;
  HandedReader reader;
  std::vector<HandedFrame> outgoing;
  std::vector<HandedLog> logs;

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("channel", self.channel);
    visit.Required("pid", self.pid);
    visit.Required("ended", self.ended);
    visit.Required("reader", self.reader);
    visit.Required("outgoing", self.outgoing);
    visit.Required("logs", self.logs);
  }
};

// What belongs to which service, by its number.
struct HandedLink {
  std::int64_t key = 0;
  std::int64_t service = 0;

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("key", self.key);
    visit.Required("service", self.service);
  }
};

struct HandedServices {
  static constexpr std::size_t kMaxElements = kMaxHanded;
  std::vector<HandedService> services;
  std::int64_t last_number = 0;
  std::vector<HandedLink> runs;
  std::vector<HandedLink> probes;
  std::vector<HandedLink> logs;
  std::int64_t last_log = 0;
  std::optional<HandedLogWriter> log_writer;
  std::int64_t restart_log_writer_ns = 0;
  std::vector<std::int64_t> to_check;

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("services", self.services);
    visit.Required("last_number", self.last_number);
    visit.Required("runs", self.runs);
    visit.Required("probes", self.probes);
    visit.Required("logs", self.logs);
    visit.Required("last_log", self.last_log);
    visit.Optional("log_writer", self.log_writer);
    visit.Required("restart_log_writer_ns", self.restart_log_writer_ns);
    visit.Required("to_check", self.to_check);
  }
};

// --- the whole --------------------------------------------------------------

struct HandedDaemon {
  static constexpr char kType[] = "handed_daemon";
  static constexpr std::size_t kMaxElements = kMaxHanded;
  std::int64_t format = kUpgradeFormat;
  std::string version;
  std::string program;            // the path of the new one
  std::string old_path;           // and of the one that hands over
  std::int64_t old_program = -1;  // which is open, to go back to
  bool has_terminal = false;
  std::int64_t upgrades = 0;  // before this one
  std::string log_path;
  std::string notify;  // the address of the service manager
  // Of the connections and zygotes, each once: the new one must speak them.
  std::vector<std::int64_t> client_protocols;
  std::vector<std::int64_t> zygote_protocols;
  std::vector<std::int64_t> fds;  // all that are named in what follows
  Bytes control;                  // HandedControl, and so on
  Bytes supervisor;
  Bytes launcher;
  Bytes services;

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("format", self.format);
    visit.Required("version", self.version);
    visit.Required("program", self.program);
    visit.Required("old_path", self.old_path);
    visit.Required("old_program", self.old_program);
    visit.Required("has_terminal", self.has_terminal);
    visit.Required("upgrades", self.upgrades);
    visit.Required("log_path", self.log_path);
    visit.Required("notify", self.notify);
    visit.Required("client_protocols", self.client_protocols);
    visit.Required("zygote_protocols", self.zygote_protocols);
    visit.Required("fds", self.fds);
    visit.Required("control", self.control);
    visit.Required("supervisor", self.supervisor);
    visit.Required("launcher", self.launcher);
    visit.Required("services", self.services);
  }
};

// What the new program says of a copy of that.
struct UpgradeAnswer {
  static constexpr char kType[] = "upgrade_answer";
  std::string version;
  std::string why_not;  // empty: it can take over
  std::string hint;
  std::string file;  // which one it is: see server/upgrade/program_file.h

  template <typename Self, typename Visitor>
  static void Visit(Self& self, Visitor& visit) {
    visit.Required("version", self.version);
    visit.Required("why_not", self.why_not);
    visit.Optional("hint", self.hint);
    visit.Required("file", self.file);
  }
};

}  // namespace forkserver::protocol

// Bodies that are encoded by themselves.
#define FORKSERVER_UPGRADE_BODIES(X) \
  X(HandedControl)                   \
  X(HandedLauncher)                  \
  X(HandedSupervisor) X(HandedServices) X(HandedDaemon) X(UpgradeAnswer)
