// The program whose workers are measured. As a zygote it offers
//   stamp   writes the time of its first instruction and ends
//   nothing ends
//   sleep   lives until it is stopped
//   spin    computes until it is stopped
// the preload step
//   gigabyte  fills so much memory
// and by hand
//   fork_and_wait  forks in this very process, as BareForkQuestion on standard
//                  input says, and answers on standard output
//   run_or_exec    is a client, asked for the program that its argument names.
#include <forkserver/zygote.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>
#include <string>
#include <vector>

#include "tools/benchmark/bare_fork.h"
#include "tools/benchmark/private_daemon.h"
#include "tools/benchmark/run_or_exec.h"
#include "tools/benchmark/sampler.h"
#include "tools/benchmark/shared_stamp.h"

namespace {

using forkserver::WorkerContext;
using forkserver::benchmark::BareForkAnswer;
using forkserver::benchmark::BareForkQuestion;
using forkserver::benchmark::NowNs;

forkserver::benchmark::Stamp* stamp = nullptr;

int WriteStamp(WorkerContext&) {
  stamp->store(NowNs(), std::memory_order_release);
  return 0;
}

int DoNothing(WorkerContext&) { return 0; }

int SleepForever(WorkerContext&) {
  for (;;) ::pause();
}

int Spin(WorkerContext&) {
  for (volatile unsigned count = 0;;) count = count + 1;
}

// In the small pieces that programs allocate.
forkserver::Result<void> FillGigabyte() {
  static std::vector<std::string> pieces;
  while (pieces.size() < (1u << 20)) pieces.emplace_back(1000, 'x');
  return {};
}

bool ForkOnce(BareForkAnswer& answer) {
  const std::int64_t begun_ns = NowNs();
  const pid_t pid = ::fork();
  if (pid == 0) {
    stamp->store(NowNs(), std::memory_order_release);
    ::_exit(0);
  }
  if (pid < 0) return false;
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR) return false;
  }
  answer.exit_ns = NowNs() - begun_ns;
  answer.first_ns = stamp->load(std::memory_order_acquire) - begun_ns;
  return true;
}

int ForkAndWait(WorkerContext&) {
  BareForkQuestion question;
  while (::read(0, &question, sizeof(question)) == sizeof(question)) {
    if (question.idle_us > 0) {
      const timespec idle = {question.idle_us / 1'000'000,
                             question.idle_us % 1'000'000 * 1000};
      ::nanosleep(&idle, nullptr);
    }
    BareForkAnswer answer;
    const std::int64_t begun_ns = NowNs();
    for (std::int64_t i = 0; i < question.count; ++i) {
      if (!ForkOnce(answer)) return 1;
    }
    answer.total_ns = NowNs() - begun_ns;
    if (::write(1, &answer, sizeof(answer)) != sizeof(answer)) return 1;
  }
  return 0;
}

bool ForkAndExec(const char* program) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::execl(program, program, nullptr);
    ::_exit(127);
  }
  int status = 0;
  while (pid > 0 && ::waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR) return false;
  }
  return pid > 0 && status == 0;
}

int RunOrExec(WorkerContext& context) {
  forkserver::ConnectOptions options;
  options.start_daemon = false;
  auto client = forkserver::Client::Connect(options);
  if (!client) return 1;
  const auto request = forkserver::benchmark::SpawnRequest({context.args()});
  char question = 0;
  while (::read(0, &question, 1) == 1) {
    const std::int64_t begun_ns = NowNs();
    const bool done =
        question == forkserver::benchmark::kRunIt
            ? forkserver::benchmark::RunToExit(*client, request).has_value()
            : ForkAndExec(context.args().c_str());
    const std::int64_t took_ns = NowNs() - begun_ns;
    if (!done || ::write(1, &took_ns, sizeof(took_ns)) != sizeof(took_ns)) {
      return 1;
    }
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  forkserver::Zygote zygote(argc, argv);
  stamp = forkserver::benchmark::MapStamp();
  if (stamp == nullptr) return 2;
  zygote.AddEntry("stamp", WriteStamp);
  zygote.AddEntry("nothing", DoNothing);
  zygote.AddEntry("sleep", SleepForever);
  zygote.AddEntry("spin", Spin);
  zygote.AddPreload("gigabyte", FillGigabyte);
  zygote.AddEntry("fork_and_wait", ForkAndWait);
  zygote.AddEntry("run_or_exec", RunOrExec);
  return zygote.Serve();
}
