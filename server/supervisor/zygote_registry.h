// The zygotes by name: who asked for them, what they are made of, when they
// end. Policy only; processes are the launcher's business.
//
// Passive. The supervisor tells it what happened and asks it what to do.
#pragma once

#include <forkserver/result.h>

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "sdk/protocol/messages.h"
#include "server/launch/launch_event.h"
#include "server/supervisor/supervisor_event.h"
#include "server/supervisor/zygote_identity.h"

namespace forkserver::server {

// What is added here goes over in an upgrade: see supervisor_upgrade.cc.
struct Zygote {
  ProcessKey key = 0;
  std::string id;
  std::string name;
  pid_t pid = 0;
  ZygoteState state = ZygoteState::kStarting;
  ProcessKey parent = 0;
  ZygoteIdentity identity;
  std::vector<std::string> freeze;  // all patterns
  // What its workers inherit, where it differs from the daemon's own: the
  // limits of the client that made it, and those of its set-up.
  ResourceLimits limits;
  bool was_ready = false;  // it was told to be, whatever it is now
  bool keep = false;
  std::set<OwnerId> owners;
  std::int64_t workers = 0;
  std::int64_t forks = 0;
  // When its last worker or zygote ended, or it was retired.
  std::int64_t last_used_ns = 0;
  AuditPolicy audit_policy = AuditPolicy::kRefuse;
  std::int64_t spares_min = 0;
  std::int64_t spares_max = 0;
  std::int64_t entry_deadline_ns = 0;
  std::int64_t grace_ns = 0;            // once it is retired and unused
  std::vector<std::int64_t> given_fds;  // by the request
  std::optional<Audit> audit;
  std::optional<Error> refused;  // it is not put in service: why
  ProcessKey canary = 0;         // the worker that it is tried with
  int unbegun_in_a_row = 0;      // workers that did not reach their entry
  std::string quarantine;        // why, if it is
  std::vector<std::string> entries;
  std::vector<PreloadReport> preloads;
  // False, with the reasons, where it serves though it is not safe to fork.
  // Its workers' crash reports say so.
  bool pristine = true;
  std::vector<std::string> dirty;
};

class ZygoteRegistry {
 public:
  // What to say where FindByName found none.
  static Error UnknownZygote(const std::string& name);

  // The one that answers to `name`, starting or ready; nullptr if none does.
  Zygote* FindByName(const std::string& name);
  Zygote* Find(ProcessKey key);

  // What a request to start one means.
  struct StartPlan {
    Zygote* existing = nullptr;  // join this one
    Zygote* replaced = nullptr;  // retire this one first
    Zygote* parent = nullptr;    // fork from this one
  };
  // Errors: "bad_request" (name, argv), "zygote_conflict", "unknown_zygote"
  // (the parent), "stale_environment".
  Result<StartPlan> PlanStart(const protocol::ZygoteStart& request,
                              const ZygoteIdentity& identity);

  // In what the one of that name differs from this request, or empty.
  Result<std::string> Compare(const protocol::ZygoteStart& request,
                              const ZygoteIdentity& identity);

  // It answers to its name, unless it is retiring.
  Zygote& Add(Zygote zygote);
  void Erase(ProcessKey key);
  // It does not answer to its name any more, nor do those forked from it.
  // Returns all that are to be retired, children first.
  std::vector<ProcessKey> BeginRetire(ProcessKey key);
  // A connection ended: returns the zygotes that nobody wants any more.
  std::vector<ProcessKey> OwnerGone(OwnerId owner);
  // True if no worker and no other zygote lives off it.
  bool Unused(const Zygote& zygote) const;

  ZygoteInfo InfoOf(const Zygote& zygote) const;
  const std::map<ProcessKey, Zygote>& all() const { return zygotes_; }

 private:
  std::map<ProcessKey, Zygote> zygotes_;
  std::map<std::string, ProcessKey> names_;
};

}  // namespace forkserver::server
