// An exec worker, from the request to its exit record, against running the
// same program from this very process.
#include <optional>
#include <string>
#include <vector>

#include "tools/benchmark/bare.h"
#include "tools/benchmark/cases.h"
#include "tools/benchmark/command.h"
#include "tools/benchmark/measure.h"
#include "tools/benchmark/run_or_exec.h"

namespace forkserver::benchmark {
namespace {

constexpr int kWarmRounds = 1000;
constexpr int kColdRounds = 150;
constexpr int kLargeRounds = 100;

struct ExecCase {
  std::string program;
  // Of warm requests.
  std::optional<Aim> against_vfork;
  std::optional<Aim> against_posix_spawn;
};

Rows MeasureExec(const CaseContext& context, const ExecCase& what,
                 const std::string& name) {
  auto daemon = PrivateDaemon::Start(context.programs);
  if (!daemon) return daemon.error();
  auto bare = BareProgram::Create(what.program);
  if (!bare) return bare.error();
  const SpawnOptions options = SpawnRequest({what.program});
  const std::vector<Contender> contenders = {
      As(Role::kLimit,
         Timed("vfork_exec", [&] { return bare->VforkAndWait(); })),
      As(Role::kLimit,
         Timed("posix_spawn", [&] { return bare->SpawnAndWait(); })),
      Timed("forkserverd",
            [&] { return RunToExit(daemon->client(), options); }),
      Timed("spawn_and_wait",
            [&] { return SpawnAndWait(daemon->client(), options); })};

  std::vector<Row> rows;
  for (const bool warm : {true, false}) {
    auto measured =
        Interleave(contenders, context.PaceOf(warm ? kWarmRounds : kColdRounds,
                                              warm ? kNoIdle : kColdIdle));
    if (!measured) return measured.error();
    Append(rows, MakeRows(name + (warm ? "/warm" : "/cold"), *measured,
                          {{"posix_spawn", "vfork_exec", {}},
                           {"forkserverd", "vfork_exec",
                            warm ? what.against_vfork : std::nullopt},
                           {"forkserverd", "posix_spawn",
                            warm ? what.against_posix_spawn : std::nullopt},
                           {"spawn_and_wait", "posix_spawn", {}}}));
  }
  return rows;
}

}  // namespace

Rows MeasureExecTiny(const CaseContext& context) {
  return MeasureExec(context, {context.programs.tiny, Aim{1.6}, {}},
                     "exec_tiny");
}

Rows MeasureExecLarge(const CaseContext& context) {
  auto daemon = PrivateDaemon::Start(context.programs);
  if (!daemon) return daemon.error();
  Command small = {
      {context.programs.zygote, "run_or_exec", "--args", context.programs.tiny},
      {"FORKSERVER_SOCKET=" + daemon->socket()}};
  Command large = small;
  large.argv.insert(large.argv.begin() + 1, {"--preload", "gigabyte"});
  auto small_client = Helper::Start(small);
  if (!small_client) return small_client.error();
  auto large_client = Helper::Start(large);
  if (!large_client) return large_client.error();
  auto measured = Interleave(
      {SelfTimed(*small_client, "small_client", kRunIt),
       SelfTimed(*large_client, "large_client", kRunIt),
       As(Role::kLimit, SelfTimed(*large_client, "fork_exec", kExecIt))},
      context.PaceOf(kLargeRounds, kNoIdle));
  if (!measured) return measured.error();
  return MakeRows("exec_large", *measured,
                  {{"large_client", "small_client", Aim{1.1}},
                   {"fork_exec", "large_client", Aim{50, /*at_least=*/true}}});
}

Rows MeasureExecTrue(const CaseContext& context) {
  return MeasureExec(context, {"/bin/true", {}, Aim{1.2}}, "exec_true");
}

}  // namespace forkserver::benchmark
