// The services: named workers that are kept as asked. Policy above the
// supervisor: it says when one is to run again, the supervisor how a worker
// lives and ends. What happens to a service is in one table, service_state.h.
//
// Passive: requests and the supervisor's events come in as calls, changes come
// out of TakeEvents(). Nothing here blocks. Poll fd() and call Process() when
// it is readable or when NextDeadlineNs() has come.
#pragma once

#include <forkserver/result.h>
#include <forkserver/types.h>

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "sdk/process/poll_set.h"
#include "sdk/protocol/messages.h"
#include "sdk/protocol/state_messages.h"
#include "sdk/protocol/upgrade_messages.h"
#include "server/handed_fds.h"
#include "server/output/log_writer.h"
#include "server/services/service.h"
#include "server/services/service_state.h"
#include "server/supervisor/supervisor.h"

namespace forkserver::server {

struct ServiceChanged {
  ServiceInfo service;
  bool removed = false;  // it is not known any more
};

class Services {
 public:
  struct Options {
    // A folder of the user's own, for logs and the sockets of readiness. Made
    // with the first service.
    std::string folder;
  };
  // `supervisor` is borrowed.
  static Result<std::unique_ptr<Services>> Create(Supervisor& supervisor,
                                                  Options options);
  Services(const Services&) = delete;
  Services& operator=(const Services&) = delete;

  int fd() const { return poll_set_.fd(); }
  std::optional<std::int64_t> NextDeadlineNs() const;
  void Process();
  // What of the supervisor's events is about workers of services.
  void Observe(const std::vector<SupervisorEvent>& events);
  std::vector<ServiceChanged> TakeEvents();
  bool has_events() const { return !events_.empty(); }

  // Each returns at once; how the service is afterwards is told by Find and
  // the events. Errors: "bad_request", "unknown_service", "service_conflict".
  Result<void> Start(const Supervisor::Requester& requester,
                     protocol::ServiceStart request);
  // In what the service that is known differs from this one, or empty.
  Result<std::string> Compare(const Supervisor::Requester& requester,
                              protocol::ServiceStart request) const;
  Result<void> Stop(const protocol::ServiceStop& request);
  Result<void> Restart(const std::string& name);
  // Null: there is none.
  const Service* Find(const std::string& name) const;
  ServiceInfo InfoOf(const Service& service) const;
  std::vector<ServiceInfo> All() const;
  bool empty() const { return services_.empty(); }

  // What an earlier run of the daemon has left: services whose runs outlive it.
  // Call once, before anything else. Blocks for seconds at most, where that was
  // killed in the midst of a launch. Returns what is to be logged.
  std::vector<std::string> Restore();

  // What the program that this one replaces has handed over; instead of
  // Restore. Error if one of them cannot be heard.
  Result<void> Resume(protocol::HandedServices handed);
  // Everything, as it is when TakeEvents has returned. Not while shutting down.
  protocol::HandedServices WriteDown(HandedFds& fds) const;

  // Nothing is started any more, and all are stopped: each once those after it
  // have ended.
  void BeginShutdown();
  // The longest time that this may take by itself.
  std::chrono::milliseconds LongestShutdown() const;

 private:
  Services(Supervisor& supervisor, PollSet poll_set, Options options);

  Result<void> Check(const protocol::ServiceStart& request) const;
  Result<void> CheckProject(const protocol::ServiceStart& request) const;
  Result<void> CheckDependencies(const protocol::ServiceStart& request) const;
  static Result<ServiceDefinition> MakeDefinition(
      const Supervisor::Requester& requester, protocol::ServiceStart request);
  Result<Service*> FindKnown(const std::string& name);
  Result<void> Redefine(Service& service, ServiceDefinition definition,
                        bool replace);

  void On(Service& service, ServiceEvent event);
  // Of a shutdown: its turn may have come.
  void StopIfLast(Service& service);
  void Publish(const Service& service, bool removed = false);
  void Remove(Service& service);
  // Sets a point in time of a service, and the timer with it.
  void Schedule(Service& service, std::int64_t Service::*when,
                std::int64_t at_ns);

