// The daemon's side of a conversation with one zygote, for tests.
#pragma once

#include <sys/types.h>

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "sdk/base/unique_fd.h"
#include "sdk/protocol/codec.h"
#include "sdk/protocol/framing.h"
#include "sdk/protocol/messages.h"

namespace forkserver::testing {

// The ends of a zygote's channels that the daemon holds, and all that arrived
// through them. Nothing is lost and nothing is waited for but by WaitFor.
class ZygoteChannel {
 public:
  // `zygote_control`, `zygote_report`: the zygote's ends, to be given to it.
  static ZygoteChannel Make(UniqueFd& zygote_control, UniqueFd& zygote_report);

  template <typename Body>
  void Send(const Body& body, const std::vector<int>& fds = {}) {
    SendBytes(protocol::EncodeRequest(0, fds.size(), body), fds);
  }
  void SendBytes(std::string_view bytes, const std::vector<int>& fds = {});
  void Configure(std::vector<std::string> preload = {});
  void CloseControl() { control_.Reset(); }

  // Reads what arrives until `done` is true. False after 30 s.
  bool WaitFor(const std::function<bool()>& done);
  bool WaitForExited(const std::string& worker) {
    return WaitFor([&] { return exited.count(worker) != 0; });
  }
  bool WaitForStarted(const std::string& worker) {
    return WaitFor([&] { return started.count(worker) != 0; });
  }
  bool WaitForFailed(const std::string& worker) {
    return WaitFor([&] { return failed.count(worker) != 0; });
  }

  std::optional<protocol::ZygoteHello> hello;
  std::optional<protocol::ZygoteReady> ready;
  std::optional<protocol::WireError> zygote_failed;
  bool control_closed = false;
  bool report_closed = false;
  // By worker; `reports` counts all messages of the report pipe.
  std::map<std::string, protocol::Started> started;
  std::map<std::string, protocol::Failed> failed;
  std::map<std::string, protocol::Exited> exited;
  int reports = 0;
  std::size_t longest_report = 0;

 private:
  void TakeFrames(protocol::FrameReader& reader);

  UniqueFd control_;
  UniqueFd report_;
  protocol::FrameReader control_reader_{protocol::kMaxFrameBytes};
  protocol::FrameReader report_reader_{protocol::kMaxFrameBytes};
};

// One zygote process, started as forkserverd does it.
class ZygoteDriver {
 public:
  struct Options {
    // Besides PATH and the sanitizers' variables.
    std::vector<std::string> env;
    int max_open_files = 0;  // 0: as they are
  };
  explicit ZygoteDriver(const Options& options);
  ZygoteDriver() : ZygoteDriver(Options()) {}
  // A zygote that is ready.
  explicit ZygoteDriver(std::vector<std::string> preload);
  // Ends the zygote, and checks that nothing of it is left: no process, no
  // zombie, no descriptor of this process.
  ~ZygoteDriver();

  ZygoteChannel& channel() { return channel_; }
  pid_t pid() const { return pid_; }
  // The wait status; nullopt if it does not end in 30 s.
  std::optional<int> WaitForEnd();
  // What the zygote and its workers wrote to standard error.
  std::string ReadErrors();

 private:
  int open_fds_before_;
  ZygoteChannel channel_;
  UniqueFd errors_;
  pid_t pid_ = -1;
};

// A setup with `entry`, an environment that is not stale and "/" as its folder.
protocol::Setup MakeSetup(const std::string& entry,
                          const std::string& args = {});
protocol::ForkWorker MakeForkWorker(const std::string& worker,
                                    const protocol::Setup& setup);

// Forks a worker with a result descriptor and returns what it wrote there,
// when both its result and its end have arrived. Fails the test if they do not.
std::string Call(ZygoteChannel& channel, const std::string& worker,
                 protocol::Setup setup);

// Reads `fd` to its end.
std::string ReadAll(int fd);

// The program under test, and one run of it by hand.
std::string ZygoteProgram();
struct HandRun {
  int status = -1;
  std::string output;
  std::string errors;
};
HandRun RunZygoteProgram(const std::vector<std::string>& arguments,
                         const std::vector<std::string>& env = {});

}  // namespace forkserver::testing
