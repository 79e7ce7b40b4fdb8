#include "tools/benchmark/s6_service.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <utility>

namespace forkserver::benchmark {
namespace {

// A listener is a pipe in the folder `event`, by a name of this form
// (libs6's ftrigr.h): a time stamp and six more characters.
constexpr char kListener[] = "/event/ftrig1:@400000000000000000000000:bench6";
constexpr char kSupervisorStarted = 's';
constexpr char kDownAndFinished = 'D';
constexpr int kPatienceMs = 20'000;

}  // namespace

S6Service::S6Service(std::string folder, UniqueFd events, Helper supervisor)
    : folder_(std::move(folder)),
      events_(std::move(events)),
      supervisor_(std::move(supervisor)) {}

S6Service::~S6Service() {
  if (!events_) return;  // moved from
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

Result<S6Service> S6Service::Start(const std::string& supervise,
                                   const std::string& program) {
  const bool shm = ::access("/dev/shm", W_OK) == 0;
  std::string folder = shm ? "/dev/shm/fsbXXXXXX" : "/tmp/fsbXXXXXX";
  if (::mkdtemp(folder.data()) == nullptr) {
    return SystemError("mkdtemp(" + folder + ")", errno);
  }
  const std::string listener = folder + kListener;
  std::ofstream(folder + "/down").close();  // not started by itself
  UniqueFd events;
  if (::mkdir((folder + "/event").c_str(), 0700) == 0 &&
      ::symlink(program.c_str(), (folder + "/run").c_str()) == 0 &&
      ::mkfifo(listener.c_str(), 0600) == 0) {
    // Open for writing too: no end of file between two events.
    events = UniqueFd(::open(listener.c_str(), O_RDWR | O_CLOEXEC));
  }
  const int problem = errno;
  auto supervisor = events ? Helper::Start({{supervise, folder}})
                           : SystemError("open(" + listener + ")", problem);
  if (!supervisor) {
    std::error_code ignored;
    std::filesystem::remove_all(folder, ignored);
    return supervisor.error();
  }
  S6Service service(folder, std::move(events), *std::move(supervisor));
  if (auto started = AwaitEvent(service.events_.get(), kSupervisorStarted);
      !started) {
    return started.error();
  }
  const std::string control = folder + "/supervise/control";
  service.control_ =
      UniqueFd(::open(control.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC));
  if (!service.control_) return SystemError("open(" + control + ")", errno);
  return service;
}

Result<void> S6Service::AwaitEvent(int events, char event) {
  for (char next = 0; next != event;) {
    pollfd ready = {events, POLLIN, 0};
    const int outcome = ::poll(&ready, 1, kPatienceMs);
    if (outcome < 0 && errno == EINTR) continue;
    if (outcome <= 0 || ::read(events, &next, 1) != 1) {
      return MakeError(error_code::kSystem, "s6-supervise does not answer");
    }
  }
  return {};
}

Result<void> S6Service::RunToExit() {
  if (::write(control_.get(), "o", 1) != 1) {
    return SystemError("write(supervise/control)", errno);
  }
  return AwaitEvent(events_.get(), kDownAndFinished);
}

}  // namespace forkserver::benchmark