  // Writes down what the next run of the daemon is to know of it, if its own
  // runs outlive this one.
  Result<void> Save(Service& service);
  void SaveOrSay(Service& service);
  // `launches_are_over` is filled when it is first asked for.
  Result<std::uint64_t> Restore(const protocol::SavedService& saved,
                                std::optional<bool>& launches_are_over);
  void Adopt(Service& service, const Supervisor::Earlier& earlier);
  std::string SavedPath(const std::string& name) const;
  // Nobody else may write to it: what is there is believed, and executed.
  Result<void> CheckFolder() const;
  Result<void> MakeFolder() const;
  // Locks a file until the descriptor is closed, here and in the child that is
  // to be the worker: by then that runs its program, and is found by its
  // FORKSERVER_WORKER.
  Result<UniqueFd> HoldLaunch() const;
  // No child of a daemon that was killed is between its fork and its program.
  // Waits for that, within bounds.
  bool LaunchesAreOver() const;

  void Define(Service& service, ServiceDefinition definition);
  void Undefine(Service& service);
  // Services that wait may go on now, or never will.
  void CheckWaiting();
  void CheckWaiting(Service& service);
  void Launch(Service& service);
  Result<ProcessKey> StartWorker(Service& service);
  void StartProbe(Service& service);
  void StopProbe(Service& service);
  void BackOff(Service& service);
  // `record` is null if it could not be launched.
  void OnRunOver(Service& service, const ExitRecord* record,
                 const std::string& launch_failure);
  // `failure` is empty if it said that the service is ready.
  void OnProbeEnded(Service& service, std::string failure);
  void Hear(Service& service);
  void BecomeReady(Service& service);
  void ArmWatchdog(Service& service);
  // Its run has failed, and ends for that.
  void Fail(Service& service, std::string why);
  Result<void> WatchReadiness(const Service& service);
  void DropReadiness(Service& service);
  void OnTime(Service& service, std::int64_t now_ns);

  // Its output goes to its log: adds the streams to what its worker is to be.
  Result<void> OpenLog(Service& service, protocol::Setup& setup,
                       std::vector<UniqueFd>& fds);
  Result<void> StartLogWriter();
  void StopLogWriter();
  void RestartLogWriter();
  void Note(const Service& service, const std::string& text);
  void CloseLog(Service& service);
  void HearLogWriter();
  // As much as it has to say.
  void WatchLogWriter();
  // One that nobody watches.
  void WatchNewLogWriter();
  void On(const LogWriter::Event& event);
  std::string LogPath(const Service& service) const;
  Service* ByNumber(std::uint64_t number);

  void Observe(const WorkerLaunched& event);
  void Observe(const WorkerLaunchFailed& event);
  void Observe(const WorkerEnded& event);
  void Observe(const ZygoteChanged&) {}
  void Observe(const ZygoteStartFailed&) {}
  void Observe(const ProgramTried&) {}

  Supervisor& supervisor_;
  PollSet poll_set_;
  Options options_;
  std::map<std::string, Service> services_;
  std::unordered_map<std::uint64_t, Service*> numbers_;
  std::uint64_t last_number_ = 0;
  std::unordered_map<ProcessKey, std::uint64_t> runs_;    // to the service
  std::unordered_map<ProcessKey, std::uint64_t> probes_;  // to the service
  // There as long as there are services; `logs_` leads to the service.
  std::optional<LogWriter> log_writer_;
  std::int64_t restart_log_writer_ns_ = 0;  // 0: it runs
  bool log_writer_is_full_ = false;         // it is watched for writing
  std::unordered_map<std::uint64_t, std::uint64_t> logs_;
  std::uint64_t last_log_ = 0;
  std::set<std::pair<std::int64_t, std::uint64_t>> timers_;
  // Who is after a service, by its name.
  std::map<std::string, std::set<std::uint64_t>> followers_;
  std::deque<std::uint64_t> to_check_;  // see CheckWaiting
  std::vector<ServiceChanged> events_;
  std::minstd_rand random_;
  bool shutting_down_ = false;
};

}  // namespace forkserver::server
