// Programs that start other programs, and AFL++'s forkserver, on the work of
// forkserverd: start it, know its end.
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "tools/benchmark/cases.h"
#include "tools/benchmark/command.h"
#include "tools/benchmark/measure.h"
#include "tools/benchmark/s6_service.h"

namespace forkserver::benchmark {
namespace {

constexpr int kRounds = 300;
constexpr char kTrue[] = "/bin/true";
constexpr char kForkserverd[] = "forkserverd";
constexpr char kStart = 's';  // what a peer is asked; each takes any byte
const Aim kNotSlower = {1, /*at_least=*/true};

// Of afl-fuzz and its target: where the target reads and writes, and the bits
// of its first answer that say that it is a forkserver (AFL++'s types.h).
constexpr int kAflEnds[] = {198, 199};
constexpr std::uint32_t kAflEnabled = 0x80000001;

struct AflAnswer {
  std::int32_t pid = 0;
  std::int32_t status = 0;
};

// A peer that is a program of its own and is asked to start kTrue.
struct AskedPeer {
  const char* name;
  // What it is run by, and must be in $PATH; nullptr: nothing.
  const char* runner;
  const char* file;  // in the folder of peers
};

constexpr AskedPeer kAskedPeers[] = {
    {"libuv", nullptr, "uv_spawn_peer"},
    {"python", kPython, "python_peer.py"},
    {"node", "node", "node_peer.js"},
    {"erlang", "escript", "erlang_peer.escript"},
};

bool IsInstalled(const char* program) {
  return program == nullptr || program[0] == '/' ||
         !FindInPath(program).empty();
}

Result<Helper> StartAfl(const CaseContext& context,
                        const PrivateDaemon& daemon) {
  const std::string target = daemon.folder() + "/afl_target";
  if (auto compiled = RunToEnd({{"afl-cc", "-O2", "-o", target,
                                 context.programs.peers + "/afl_target.c"},
                                {"AFL_QUIET=1"}},
                               daemon.folder() + "/output");
      !compiled) {
    return compiled.error();
  }
  auto helper = Helper::Start({{target}}, kAflEnds);
  if (!helper) return helper;
  std::uint32_t hello = 0;
  if (auto asked = helper->Ask(nullptr, 0, &hello, sizeof(hello)); !asked) {
    return asked.error();
  }
  if ((hello & kAflEnabled) != kAflEnabled) {
    return MakeError(error_code::kSystem, "afl-cc made no forkserver");
  }
  return helper;
}

Result<void> AskAfl(Helper& helper) {
  const std::uint32_t last_was_killed = 0;
  AflAnswer answer;
  auto asked = helper.Ask(&last_was_killed, sizeof(last_was_killed), &answer,
                          sizeof(answer));
  if (asked && answer.status != 0) {
    return MakeError(error_code::kSystem, "AFL++'s child did not exit with 0");
  }
  return asked;
}

}  // namespace

Rows MeasurePeersTrue(const CaseContext& context) {
  auto daemon = PrivateDaemon::Start(context.programs);
  if (!daemon) return daemon.error();
  const SpawnOptions options = SpawnRequest({kTrue});
  std::vector<Contender> contenders = {Timed(
      kForkserverd, [&] { return RunToExit(daemon->client(), options); })};
  std::vector<Comparison> comparisons;
  const auto add = [&](const std::string& name, Contender contender) {
    contenders.push_back(As(Role::kPeer, std::move(contender)));
    comparisons.push_back({name, kForkserverd, kNotSlower});
  };

  std::vector<Helper> helpers;
  helpers.reserve(std::size(kAskedPeers));  // contenders refer to them
  for (const AskedPeer& peer : kAskedPeers) {
    if (!IsInstalled(peer.runner)) {
      context.skip(std::string("peers_true/") + peer.name + ": not installed");
      continue;
    }
    Command command;
    if (peer.runner != nullptr) command.argv.emplace_back(peer.runner);
    command.argv.push_back(context.programs.peers + "/" + peer.file);
    command.argv.emplace_back(kTrue);
    auto helper = Helper::Start(command);
    if (!helper) return helper.error();
    helpers.push_back(*std::move(helper));
    add(peer.name, SelfTimed(helpers.back(), peer.name, kStart));
  }
  std::optional<S6Service> s6;
  if (const std::string supervise = FindInPath("s6-supervise");
      supervise.empty()) {
    context.skip("peers_true/s6: not installed");
  } else {
    auto started = S6Service::Start(supervise, kTrue);
    if (!started) return started.error();
    s6.emplace(*std::move(started));
    add("s6", Timed("s6", [&s6] { return s6->RunToExit(); }));
  }
  auto measured = Interleave(contenders, context.PaceOf(kRounds, kNoIdle));
  if (!measured) return measured.error();
  return MakeRows("peers_true", *measured, comparisons);
}

Rows MeasurePeersForked(const CaseContext& context) {
  if (FindInPath("afl-cc").empty()) {
    context.skip("peers_forked/afl++: not installed");
    return std::vector<Row>();
  }
  auto daemon = PrivateDaemon::Start(context.programs);
  if (!daemon) return daemon.error();
  if (auto started = daemon->StartZygote(context.programs); !started) {
    return started.error();
  }
  auto afl = StartAfl(context, *daemon);
  if (!afl) return afl.error();
  const ForkOptions options = ForkRequest("nothing");
  auto measured = Interleave(
      {Timed(kForkserverd,
             [&] { return RunToExit(daemon->client(), options); }),
       As(Role::kPeer, Timed("afl++", [&] { return AskAfl(*afl); }))},
      context.PaceOf(kRounds, kNoIdle));
  if (!measured) return measured.error();
  return MakeRows("peers_forked", *measured,
                  {{"afl++", kForkserverd, kNotSlower}});
}

}  // namespace forkserver::benchmark
