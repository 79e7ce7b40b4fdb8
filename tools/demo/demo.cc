// The main job of forkserverd: a process that used a framework which does not
// survive fork() gets its workers from forkserverd instead.
//
//   demo WORKER_PROGRAM ZYGOTE_PROGRAM
//
// Exits with 0 when both workers of forkserverd finished with the right
// answer, whatever became of the child that the process forked itself.
#include <forkserver/client.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "tools/demo/forked_child.h"
#include "tools/demo/framework.h"
#include "tools/demo/work_report.h"

namespace forkserver::demo {
namespace {

// One worker of forkserverd, from request to end.
struct Outcome {
  std::int64_t requested_ns = 0;
  WorkReport report;
  ExitRecord exit;
};

[[noreturn]] void Fail(const std::string& what) {
  std::fflush(stdout);
  std::fprintf(stderr, "demo: %s\n", what.c_str());
  std::exit(1);
}

template <typename T>
T Check(Result<T> result, const char* what) {
  if (!result) Fail(std::string(what) + ": " + result.error().ToString());
  return *std::move(result);
}

void ForkPlainly() {
  constexpr std::chrono::seconds kPatience(2);
  std::printf("1. This process, pid %d, runs %s. Its answer is %s.\n",
              static_cast<int>(::getpid()), kFrameworkUse,
              DotProduct() == kRightAnswer ? "right" : "WRONG");
  std::printf("   Now it forks, and the child runs its first one:\n");
  std::fflush(stdout);
  const ForkedChild child = ForkAndCompute(kPatience);
  std::printf("     the forked child (pid %d) ", static_cast<int>(child.pid));
  switch (child.end) {
    case ForkedChild::End::kForkFailed:
      std::printf("could not be made: fork failed\n");
      break;
    case ForkedChild::End::kHung:
      std::printf("hung, cut off after %d s\n",
                  static_cast<int>(kPatience.count()));
      break;
    case ForkedChild::End::kSignal:
      std::printf("crashed: %s\n", ::strsignal(child.signal));
      break;
    case ForkedChild::End::kWrongAnswer:
      std::printf("finished with a WRONG answer\n");
      break;
    case ForkedChild::End::kFinished:
      std::printf("finished: no hang with this %s\n", kFrameworkName);
      break;
  }
}

std::string ReadToEnd(int fd) {
  std::string text;
  char buffer[256];
  for (ssize_t n; (n = ::read(fd, buffer, sizeof buffer)) > 0;) {
    text.append(buffer, static_cast<std::size_t>(n));
  }
  return text;
}

Outcome RunExecWorker(Client& client, const char* program) {
  int output[2];
  if (::pipe(output) != 0) Fail("pipe failed");
  SpawnOptions options;
  options.name = "dot product";
  options.argv = {program};
  options.fds = {{1, output[1]}};
  options.timeout = std::chrono::seconds(30);
  Outcome outcome;
  outcome.requested_ns = MonotonicNs();
  const Worker worker = Check(client.Spawn(options), "exec worker");
  ::close(output[1]);
  const std::string text = ReadToEnd(output[0]);
  ::close(output[0]);
  outcome.exit = Check(client.Wait(worker.id), "exec worker");
  ParseReport(text, outcome.report);
  return outcome;
}

Outcome RunForkedWorker(Client& client, const std::string& zygote) {
  ForkOptions options;
  options.name = "dot product";
  options.zygote = zygote;
  options.entry = "dot_product";
  options.timeout = std::chrono::seconds(30);
  Outcome outcome;
  outcome.requested_ns = MonotonicNs();
  const CallResult call = Check(client.Call(options), "forked worker");
  outcome.exit = call.exit;
  ParseReport(call.result, outcome.report);
  return outcome;
}

// Returns whether it ended well.
bool Print(const char* title, const Outcome& outcome) {
  const ExitRecord& exit = outcome.exit;
  const bool right = outcome.report.answer == kRightAnswer;
  std::printf("   %s: id %s, pid %lld\n", title, exit.id.c_str(),
              static_cast<long long>(exit.pid));
  std::printf("     answer              %lld, %s\n",
              static_cast<long long>(outcome.report.answer),
              right ? "right" : "WRONG");
  std::string end = "nobody saw its end";
  if (exit.code) end = "code " + std::to_string(*exit.code);
  if (exit.signal) end = "signal " + std::to_string(*exit.signal);
  std::printf("     exit record         %s, reason %s, wall %.1f ms\n",
              end.c_str(), std::string(NameOf(exit.reason)).c_str(),
              static_cast<double>(exit.wall_us) / 1000);
  if (outcome.report.first_instruction_ns != 0) {
    std::printf("     first instruction   %lld us after the request\n",
                static_cast<long long>((outcome.report.first_instruction_ns -
                                        outcome.requested_ns) /
                                       1000));
  }
  return right && exit.code == 0 && exit.reason == EndReason::kExited;
}

int Run(const char* worker_program, const char* zygote_program) {
  ForkPlainly();

  Client client = Check(Client::Connect(), "forkserverd");
  const DaemonStatus status = Check(client.Status(), "forkserverd");
  std::printf(
      "\n2. The same process asks forkserverd, pid %lld, for the same"
      " work, twice:\n",
      static_cast<long long>(status.pid));
  const bool exec_well =
      Print("exec worker", RunExecWorker(client, worker_program));

  ZygoteOptions zygote;
  zygote.name = "demo";
  zygote.argv = {zygote_program};
  const std::int64_t asked_ns = MonotonicNs();
  const ZygoteInfo info = Check(client.StartZygote(zygote), "zygote");
  std::printf("   (zygote \"%s\", pid %lld, was ready after %.1f ms; once)\n",
              info.name.c_str(), static_cast<long long>(info.pid),
              static_cast<double>(MonotonicNs() - asked_ns) / 1e6);
  const bool forked_well =
      Print("forked worker", RunForkedWorker(client, info.name));
  if (!exec_well || !forked_well) Fail("a worker did not do its work");
  return 0;
}

}  // namespace
}  // namespace forkserver::demo

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: demo WORKER_PROGRAM ZYGOTE_PROGRAM\n");
    return 2;
  }
  return forkserver::demo::Run(argv[1], argv[2]);
}
