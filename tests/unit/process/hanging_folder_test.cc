// A launch into a folder on a filesystem that never answers.
//
// The filesystem is FUSE by hand: /dev/fuse is opened and mounted, and nobody
// reads the requests. Tagged local: it mounts.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <string>
#include <utility>

#include "tests/skip.h"
#include "tests/unit/leftovers.h"
#include "tests/unit/process/launched_program.h"
#include "tests/unit/wait_for.h"

namespace forkserver {
namespace {

using testing::AwaitStarted;
using testing::LaunchAndReap;
using testing::NoLeftovers;
using testing::PlanFor;
using testing::Reap;
using testing::WaitFor;

// A mounted filesystem that never answers, until it is let go.
class HangingFolder {
 public:
  HangingFolder() {
    if (::mkdtemp(path_.data()) == nullptr) return;
    fuse_.Reset(::open("/dev/fuse", O_RDWR | O_CLOEXEC));
    if (!fuse_) return;
    const std::string options = "fd=" + std::to_string(fuse_.get()) +
                                ",rootmode=40000,user_id=0,group_id=0";
    mounted_ = ::mount("forkserver-test", path_.c_str(), "fuse",
                       MS_NOSUID | MS_NODEV, options.c_str()) == 0;
  }
  ~HangingFolder() {
    LetGo();
    ::rmdir(path_.c_str());
  }
  HangingFolder(const HangingFolder&) = delete;
  HangingFolder& operator=(const HangingFolder&) = delete;

  bool mounted() const { return mounted_; }
  const std::string& path() const { return path_; }

  // Whoever waits for an answer gets an error.
  void LetGo() {
    if (mounted_) ::umount2(path_.c_str(), MNT_DETACH);
    mounted_ = false;
    fuse_.Reset();
  }

 private:
  std::string path_ = "/tmp/fs-unit-XXXXXX";
  UniqueFd fuse_;
  bool mounted_ = false;
};

// True while `pid` is inside of chdir(2).
bool HangsInChdir(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/syscall");
  std::string number;
  file >> number;
  return number == std::to_string(SYS_chdir);
}

TEST_CASE(
    "a folder that never answers stops neither the launch nor the next "
    "one") {
  static_cast<void>(PlanFor({"/bin/true"}));
  for (const LaunchMethod method :
       {LaunchMethod::kBest, LaunchMethod::kSharedMemory,
        LaunchMethod::kFork}) {
    CAPTURE(static_cast<int>(method));
    HangingFolder folder;
    if (!folder.mounted()) {
      FORKSERVER_SKIP("kernel: cannot mount fuse here");
    }
    const NoLeftovers no_leftovers;
    ExecPlan plan = PlanFor({"/bin/true"});
    plan.method = method;
    plan.child.cwd = folder.path();
    auto hanging = ExecLaunch::Start(std::move(plan));
    REQUIRE(hanging);
    // Start came back; the child hangs, and says nothing.
    CHECK(WaitFor([&] { return HangsInChdir(hanging->pid()); }));
    auto answer = hanging->ReadStatus();
    REQUIRE(answer);
    CHECK_FALSE(*answer);

    for (int i = 0; i < 5; ++i) {
      ExecPlan other = PlanFor({"/bin/true"});
      other.method = method;
      const auto ended = LaunchAndReap(std::move(other));
      CHECK(ended.started);
      CHECK(ended.code == 0);
    }
    CHECK(HangsInChdir(hanging->pid()));

    // Only its end frees the memory that it shares with this process.
    ::kill(hanging->pid(), SIGKILL);
    CHECK(AwaitStarted(*hanging));
    CHECK(Reap(hanging->pid()) == -SIGKILL);
  }
}

TEST_CASE("a launch into a folder that goes away fails as chdir") {
  static_cast<void>(PlanFor({"/bin/true"}));
  const NoLeftovers no_leftovers;
  HangingFolder folder;
  if (!folder.mounted()) {
    FORKSERVER_SKIP("kernel: cannot mount fuse here");
  }
  ExecPlan plan = PlanFor({"/bin/true"});
  plan.child.cwd = folder.path();
  auto launch = ExecLaunch::Start(std::move(plan));
  REQUIRE(launch);
  CHECK(WaitFor([&] { return HangsInChdir(launch->pid()); }));
  folder.LetGo();
  const auto started = AwaitStarted(*launch);
  REQUIRE_FALSE(started);
  CHECK(started.error().step == "chdir");
  CHECK(started.error().error_number != 0);
  CHECK(Reap(launch->pid()) == 127);
}

}  // namespace
}  // namespace forkserver
