#include "tools/benchmark/private_daemon.h"

#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <filesystem>
#include <memory>
#include <optional>
#include <utility>

extern char** environ;

namespace forkserver::benchmark {
namespace {

constexpr int kStartAttempts = 1000;  // of 10 ms
// A daemon that was left behind by a killed benchmark ends by itself.
constexpr char kIdleExit[] = "--idle-exit=60s";

Result<pid_t> Launch(const std::string& program, const std::string& socket) {
  std::string words[] = {program, "--foreground", "--socket=" + socket,
                         kIdleExit, "--log-level=warning"};
  char* const argv[] = {words[0].data(), words[1].data(), words[2].data(),
                        words[3].data(), words[4].data(), nullptr};
  pid_t pid = 0;
  const int outcome =
      ::posix_spawn(&pid, argv[0], nullptr, nullptr, argv, environ);
  if (outcome != 0) return SystemError("posix_spawn(" + program + ")", outcome);
  return pid;
}

void End(pid_t pid, int signal) {
  ::kill(pid, signal);
  while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
}

Result<Client> ConnectTo(const std::string& socket) {
  ConnectOptions options;
  options.socket_path = socket;
  options.start_daemon = false;
  options.client_name = "benchmark";
  return Client::Connect(options);
}

Result<void> CheckExit(const Result<ExitRecord>& record) {
  if (!record) return record.error();
  if (record->code && *record->code == 0) return {};
  return MakeError(error_code::kSystem,
                   "worker " + record->id + " did not exit with 0");
}

}  // namespace

PrivateDaemon::PrivateDaemon(std::string folder, pid_t pid, Client client)
    : folder_(std::move(folder)), pid_(pid), client_(std::move(client)) {}

PrivateDaemon::PrivateDaemon(PrivateDaemon&& other) noexcept
    : folder_(std::exchange(other.folder_, {})),
      pid_(std::exchange(other.pid_, 0)),
      client_(std::move(other.client_)) {}

PrivateDaemon::~PrivateDaemon() {
  if (pid_ <= 0) return;
  End(pid_, SIGTERM);
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

Result<PrivateDaemon> PrivateDaemon::Start(const Programs& programs) {
  char folder[] = "/tmp/fsbXXXXXX";
  if (::mkdtemp(folder) == nullptr) return SystemError("mkdtemp()", errno);
  const std::string socket = std::string(folder) + "/d.sock";
  Result<pid_t> pid = Launch(programs.forkserverd, socket);
  if (!pid) return pid.error();
  Result<Client> client = ConnectTo(socket);
  for (int i = 0; !client && i < kStartAttempts; ++i) {
    const timespec pause = {0, 10'000'000};
    ::nanosleep(&pause, nullptr);
    if (::waitpid(*pid, nullptr, WNOHANG) != 0) {
      return MakeError(error_code::kConnectFailed,
                       programs.forkserverd + " ended at once");
    }
    client = ConnectTo(socket);
  }
  if (!client) {
    End(*pid, SIGKILL);
    return client.error();
  }
  return PrivateDaemon(folder, *pid, *std::move(client));
}

Result<Client> PrivateDaemon::Connect() const { return ConnectTo(socket()); }

Result<void> PrivateDaemon::StartZygote(const Programs& programs,
                                        ZygoteOptions options) {
  if (options.name.empty()) options.name = kZygoteName;
  options.argv = {programs.zygote};
  auto zygote = client_.StartZygote(options);
  return zygote ? Result<void>() : zygote.error();
}

SpawnOptions SpawnRequest(std::vector<std::string> argv) {
  SpawnOptions options;
  options.argv = std::move(argv);
  options.null_streams = true;
  return options;
}

ForkOptions ForkRequest(std::string entry, std::string zygote) {
  ForkOptions options;
  options.zygote = std::move(zygote);
  options.entry = std::move(entry);
  options.null_streams = true;
  return options;
}

Result<void> RunToExit(Client& client, const SpawnOptions& options) {
  return CheckExit(client.Run(options));
}

Result<void> RunToExit(Client& client, const ForkOptions& options) {
  return CheckExit(client.Run(options));
}

Result<void> SpawnAndWait(Client& client, const SpawnOptions& options) {
  auto worker = client.Spawn(options);
  if (!worker) return worker.error();
  return CheckExit(client.Wait(worker->id));
}

Result<void> ForkAndWait(Client& client, const ForkOptions& options) {
  auto worker = client.Fork(options);
  if (!worker) return worker.error();
  return CheckExit(client.Wait(worker->id));
}

namespace {

// Shared with the callbacks, which a failure may leave behind in the client.
struct Flight : std::enable_shared_from_this<Flight> {
  AsyncRequest request;
  int count = 0;
  int begun = 0;
  int ended = 0;
  std::optional<Error> failure;

  void Begin(Client& client) {
    ++begun;
    request(client, [self = shared_from_this(), &client](Result<Worker> one) {
      if (!one) return self->End(client, one.error());
      client.OnExit(one->id, [self, &client](const Result<ExitRecord>& record) {
        self->End(client, CheckExit(record));
      });
    });
  }

  void End(Client& client, const Result<void>& outcome) {
    if (!outcome && !failure) failure = outcome.error();
    ++ended;
    if (begun < count && !failure) Begin(client);
  }
};

}  // namespace

Result<void> RunInFlight(const std::vector<Client*>& clients,
                         const AsyncRequest& request, int count,
                         int in_flight) {
  const auto flight = std::make_shared<Flight>();
  flight->request = request;
  flight->count = count;
  for (int i = 0; i < std::min(in_flight, count); ++i) {
    flight->Begin(*clients[static_cast<std::size_t>(i) % clients.size()]);
  }
  std::vector<pollfd> waiting;
  waiting.reserve(clients.size());
  for (const Client* const client : clients) {
    waiting.push_back({client->descriptor(), POLLIN, 0});
  }
  while (flight->ended < count && !flight->failure) {
    if (::poll(waiting.data(), waiting.size(), -1) < 0 && errno != EINTR) {
      return SystemError("poll()", errno);
    }
    for (std::size_t i = 0; i < clients.size(); ++i) {
      if (waiting[i].revents == 0) continue;
      if (auto processed = clients[i]->Process(); !processed) {
        return processed.error();
      }
    }
  }
  if (flight->failure) return *flight->failure;
  return {};
}

}  // namespace forkserver::benchmark
