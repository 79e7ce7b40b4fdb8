// A forkserverd of the benchmark's own, in a folder of its own in /tmp, and a
// client of it. Destroying it stops the daemon and removes the folder.
#pragma once

#include <forkserver/client.h>
#include <forkserver/result.h>
#include <sys/types.h>

#include <functional>
#include <string>
#include <vector>

namespace forkserver::benchmark {

// The Python that is measured.
inline constexpr char kPython[] = "/usr/bin/python3";

// The programs that are measured and that measure.
struct Programs {
  std::string forkserverd;
  std::string zygote;        // benchmark_zygote
  std::string tiny;          // tiny_program
  std::string contender;     // multiprocessing_contender.py
  std::string python_entry;  // python_entry.py
  std::string package;       // the folder for PYTHONPATH
  std::string project;       // the folder of a Django project
  std::string forkserver;
  std::string many_doctests;
  std::string many_gtests;
  std::string peers;  // a folder
};

inline constexpr char kZygoteName[] = "benchmark";

class PrivateDaemon {
 public:
  static Result<PrivateDaemon> Start(const Programs& programs);
  PrivateDaemon(PrivateDaemon&& other) noexcept;
  PrivateDaemon& operator=(PrivateDaemon&&) = delete;
  ~PrivateDaemon();

  Client& client() { return client_; }
  Result<Client> Connect() const;  // one more
  pid_t pid() const { return pid_; }
  // For what else a case needs; goes with the daemon.
  const std::string& folder() const { return folder_; }
  std::string socket() const { return folder_ + "/d.sock"; }

  // Starts benchmark_zygote in it.
  // The benchmark's program, by default as kZygoteName.
  Result<void> StartZygote(const Programs& programs,
                           ZygoteOptions options = {});

 private:
  PrivateDaemon(std::string folder, pid_t pid, Client client);
  std::string folder_;
  pid_t pid_ = 0;
  Client client_;
};

// Streams on /dev/null, everything else the benchmark's own.
SpawnOptions SpawnRequest(std::vector<std::string> argv);
ForkOptions ForkRequest(std::string entry, std::string zygote = kZygoteName);

// From the request to the exit record by the fastest way of the SDK: one
// request, one answer. A worker that does not exit with 0 is an error.
Result<void> RunToExit(Client& client, const SpawnOptions& options);
Result<void> RunToExit(Client& client, const ForkOptions& options);

// The same for a client that also wants to know when the worker runs.
Result<void> SpawnAndWait(Client& client, const SpawnOptions& options);
Result<void> ForkAndWait(Client& client, const ForkOptions& options);

// `count` requests, of which `in_flight` run at any time, as many of each
// client. `request` is SpawnAsync or ForkAsync of a client.
using AsyncRequest =
    std::function<void(Client&, std::function<void(Result<Worker>)>)>;
Result<void> RunInFlight(const std::vector<Client*>& clients,
                         const AsyncRequest& request, int count, int in_flight);

}  // namespace forkserver::benchmark
