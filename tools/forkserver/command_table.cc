#include "tools/forkserver/command_table.h"

#include "tools/forkserver/completion_command.h"
#include "tools/forkserver/daemon_commands.h"
#include "tools/forkserver/doctor_command.h"
#include "tools/forkserver/exit_codes.h"
#include "tools/forkserver/guard_command.h"
#include "tools/forkserver/login_commands.h"
#include "tools/forkserver/logs_command.h"
#include "tools/forkserver/manual_command.h"
#include "tools/forkserver/metrics_command.h"
#include "tools/forkserver/project_commands.h"
#include "tools/forkserver/run_commands.h"
#include "tools/forkserver/service_commands.h"
#include "tools/forkserver/test_command.h"
#include "tools/forkserver/top_command.h"
#include "tools/forkserver/why_command.h"
#include "tools/forkserver/worker_commands.h"
#include "tools/forkserver/zygote_commands.h"

namespace forkserver::cli {
namespace {

constexpr unsigned kNewWorker = kProcessOptions | kWorkerOptions;

constexpr Command kCommands[] = {
    {"run", "[options] -- CMD...",
     "Run a command as a worker, with the streams of this terminal.",
     "Starts a daemon if none runs. INT, TERM, HUP and QUIT are forwarded to\n"
     "the command's process group.\n"
     "Example:\n"
     "  forkserver run --timeout 1m --limit nofile=256 -- make -j4\n"
     "Exit codes: the command's own, or\n"
     "  128+N  signal N ended it\n"
     "  124    its --timeout ran out\n"
     "  125    forkserver itself failed, or wrong usage\n"
     "  126    the command cannot be executed\n"
     "  127    the command was not found",
     kNewWorker | kWords | kCommand, kFailed, RunExecWorker},
    {"fork", "NAME [options] [-- ARGS...]",
     "Fork a worker from the zygote NAME, with the streams of this terminal.",
     "Starts a daemon if none runs; the zygote must have been started.\n"
     "Example:\n"
     "  forkserver fork render --entry frame --args 17 --timeout 30s\n"
     "Exit codes: as of `forkserver run`",
     kNewWorker | kForkOptions | kZygoteName | kWords, kFailed,
     RunForkedWorker},
    {"test", "[options] TARGET... [-- FILTER...]",
     "Run tests, each in a worker of its own.",
     "TARGET is a test program, or a Python file or folder of tests.\n"
     "Example:\n"
     "  forkserver test build/parser_test -- 'numbers*'\n"
     "Exit codes:\n"
     "  0      every test has passed\n"
     "  1      a test has failed, crashed, leaked or taken too long\n"
     "  2      wrong usage\n"
     "  4      there was no test to run\n"
     "  125    something could not be run, and that is not the tests' fault\n"
     "  130    it was interrupted",
     kJsonOption | kTestOptions | kWords, kUsage, RunTestCommand},
    {"zygote start", "NAME [options] [-- CMD...]",
     "Start a zygote, or find the same one running.",
     "It stays until it is stopped or unused for the daemon's --zygote-idle.\n"
     "Starts a daemon if none runs.\n"
     "Example:\n"
     "  forkserver zygote start render --preload fonts -- ./render_tests",
     kJsonOption | kProcessOptions | kZygoteOptions | kZygoteName | kWords,
     kUsage, StartZygote},
    {"zygote ls", "[options]", "List the zygotes.",
     "Example:\n  forkserver zygote ls --json", kJsonOption, kUsage,
     ListZygotes},
    {"zygote stop", "NAME [options]",
     "Retire a zygote: it forks no more, and ends with its last worker.",
     "Example:\n  forkserver zygote stop render", kZygoteName, kUsage,
     StopZygote},
    {"ps", "[options]", "List the live workers.",
     "Example:\n  forkserver ps --memory", kJsonOption | kPsOptions, kUsage,
     ListWorkers},
    {"top", "[options]",
     "Show what services, workers and zygotes take: CPU, memory, restarts.",
     "In a terminal until q or Ctrl-C; elsewhere one table. Keys: c, m, r, n\n"
     "sort by CPU, memory, restarts, name; arrows, j, k and PgUp, PgDn "
     "scroll.\n"
     "Example:\n  forkserver top --interval 5s",
     kJsonOption | kTopOptions, kUsage, ShowTop},
    {"wait", "ID [options]",
     "Wait for the end of a worker, and exit as it did.",
     "Example:\n"
     "  id=$(forkserver run --detach -- ./long_job); forkserver wait $id\n"
     "Exit codes: the worker's own, or\n"
     "  128+N  signal N ended it\n"
     "  124    the worker's own timeout ran out\n"
     "  125    not waited to its end: --timeout, no such worker, no daemon",
     kJsonOption | kWorkerId | kWaitOptions, kUsage, WaitForWorker},
    {"kill", "[-s SIG] ID [options]", "Send a signal to a worker.",
     "Example:\n  forkserver kill -s USR1 --group $id",
     kWorkerId | kKillOptions, kUsage, SignalWorker},
    {"start", "NAME [options] [-- CMD...]",
     "Start a service: a named worker that is kept running as asked.",
     "Returns when it is ready. Without CMD and --zygote: one that is known.\n"
     "Its output goes to its log. Starts a daemon if none runs.\n"
     "Example:\n"
     "  forkserver start db --ready line:'ready to accept' -- redis-server\n"
     "  forkserver start web --after db --restart always -- ./serve",
     kJsonOption | kServiceName | kProcessOptions | kServiceOptions | kNoWait |
         kWords,
     kUsage, StartService},
    {"restart", "[NAME] [options]",
     "Stop a service, or all of a project, and start again.",
     "Returns when it is ready. Without NAME: those of forkserver.toml, as it\n"
     "is now.\n"
     "Example:\n  forkserver restart web",
     kJsonOption | kMaybeServiceName | kProjectFile | kNoWait, kUsage,
     RestartServiceOrProject},
    {"stop", "NAME|ID [options]",
     "Stop a service or worker and all that it started: TERM, grace, KILL.",
     "Returns when nothing of it is left. A second one means now.\n"
     "Example:\n"
     "  forkserver stop web\n"
     "  forkserver stop --grace 2s $id",
     kJsonOption | kWorkerId | kStopOptions, kUsage, StopServiceOrWorker},
    {"remove", "NAME [options]", "Stop a service and forget it.",
     "Example:\n  forkserver remove web", kServiceName | kStopOptions, kUsage,
     RemoveService},
    {"logs", "NAME [options]", "Show what a service wrote.",
     "Each line with its time and stream: out, err, note (the daemon's) or "
     "log.\n"
     "Example:\n  forkserver logs web -f --since 10m",
     kJsonOption | kServiceName | kLogOptions, kUsage, ShowLogs},
    {"services", "[options]", "List the services.",
     "Example:\n  forkserver services --json | jq -r '.[].name'", kJsonOption,
     kUsage, ListServices},
    {"up", "[NAME...] [options]",
     "Start the zygotes and services of forkserver.toml.",
     "All of them, or NAME... and what they need. Returns when they are "
     "ready.\n"
     "What runs already is left alone. Starts a daemon if none runs.\n"
     "Example:\n  forkserver up\n"
     "Exit codes:\n"
     "  0      all are ready\n"
     "  1      some are not, and it says why\n"
     "  2      something is wrong in the file, or wrong usage\n"
     "  125    no daemon, or it was lost",
     kJsonOption | kServiceNames | kProjectFile | kDryRun | kNoWait, kUsage,
     BringUp},
    {"down", "[NAME...] [options]",
     "Stop and forget the services and zygotes of forkserver.toml.",
     "All of them, or NAME... and what is after them; those first.\n"
     "Example:\n  forkserver down",
     kJsonOption | kServiceNames | kProjectFile | kDryRun | kStopOptions,
     kUsage, TakeDown},
    {"reload", "[options]",
     "Bring about what has changed in forkserver.toml, and nothing else.",
     "Starts what is new, replaces what has changed and says in what, removes\n"
     "what is not in the file any more.\n"
     "Example:\n  forkserver reload --dry-run\n"
     "Exit codes: as of `forkserver up`",
     kJsonOption | kProjectFile | kDryRun | kNoWait, kUsage, ReloadProject},
    {"check", "[options]", "Tell everything that is wrong in forkserver.toml.",
     "One line for each, as forkserver.toml:12: services.web.restart: ...\n"
     "Example:\n  forkserver check\n"
     "Exit codes:\n"
     "  0      nothing is wrong\n"
     "  1      something is\n"
     "  2      there is no such file, or wrong usage",
     kJsonOption | kProjectFile, kUsage, CheckProject},
    {"doctor", "[PID] [options] [-- CMD...]",
     "Tell whether a process is safe to fork, and if not, why.",
     "Without PID: this session, its daemon and zygotes. The process is "
     "looked\n"
     "at from outside and notices nothing. CMD is run, and each of its forks\n"
     "is looked at; with --json its output goes to standard error.\n"
     "Example:\n"
     "  forkserver doctor $(pgrep -o gunicorn)\n"
     "  forkserver doctor -- python3 app.py\n"
     "Exit codes:\n"
     "  0      safe\n"
     "  1      unsafe\n"
     "  2      unknown: something could not be read\n"
     "  125    it could not look, or wrong usage",
     kJsonOption | kDoctorOptions | kWords, kFailed, RunDoctor},
    {"why", "ID [options]",
     "Explain how a worker ended: signal, stack, last words, known causes.",
     "Example:\n"
     "  forkserver run --crash-report -- ./render; forkserver why $id\n"
     "Exit codes:\n"
     "  0      it has been explained\n"
     "  125    no such worker, it has not ended, or no daemon",
     kJsonOption | kWorkerId, kUsage, ExplainWorker},

    {"guard", "[options] -- CMD...",
     "Run a command, and report where it forks in an unsafe way.",
     "posix_spawn, vfork and a fork followed by exec at once are "
     "safe.\n"
     "deny lets the unsafe fork fail with EAGAIN, abort ends the "
     "program "
     "there;\n"
     "both also meet a fork that an exec would have followed.\n"
     "Example:\n"
     "  forkserver guard -- gunicorn app:app\n"
     "Exit codes: the command's own, or\n"
     "  125    it cannot be guarded, or wrong usage\n"
     "  126    the command cannot be executed\n"
     "  127    the command was not found",
     kGuardOptions | kWords | kCommand, kFailed, RunGuarded},
    {"guard-report", "", "Report one fork; libforkguard runs it.", "",
     kJsonOption | kHidden, kFailed, ReportFork},
    {"status", "[NAME] [options]",
     "Show how a service is, or the daemon in numbers.",
     "Example:\n  forkserver status web", kJsonOption | kMaybeServiceName,
     kUsage, PrintServiceOrStatus},
    {"events", "[options]",
     "Print one line for each change of a worker, zygote or service, "
     "until Ctrl-C.",
     "Example:\n  forkserver events --json | jq .event", kJsonOption, kUsage,
     PrintEvents},
    {"daemon start", "[options]", "Start forkserverd in the background.",
     "Example:\n"
     "  forkserver daemon start --idle-exit 1h\n"
     "Exit codes, forkserverd's own:\n"
     "  0      it serves now\n"
     "  1      one serves the socket already\n"
     "  3      it could not start, and says why\n"
     "  125    no forkserverd was found",
     kDaemonOptions, kUsage, StartDaemonProcess},
    {"daemon stop", "[options]",
     "Stop the daemon and its workers, and wait until it has "
     "ended.",
     "Example:\n"
     "  forkserver daemon stop\n"
     "Exit codes:\n"
     "  0      it has ended, or none was there\n"
     "  125    it has not ended within 30 s",
     0, kUsage, StopDaemonProcess},
    {"daemon upgrade", "[options]",
     "Replace the running daemon by the forkserverd now installed.",
     "The process stays, and with it services, workers, zygotes and clients.\n"
     "If the new one cannot take over the old one goes on, and it says why.\n"
     "Example:\n"
     "  ./tools/install && forkserver daemon upgrade\n"
     "Exit codes:\n"
     "  0      the new one serves\n"
     "  125    the old one goes on, or none runs",
     kJsonOption, kUsage, UpgradeDaemonProcess},
    {"daemon status", "[options]", "Tell whether a daemon serves the socket.",
     "Example:\n"
     "  forkserver daemon status || forkserver daemon start\n"
     "Exit codes:\n"
     "  0      it serves\n"
     "  1      none does (with --json: prints null)",
     kJsonOption, kUsage, PrintDaemonState},
    {"metrics", "[options]",
     "Print the daemon, zygotes and services in numbers, as OpenMetrics text.",
     "Example:\n  forkserver metrics >/var/lib/node_exporter/forkserver.prom",
     0, kUsage, PrintMetrics},
    {"completion", "bash|zsh|fish",
     "Print the script that completes command lines in a shell.",
     "Example:\n"
     "  source <(forkserver completion bash)\n"
     "  forkserver completion fish >~/.config/fish/completions/forkserver.fish",
     kShell, kUsage, PrintCompletionScript},
    {"complete", "-- WORDS...", "Complete words; the scripts run it.", "",
     kHidden | kCompletes | kWords, kUsage, PrintCandidates},
    {"manual", "", "Print forkserver(1) as mdoc; installing runs it.", "",
     kHidden | kTellsAll, kUsage, PrintManual},
    {"enable", "[options]", "Start forkserverd at each login, before all else.",
     "By systemd's user manager, launchd or XDG autostart. Starts it now, "
     "too,\n"
     "where that can be.\n"
     "Example:\n"
     "  forkserver enable --dry-run\n"
     "Exit codes:\n"
     "  0      it starts at the next login\n"
     "  125    it does not: nothing here starts programs, or a file cannot "
     "be written",
     kLoginOptions, kUsage, EnableAtLogin},
    {"disable", "[options]", "Take away exactly what `enable` has made.",
     "A daemon that runs goes on.\n"
     "Example:\n"
     "  forkserver disable\n"
     "Exit codes:\n"
     "  0      it is not started at login\n"
     "  125    a file cannot be removed",
     kLoginOptions, kUsage, DisableAtLogin},
    {"socket-path", "[options]", "Print the path of the daemon's socket.",
     "Example:\n  FORKSERVER_SOCKET=$(forkserver socket-path) "
     "./my_tests",
     0, kUsage, PrintSocketPath},
};

constexpr CommandGroup kGroups[] = {
    {"zygote", "Start, list and stop zygotes."},
    {"daemon", "Start, stop, upgrade and look for the daemon."},
};

}  // namespace

std::span<const Command> Commands() { return kCommands; }
std::span<const CommandGroup> CommandGroups() { return kGroups; }

}  // namespace forkserver::cli
