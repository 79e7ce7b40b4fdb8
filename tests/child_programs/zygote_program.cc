// A zygote with an entry and a preload step for everything that the tests of
// the zygote want to see happen.
#include <arpa/inet.h>
#include <fcntl.h>
#include <forkserver/zygote.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

extern char** environ;

namespace {

using forkserver::WorkerContext;

int Echo(WorkerContext& context) {
  context.SetResult(context.args());
  return 0;
}

int ExitCode(WorkerContext& context) { return std::stoi(context.args()); }

int Crash(WorkerContext&) {
  // A sanitizer may have a handler.
  std::signal(SIGSEGV, SIG_DFL);
  std::raise(SIGSEGV);
  return 0;
}

// Each crashes in another way, with a handler as the zygote left it.
int WriteToNull(WorkerContext&) {
  volatile std::uintptr_t nowhere = 0x110;
  *reinterpret_cast<volatile int*>(nowhere) = 1;
  return 0;
}

int Abort(WorkerContext&) { std::abort(); }

int DivideByZero(WorkerContext& context) {
  const volatile int zero = context.args().empty() ? 0 : 1;
  return 1000 / zero;
}

int CallNull(WorkerContext&) {
  int (*volatile nothing)() = nullptr;
  return nothing() + 1;
}

__attribute__((noinline)) int Recurse(volatile int* depth) {
  volatile int here[64] = {*depth + 1};
  return *depth < 0 ? 0 : Recurse(here) + here[1];
}

int OverflowStack(WorkerContext&) {
  volatile int depth = 0;
  return Recurse(&depth);
}

// Its last words are on a standard error that is a file.
int AbortLoudly(WorkerContext& context) {
  std::fprintf(stderr, "%s\n", context.args().c_str());
  std::abort();
}

// Fills everything that it shares with the zygote with `args`, over and over.
int ScribbleAndDie(WorkerContext& context) {
  std::FILE* maps = std::fopen("/proc/self/maps", "re");
  char line[4096];
  while (maps != nullptr && std::fgets(line, sizeof(line), maps) != nullptr) {
    unsigned long begin = 0;
    unsigned long end = 0;
    char rights[5] = "";
    if (std::sscanf(line, "%lx-%lx %4s", &begin, &end, rights) != 3 ||
        std::string(rights) != "rw-s") {
      continue;
    }
    char* const bytes = reinterpret_cast<char*>(begin);
    for (unsigned long i = 0; i < end - begin; ++i) {
      bytes[i] = context.args()[i % context.args().size()];
    }
  }
  return std::raise(SIGKILL);
}

// A child of the worker crashes; the worker is killed.
int CrashInChild(WorkerContext&) {
  const pid_t pid = ::fork();
  if (pid == 0) std::abort();
  ::waitpid(pid, nullptr, 0);
  return std::raise(SIGKILL);
}

// The arguments as a command, in a process that is waited for.
int RunShell(WorkerContext& context) {
  return WEXITSTATUS(std::system(context.args().c_str()));
}

int Throw(WorkerContext&) { throw std::runtime_error("no such luck"); }

int SleepForever(WorkerContext&) {
  for (;;) ::pause();
}

int PrintContext(WorkerContext& context) {
  std::string text = context.worker_id() + "|" + context.entry();
  for (const std::string& argument : context.argv()) text += "|" + argument;
  context.SetResult(text);
  return 0;
}

int PrintEnv(WorkerContext& context) {
  std::string text;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    text += std::string(*variable) + "\n";
  }
  ::setenv("SET_BY_ENTRY", "1", 1);  // works on a replaced environment
  context.SetResult(text);
  return std::getenv("SET_BY_ENTRY") == nullptr;
}

// By a function that does not look at TZ again.
int PrintTime(WorkerContext& context) {
  const std::time_t epoch = 0;
  std::tm local = {};
  ::localtime_r(&epoch, &local);
  char text[64];
  context.SetResult(
      std::string(text, std::strftime(text, sizeof(text), "%H %Z", &local)));
  return 0;
}

int PrintCwd(WorkerContext& context) {
  char path[4096];
  const mode_t mask = ::umask(0);
  char octal[16];
  std::snprintf(octal, sizeof(octal), " %03o", static_cast<unsigned>(mask));
  context.SetResult(std::string(::getcwd(path, sizeof(path))) + octal);
  return 0;
}

