#include "tools/project/carry_out.h"

#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <set>
#include <utility>

namespace forkserver::project {
namespace {

template <typename Info>
const Info* Find(const std::vector<Info>& infos, const std::string& name) {
  const auto found =
      std::find_if(infos.begin(), infos.end(),
                   [&](const Info& info) { return info.name == name; });
  return found == infos.end() ? nullptr : &*found;
}

bool IsLoss(const Error& error) {
  return error.code == error_code::kConnectionLost ||
         error.code == error_code::kDisabled ||
         error.code == error_code::kDaemonStopping;
}

bool IsChange(Action action) {
  return action == Action::kReplace || action == Action::kRestart;
}

class Carrier {
 public:
  Carrier(Client& client, const Project& project, const Known& known,
          const std::vector<Step>& steps, const CarryOutOptions& options)
      : client_(client),
        project_(project),
        known_(known),
        steps_(steps),
        options_(options),
        outcomes_(steps.size()),
        over_(steps.size()) {}

  Result<std::vector<Outcome>> Run() {
    for (std::size_t i = 0; i < steps_.size(); ++i) {
      outcomes_[i] = OutcomeOf(steps_[i], known_);
      if (steps_[i].action == Action::kKeep) Finish(i);
      if (steps_[i].action == Action::kConflict) Fail(i, steps_[i].why);
    }
    // A zygote that does not come costs nobody the worker that runs.
    StopInWaves(Kind::kService, Action::kRemove);
    ChangeZygotes();
    SkipWhatNeedsAFailedZygote();
    StopChanged();
    StartServices();
    if (loss_) return *loss_;
    return std::move(outcomes_);
  }

 private:
  void Finish(std::size_t i) {
    over_[i] = true;
    if (options_.on_outcome) options_.on_outcome(outcomes_[i]);
  }
  void Fail(std::size_t i, std::string error) {
    failed_.insert({steps_[i].kind, steps_[i].name});
    outcomes_[i].error = std::move(error);
    Finish(i);
  }
  void Fail(std::size_t i, const Error& error) {
    if (IsLoss(error)) loss_ = error;
    outcomes_[i].state = error.code == error_code::kServiceFailed
                             ? std::optional(std::string("failed"))
                             : outcomes_[i].state;
    Fail(i, error.ToString());
  }
  bool HasFailed(Kind kind, const std::string& name) const {
    return failed_.count({kind, name}) != 0;
  }

  // Reads until every answer is there.
  void AwaitAnswers() {
    while (pending_ > 0 && !loss_) {
      struct pollfd readable = {client_.descriptor(), POLLIN, 0};
      if (::poll(&readable, 1, -1) < 0 && errno != EINTR) {
        loss_ = SystemError("poll()", errno);
        return;
      }
      if (auto processed = client_.Process(); !processed && pending_ > 0) {
        loss_ = processed.error();
      }
    }
  }

  // Those that nobody who is still to be stopped is after, all at once; then
  // the next.
  void StopInWaves(std::set<std::size_t> left) {
    while (!left.empty() && !loss_) {
      std::vector<std::size_t> wave;
      for (const std::size_t i : left) {
        const bool needed =
            std::any_of(left.begin(), left.end(), [&](std::size_t other) {
              const ServiceInfo* const info =
                  Find(known_.services, steps_[other].name);
              return other != i && info != nullptr &&
                     std::count(info->policy.after.begin(),
                                info->policy.after.end(), steps_[i].name) != 0;
            });
        if (!needed) wave.push_back(i);
      }
      if (wave.empty()) wave.assign(left.begin(), left.end());
      for (const std::size_t i : wave) {
        left.erase(i);
        Stop(i);
      }
      AwaitAnswers();
    }
  }
  void StopInWaves(Kind kind, Action action) {
    std::set<std::size_t> left;
    for (std::size_t i = 0; i < steps_.size(); ++i) {
      if (steps_[i].kind == kind && steps_[i].action == action) left.insert(i);
    }
    StopInWaves(std::move(left));
  }
  void StopChanged() {
    std::set<std::size_t> left;
    for (std::size_t i = 0; i < steps_.size(); ++i) {
      if (steps_[i].kind == Kind::kService && !over_[i] &&
          IsChange(steps_[i].action)) {
        left.insert(i);
      }
    }
    StopInWaves(std::move(left));
  }

  void Stop(std::size_t i) {
    const bool remove = steps_[i].action == Action::kRemove;
    ++pending_;
    client_.StopServiceAsync(
        steps_[i].name, options_.grace, remove,
        [this, i, remove](const Result<ServiceInfo>& stopped) {
          --pending_;
          const bool gone =
              stopped || stopped.error().code == error_code::kUnknownService;
          if (!gone) return Fail(i, stopped.error());
          outcomes_[i].state.reset();
          if (remove) Finish(i);
        });
  }

  void ChangeZygotes() {
    for (std::size_t i = 0; i < steps_.size() && !loss_; ++i) {
      const Step& step = steps_[i];
      if (step.kind != Kind::kZygote || over_[i]) continue;
      if (step.action == Action::kRemove) {
        const auto stopped = client_.StopZygote(step.name);
        if (stopped || stopped.error().code == error_code::kUnknownZygote) {
          outcomes_[i].state.reset();
          Finish(i);
        } else {
          Fail(i, stopped.error());
        }
      } else {
        StartZygote(i);
      }
    }
  }

