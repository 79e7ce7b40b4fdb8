#include "sdk/cpp/forked_child.h"

#include <cstdlib>
#include <ctime>
#include <string_view>
#include <utility>

#include "sdk/process/child_setup.h"

extern char** environ;

namespace forkserver {

namespace {

// What both have.
template <typename Body>
ForkRequest Take(Body& body, std::vector<UniqueFd> fds) {
  ForkRequest request;
  request.worker = std::move(body.worker);
  request.setup = std::move(body.setup);
  request.limits = std::move(body.limits);
  request.fds = std::move(fds);
  return request;
}

}  // namespace

ForkRequest MakeForkRequest(protocol::ForkWorker body,
                            std::vector<UniqueFd> fds) {
  ForkRequest request = Take(body, std::move(fds));
  request.detach = body.detach;
  request.canary = body.canary;
  request.heir = static_cast<pid_t>(body.heir);
  if (body.cgroup && !request.fds.empty()) {
    request.cgroup = std::move(request.fds.back());
    request.fds.pop_back();
  }
  return request;
}

ForkRequest MakeForkRequest(protocol::ForkZygote body,
                            std::vector<UniqueFd> fds) {
  return Take(body, std::move(fds));
}

Result<void> CheckFrozen(const FrozenEnvironment& frozen,
                         const protocol::Setup& setup) {
  const std::string difference = frozen.DescribeDifference(setup.env);
  if (difference.empty()) return {};
  return MakeError(error_code::kStaleEnvironment,
                   "frozen variables are not the zygote's: " + difference,
                   "restart the zygote with this environment, or send its own");
}

bool ChangesTimeZone(const std::vector<std::string>& environment) {
  constexpr std::string_view kPrefix = "TZ=";
  const char* wanted = nullptr;
  for (const std::string& variable : environment) {
    if (variable.compare(0, kPrefix.size(), kPrefix) == 0) {
      wanted = variable.c_str() + kPrefix.size();
      break;
    }
  }
  const char* const present = std::getenv("TZ");
  if (wanted == nullptr || present == nullptr) return wanted != present;
  return std::string_view(wanted) != present;
}

void ReplaceEnvironment(std::vector<std::string> environment) {
  // Never freed: pointers that getenv(3) returned may be held anywhere. Kept
  // reachable for LeakSanitizer.
  struct Block {
    std::vector<std::string> variables;
    std::vector<char*> pointers;
    Block* previous;
  };
  static Block* current = nullptr;
  const bool new_time_zone = ChangesTimeZone(environment);
  auto* block = new Block{std::move(environment), {}, current};
  block->pointers = PointersTo(block->variables);
  environ = block->pointers.data();
  current = block;
  if (new_time_zone) ::tzset();
}

}  // namespace forkserver