// "0 1 2 7*": the open descriptors, those that do not survive exec with '*'.
int PrintFds(WorkerContext& context) {
  std::string text;
  for (int fd = 0; fd < 1024; ++fd) {
    const int flags = ::fcntl(fd, F_GETFD);
    if (flags < 0) continue;
    if (!text.empty()) text += ' ';
    text += std::to_string(fd) + ((flags & FD_CLOEXEC) != 0 ? "*" : "");
  }
  context.SetResult(text);
  return 0;
}

int SpawnThread(WorkerContext& context) {
  std::thread thread([&context] { context.SetResult("from a thread"); });
  thread.join();
  return 0;
}

// "default default 0": SIGCHLD, SIGPIPE, number of blocked signals.
int PrintSignals(WorkerContext& context) {
  std::string text;
  for (const int signal : {SIGCHLD, SIGPIPE}) {
    struct sigaction action = {};
    ::sigaction(signal, nullptr, &action);
    text += action.sa_handler == SIG_DFL ? "default " : "changed ";
  }
  sigset_t blocked;
  ::sigprocmask(SIG_SETMASK, nullptr, &blocked);
  int count = 0;
  for (int signal = 1; signal < 32; ++signal) {
    count += sigismember(&blocked, signal) == 1;
  }
  context.SetResult(text + std::to_string(count));
  return 0;
}

int WriteToStdout(WorkerContext& context) {
  std::printf("%s", context.args().c_str());  // stays in the buffer
  return 0;
}

int SetBigResult(WorkerContext& context) {
  context.SetResult(std::string(std::stoul(context.args()), 'x'));
  return 7;
}

forkserver::Result<void> Fine() { return {}; }

forkserver::Result<void> ReadsClock() {
  ::tzset();
  return {};
}

forkserver::Result<void> FillsMemory() {
  static const std::vector<char> filled(64u << 20, 'x');
  return {};
}

forkserver::Result<void> Fails() {
  return forkserver::MakeError("own_code", "the model file is missing");
}

forkserver::Result<void> Throws() { throw std::runtime_error("out of luck"); }

void* RunForever(void*) {
#ifdef __APPLE__
  ::pthread_setname_np("stray worker");
#endif
  for (;;) ::pause();
}

void StartThread() {
  pthread_t thread;
  if (::pthread_create(&thread, nullptr, RunForever, nullptr) == 0) {
#ifndef __APPLE__
    // Not by itself: who looks at once must find it.
    ::pthread_setname_np(thread, "stray worker");
#endif
    ::pthread_detach(thread);
  }
}

forkserver::Result<void> StartsThread() {
  StartThread();
  return {};
}

forkserver::Result<void> JoinsThread() {
  std::thread([] {}).join();
  return {};
}

// A thread that comes after the zygote was found to be safe.
forkserver::Result<void> StartsThreadAtFork() {
  ::pthread_atfork(nullptr, StartThread, nullptr);
  return {};
}

// The same, when somebody says so.
forkserver::Result<void> StartsThreadAtSignal() {
  std::signal(SIGUSR1, [](int) { StartThread(); });
  return {};
}

int forks = 0;

void CountFork() { ++forks; }

// Each child but the first, the canary, waits for somebody to open the FIFO
// that GATE names, as if a later step of its set-up hung: it has left the
// group of the zygote.
void WaitAtGate() {
  if (forks == 1) return;
  ::setpgid(0, 0);
  const int gate = ::open(std::getenv("GATE"), O_RDONLY | O_CLOEXEC);
  if (gate >= 0) ::close(gate);
}

forkserver::Result<void> HoldsChildren() {
  ::pthread_atfork(CountFork, nullptr, WaitAtGate);
  return {};
}

// As a lock of a thread that is gone.
void HangForever() {
  for (;;) ::pause();
}

forkserver::Result<void> HangsChildren() {
  ::pthread_atfork(nullptr, nullptr, HangForever);
  return {};
}

void HangUnlessCanary() {
  if (forks > 1 && ::access(std::getenv("GATE"), F_OK) == 0) HangForever();
}