  void StartZygote(std::size_t i) {
    for (const ZygoteEntry& entry : project_.zygotes) {
      if (entry.options.name != steps_[i].name) continue;
      if (HasFailed(Kind::kZygote, entry.options.parent)) {
        return Fail(i, "its parent '" + entry.options.parent + "' has failed");
      }
      ZygoteOptions options = entry.options;
      options.replace = steps_[i].action == Action::kReplace;
      const auto started = client_.StartZygote(options);
      if (!started) {
        // If there was one, it was retired for this one.
        outcomes_[i].state.reset();
        return Fail(i, started.error());
      }
      outcomes_[i].state = std::string(NameOf(started->state));
      Finish(i);
    }
  }

  void SkipWhatNeedsAFailedZygote() {
    for (std::size_t i = 0; i < steps_.size(); ++i) {
      const ServiceEntry* const entry = EntryOf(i);
      if (entry == nullptr || over_[i]) continue;
      if (HasFailed(Kind::kZygote, entry->options.zygote)) {
        Fail(i, "its zygote '" + entry->options.zygote + "' has failed");
      }
    }
  }

  // Null: it is no service of the file.
  const ServiceEntry* EntryOf(std::size_t i) const {
    if (steps_[i].kind != Kind::kService) return nullptr;
    for (const ServiceEntry& entry : project_.services) {
      if (entry.options.name == steps_[i].name) return &entry;
    }
    return nullptr;
  }

  void StartServices() {
    for (std::size_t i = 0; i < steps_.size() && !loss_; ++i) {
      const ServiceEntry* const entry = EntryOf(i);
      if (entry == nullptr || over_[i]) continue;
      const std::vector<std::string>& after = entry->options.policy.after;
      const auto failed = std::find_if(after.begin(), after.end(),
                                       [this](const std::string& name) {
                                         return HasFailed(Kind::kService, name);
                                       });
      if (failed != after.end()) {
        Fail(i,
             "'" + *failed + "', which it is after, is not as the file says");
        continue;
      }
      ServiceOptions options = entry->options;
      options.no_wait = options_.no_wait;
      ++pending_;
      client_.StartServiceAsync(
          options, [this, i](const Result<ServiceInfo>& started) {
            --pending_;
            if (!started) return Fail(i, started.error());
            outcomes_[i].state = std::string(NameOf(started->state));
            Finish(i);
          });
    }
    AwaitAnswers();
  }

  Client& client_;
  const Project& project_;
  const Known& known_;
  const std::vector<Step>& steps_;
  const CarryOutOptions& options_;
  std::vector<Outcome> outcomes_;
  std::vector<bool> over_;
  std::set<std::pair<Kind, std::string>> failed_;
  int pending_ = 0;
  std::optional<Error> loss_;
};

}  // namespace

Outcome OutcomeOf(const Step& step, const Known& known) {
  Outcome outcome;
  outcome.kind = std::string(NameOf(step.kind));
  outcome.name = step.name;
  outcome.action = std::string(NameOf(step.action));
  outcome.why = step.why;
  if (step.kind == Kind::kService) {
    const ServiceInfo* const info = Find(known.services, step.name);
    if (info != nullptr) outcome.state = std::string(NameOf(info->state));
  } else {
    const ZygoteInfo* const info = Find(known.zygotes, step.name);
    if (info != nullptr) outcome.state = std::string(NameOf(info->state));
  }
  return outcome;
}

Result<Known> ReadKnown(Client& client, const Project& project) {
  Result<Snapshot> snapshot = client.List();
  if (!snapshot) return snapshot.error();
  Known known;
  known.services = std::move(snapshot->services);
  for (ZygoteInfo& zygote : snapshot->zygotes) {
    // Nobody can ask for it by its name.
    if (zygote.state != ZygoteState::kRetiring) {
      known.zygotes.push_back(std::move(zygote));
    }
  }
  // What has gone since is found out when it is asked for.
  for (const ZygoteEntry& entry : project.zygotes) {
    const ZygoteInfo* const info = Find(known.zygotes, entry.options.name);
    if (info == nullptr || info->project != project.file) continue;
    const auto difference = client.CompareZygote(entry.options);
    if (!difference && IsLoss(difference.error())) return difference.error();
    if (difference) {
      known.zygote_differences[entry.options.name] = *difference;
    }
  }
  for (const ServiceEntry& entry : project.services) {
    const ServiceInfo* const info = Find(known.services, entry.options.name);
    if (info == nullptr || info->project != project.file) continue;
    const auto difference = client.CompareService(entry.options);
    if (!difference && IsLoss(difference.error())) return difference.error();
    if (difference) {
      known.service_differences[entry.options.name] = *difference;
    }
  }
  return known;
}

Result<std::vector<Outcome>> CarryOut(Client& client, const Project& project,
                                      const Known& known,
                                      const std::vector<Step>& steps,
                                      const CarryOutOptions& options) {
  return Carrier(client, project, known, steps, options).Run();
}

}  // namespace forkserver::project
