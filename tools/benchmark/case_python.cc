// What Python programs start, against what they start without forkserverd:
// processes and pools of multiprocessing, and the tests of a Django project.
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "tools/benchmark/cases.h"
#include "tools/benchmark/command.h"
#include "tools/benchmark/measure.h"
#include "tools/benchmark/shared_stamp.h"

namespace forkserver::benchmark {
namespace {

constexpr int kProcessRounds = 100;
constexpr int kPoolRounds = 40;
constexpr int kDjangoRounds = 15;
constexpr int kSpareRounds = 100;

// What multiprocessing_contender.py understands.
constexpr char kProcess = 'p';
constexpr char kPool = 'o';
constexpr char kFirstLine = 'f';
constexpr char kBare[] = "bare";

// A copy in the folder of `daemon`, where Python may write its bytecode beside
// the sources, as it has it for what is installed.
Result<std::string> Copy(const PrivateDaemon& daemon, const std::string& from,
                         const std::string& name) {
  std::string to = daemon.folder() + "/" + name;
  std::error_code failed;
  std::filesystem::copy(from, to, std::filesystem::copy_options::recursive,
                        failed);
  if (failed) return SystemError("copy(" + from + ")", failed.value());
  return to;
}

// With the Python package and the socket of `daemon`.
Result<std::vector<std::string>> PythonEnvironment(const PrivateDaemon& daemon,
                                                   const Programs& programs) {
  const auto package = Copy(daemon, programs.package, "package");
  if (!package) return package.error();
  std::string path = "PYTHONPATH=" + *package;
  if (const char* const more = std::getenv("PYTHONPATH")) {
    path += std::string(":") + more;
  }
  return std::vector<std::string>{"FORKSERVER_SOCKET=" + daemon.socket(), path};
}

// It is not warmed up before each sample: programs do not start processes back
// to back, and spawn takes long.
Contender Asked(Helper& helper, std::string series, char question) {
  Contender contender = SelfTimed(helper, std::move(series), question);
  contender.warm_up = false;
  return contender;
}

// The start methods in turn, each asked `question` in a script of its own.
Result<std::vector<Series>> MeasureMethods(const CaseContext& context,
                                           bool bare, char question,
                                           int rounds) {
  const std::vector<std::string> methods = {"forkserverd", "fork", "forkserver",
                                            "spawn"};
  auto daemon = PrivateDaemon::Start(context.programs);
  if (!daemon) return daemon.error();
  const auto environment = PythonEnvironment(*daemon, context.programs);
  if (!environment) return environment.error();
  std::vector<Helper> helpers;
  helpers.reserve(methods.size());  // contenders refer to them
  std::vector<Contender> contenders;
  for (const std::string& method : methods) {
    Command command = {{kPython, context.programs.contender, method},
                       *environment};
    if (bare) command.argv.emplace_back(kBare);
    auto helper = Helper::Start(command);
    if (!helper) return helper.error();
    helpers.push_back(*std::move(helper));
    contenders.push_back(
        As(method == "forkserverd" ? Role::kForkserverd : Role::kPeer,
           Asked(helpers.back(), method, question)));
  }
  return Interleave(contenders, context.PaceOf(rounds, kNoIdle));
}

Rows RowsOfMethods(const std::string& group,
                   const Result<std::vector<Series>>& measured,
                   std::optional<Aim> forkserver, std::optional<Aim> spawn) {
  if (!measured) return measured.error();
  return MakeRows(group, *measured,
                  {{"fork", "forkserverd", {}},
                   {"forkserver", "forkserverd", forkserver},
                   {"spawn", "forkserverd", spawn}});
}

// Complete, as its workers have it: with Django and the project's models.
std::vector<std::string> DjangoEnvironment(
    const Programs& programs, std::vector<std::string> environment) {
  const std::string folder =
      std::filesystem::path(programs.python_entry).parent_path();
  for (std::string& variable : environment) {
    if (variable.compare(0, 11, "PYTHONPATH=") != 0) continue;
    variable += ":" + folder + ":" + programs.project;
  }
  environment.insert(
      environment.end(),
      {"DJANGO_SETTINGS_MODULE=project.settings", "TEST_DATABASE=memory",
       // Or Python sets it, and workers would not have it.
       "LC_CTYPE=C.UTF-8", "PATH=/usr/bin:/bin",
       kStampVariable + std::string("=") + std::getenv(kStampVariable)});
  return environment;
}

Result<void> CheckDjango(const std::string& output) {
  if (RunToEnd({{kPython, "-c", "import django"}}, output)) return {};
  return MakeError(error_code::kSystem,
                   std::string(kPython) +
                       " has no Django: install the package python3-django");
}

// `manage.py test` in `project`, which notes things beside itself.
Command DjangoTests(const std::filesystem::path& project,
                    std::vector<std::string> environment,
                    const std::vector<std::string>& options) {
  Command command = {
      {kPython, "manage.py", "test", "--no-input", "--parallel", "6"},
      std::move(environment),
      project};
  command.argv.insert(command.argv.end(), options.begin(), options.end());
  command.environment.insert(
      command.environment.end(),
      {"DJANGO_SETTINGS_MODULE=project.settings", "TEST_DATABASE=memory",
       "TEST_FOLDER=" + project.parent_path().string()});
  return command;
}

// A whole run. It is seconds long, so that warming it up would tell nothing.
Contender WholeRun(std::string name, const Command& command,
                   const std::string& output) {
  Contender contender = Timed(
      std::move(name), [command, output] { return RunToEnd(command, output); });
  contender.warm_up = false;
  return contender;
}

// Runs `command`, which keeps the zygote that it makes. A project that could
// not be preloaded would make the figures those of something else, and only a
// verbose run tells.
Result<void> CheckPreloading(Command command, const std::string& output) {
  command.argv.insert(command.argv.end(), {"-v", "2"});
  if (auto done = RunToEnd(command, output); !done) return done;
  std::ifstream file(output);
  for (std::string line; std::getline(file, line);) {
    if (line.find("not preloaded") == std::string::npos) continue;
    return MakeError(error_code::kSystem, line);
  }
  return {};
}

}  // namespace

Rows MeasureMultiprocessing(const CaseContext& context) {
  auto daemon = PrivateDaemon::Start(context.programs);
  if (!daemon) return daemon.error();
  if (auto started = daemon->StartZygote(context.programs); !started) {
    return started.error();
  }
  auto script = Helper::Start(
      {{kPython, context.programs.contender, "forkserver", kBare}});
  if (!script) return script.error();
  const ForkOptions options = ForkRequest("nothing");
  auto measured =
      Interleave({Timed("forkserverd",
                        [&] { return RunToExit(daemon->client(), options); }),
                  As(Role::kPeer, Asked(*script, "multiprocessing", kProcess))},
                 context.PaceOf(kProcessRounds, kNoIdle));
  if (!measured) return measured.error();
  return MakeRows(
      "multiprocessing", *measured,
      {{"multiprocessing", "forkserverd", Aim{70, /*at_least=*/true}}});
}

Rows MeasurePythonProcess(const CaseContext& context) {
  auto rows = RowsOfMethods(
      "python_process",
      MeasureMethods(context, /*bare=*/false, kProcess, kProcessRounds),
      Aim{2.5, /*at_least=*/true}, Aim{6, /*at_least=*/true});
  if (!rows) return rows;
  auto bare = RowsOfMethods(
      "python_process/bare",
      MeasureMethods(context, /*bare=*/true, kProcess, kProcessRounds), {}, {});
  if (!bare) return bare;
  Append(*rows, *std::move(bare));
  return rows;
}

Rows MeasurePythonPool(const CaseContext& context) {
  return RowsOfMethods(
      "python_pool",
      MeasureMethods(context, /*bare=*/false, kPool, kPoolRounds),
      Aim{3, /*at_least=*/true}, {});
}

Rows MeasurePythonSpare(const CaseContext& context) {
  auto daemon = PrivateDaemon::Start(context.programs);
  if (!daemon) return daemon.error();
  if (auto found = CheckDjango(daemon->folder() + "/output"); !found) {
    return found.error();
  }
  auto environment = PythonEnvironment(*daemon, context.programs);
  if (!environment) return environment.error();
  auto script =
      Helper::Start({{kPython, context.programs.contender, "forkserver"}});
  if (!script) return script.error();

  const std::string none = "none";
  const std::string some = "some";
  const auto complete = DjangoEnvironment(context.programs, *environment);
  for (const std::string& name : {none, some}) {
    ZygoteOptions zygote;
    zygote.argv = {kPython, "-m", "forkserver.zygote_host"};
    zygote.env = complete;
    zygote.preload = {"python_entry"};
    zygote.name = name;
    if (name == some) zygote.spares_max = 2;
    auto started = daemon->client().StartZygote(zygote);
    if (!started) return started.error();
  }
  const auto to_first_line = [&](const std::string& series,
                                 const std::string& zygote) {
    ForkOptions options = ForkRequest("python_entry:stamp", zygote);
    options.env = complete;
    Contender contender;
    contender.series = {series};
    contender.warm_up = false;
    contender.run =
        [&, options](
            std::chrono::microseconds idle) -> Result<std::vector<double>> {
      Idle(idle);
      const std::int64_t begun_ns = NowNs();
      if (auto done = RunToExit(daemon->client(), options); !done) {
        return done.error();
      }
      return std::vector<double>{
          ToMicroseconds(context.stamp->load() - begun_ns)};
    };
    return contender;
  };
  auto measured = Interleave(
      {to_first_line("spare", some), to_first_line("fork", none),
       As(Role::kPeer, Asked(*script, "multiprocessing", kFirstLine))},
      context.PaceOf(kSpareRounds, kColdIdle));
  if (!measured) return measured.error();
  return MakeRows("python_spare", *measured,
                  {{"fork", "spare", Aim{8, /*at_least=*/true}},
                   {"multiprocessing", "spare", Aim{40, /*at_least=*/true}}});
}

Rows MeasurePythonDjango(const CaseContext& context) {
  auto daemon = PrivateDaemon::Start(context.programs);
  if (!daemon) return daemon.error();
  const std::string output = daemon->folder() + "/output";
  if (auto found = CheckDjango(output); !found) return found.error();
  const auto environment = PythonEnvironment(*daemon, context.programs);
  if (!environment) return environment.error();
  const auto project = Copy(*daemon, context.programs.project, "project");
  if (!project) return project.error();

  const std::string runner = "forkserver.django.ForkserverDiscoverRunner";
  const Command stock = DjangoTests(*project, *environment, {});
  const Command own =
      DjangoTests(*project, *environment, {"--testrunner", runner});
  const Command kept = DjangoTests(*project, *environment,
                                   {"--testrunner", runner, "--keep-zygote"});
  if (auto checked = CheckPreloading(kept, output); !checked) {
    return checked.error();
  }
  Pace pace = context.PaceOf(kDjangoRounds, kNoIdle);
  if (context.quick) pace.rounds = 1;
  auto measured = Interleave({As(Role::kPeer, WholeRun("stock", stock, output)),
                              WholeRun("forkserverd/kept", kept, output),
                              WholeRun("forkserverd", own, output)},
                             pace);
  if (!measured) return measured.error();
  return MakeRows(
      "python_django", *measured,
      {{"forkserverd/kept", "stock", Aim{1.15}}, {"forkserverd", "stock", {}}});
}

}  // namespace forkserver::benchmark