// Those after the first, as long as there is a file GATE.
forkserver::Result<void> HangsWorkers() {
  ::pthread_atfork(CountFork, nullptr, HangUnlessCanary);
  return {};
}

void CrashAtOnce() { std::abort(); }

forkserver::Result<void> CrashesChildren() {
  ::pthread_atfork(nullptr, nullptr, CrashAtOnce);
  return {};
}

forkserver::Result<void> MakesConnection() {
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int client = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  if (::bind(listener, generic, size) != 0 || ::listen(listener, 1) != 0 ||
      ::getsockname(listener, generic, &size) != 0 ||
      ::connect(client, generic, size) != 0) {
    return forkserver::SystemError("connect()", errno);
  }
  return {};
}

forkserver::Result<void> Exits() { std::exit(9); }

forkserver::Result<void> SetsFrozen() {
  ::setenv("FROZEN_BY_PRELOAD", "1", 1);
  return {};
}

// What a library may do that uses a helper and forgets it.
forkserver::Result<void> LeavesChild() {
  const pid_t pid = ::fork();
  if (pid == 0) {
    for (;;) ::pause();
  }
  ::kill(pid, SIGKILL);
  return {};
}

// An exit function of the zygote alone: what it does takes a while, or for ever
// if nobody says which file it is to make.
forkserver::Result<void> EndsSlowly() {
  static const pid_t pid = ::getpid();
  std::atexit([] {
    if (::getpid() != pid) return;
    const char* const path = std::getenv("ENDED");
    while (path == nullptr) ::pause();
    ::usleep(500'000);
    if (std::FILE* const file = std::fopen(path, "w")) std::fclose(file);
  });
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  forkserver::Zygote zygote(argc, argv);
  zygote.AddEntry("echo", Echo);
  zygote.AddEntry("exit_code", ExitCode);
  zygote.AddEntry("crash", Crash);
  zygote.AddEntry("write_to_null", WriteToNull);
  zygote.AddEntry("abort", Abort);
  zygote.AddEntry("divide_by_zero", DivideByZero);
  zygote.AddEntry("call_null", CallNull);
  zygote.AddEntry("overflow_stack", OverflowStack);
  zygote.AddEntry("abort_loudly", AbortLoudly);
  zygote.AddEntry("scribble_and_die", ScribbleAndDie);
  zygote.AddEntry("crash_in_child", CrashInChild);
  zygote.AddEntry("run_shell", RunShell);
  zygote.AddEntry("throw", Throw);
  zygote.AddEntry("sleep_forever", SleepForever);
  zygote.AddEntry("print_context", PrintContext);
  zygote.AddEntry("print_env", PrintEnv);
  zygote.AddEntry("print_cwd", PrintCwd);
  zygote.AddEntry("print_time", PrintTime);
  zygote.AddEntry("print_fds", PrintFds);
  zygote.AddEntry("print_signals", PrintSignals);
  zygote.AddEntry("spawn_thread", SpawnThread);
  zygote.AddEntry("write_to_stdout", WriteToStdout);
  zygote.AddEntry("set_big_result", SetBigResult);
  zygote.AddPreload("ok", Fine);
  zygote.AddPreload("reads_clock", ReadsClock);
  zygote.AddPreload("fills_memory", FillsMemory);
  zygote.AddPreload("fails", Fails);
  zygote.AddPreload("throws", Throws);
  zygote.AddPreload("starts_thread", StartsThread);
  zygote.AddPreload("joins_thread", JoinsThread);
  zygote.AddPreload("starts_thread_at_fork", StartsThreadAtFork);
  zygote.AddPreload("starts_thread_at_signal", StartsThreadAtSignal);
  zygote.AddPreload("holds_children", HoldsChildren);
  zygote.AddPreload("hangs_children", HangsChildren);
  zygote.AddPreload("hangs_workers", HangsWorkers);
  zygote.AddPreload("crashes_children", CrashesChildren);
  zygote.AddPreload("makes_connection", MakesConnection);
  zygote.AddPreload("exits", Exits);
  zygote.AddPreload("sets_frozen", SetsFrozen);
  zygote.AddPreload("leaves_child", LeavesChild);
  zygote.AddPreload("ends_slowly", EndsSlowly);
  return zygote.Serve();
}
