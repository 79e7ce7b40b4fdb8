// A program that forkserverd can fork workers from.
//
//   #include <forkserver/zygote.h>
//   #include <string>
//
//   int Greet(forkserver::WorkerContext& context) {
//     context.SetResult("hello, " + context.args());
//     return 0;  // the worker's exit code
//   }
//
//   int main(int argc, char** argv) {
//     forkserver::Zygote zygote(argc, argv);
//     zygote.AddEntry("greet", Greet);
//     return zygote.Serve();
//   }
//
// Started by forkserverd it becomes a zygote and Serve() forks workers on
// request. Started by hand the same program runs one entry in this process,
// to be debugged:
//
//   ./greeter greet --args Ada     runs the entry, prints its result
//   ./greeter --list               prints the names of the entries
//
// Public header: standard library only, C++17 or later.
#pragma once

#include <forkserver/result.h>
#include <forkserver/types.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace forkserver {

// What a worker knows when its entry begins. Its process already has the
// environment, working directory, umask, limits, streams and descriptors of
// the request. Owned by the SDK; valid while the entry runs.
class WorkerContext {
 public:
  const std::string& worker_id() const { return worker_id_; }
  const std::string& entry() const { return entry_; }
  // The bytes of the request, as they were sent.
  const std::string& args() const { return args_; }
  const std::vector<std::string>& argv() const { return argv_; }

  // What Client::Call returns. The last one set is sent when the entry
  // returns; an entry that leaves by _exit() or a signal sends none.
  void SetResult(std::string result) { result_ = std::move(result); }

 private:
  friend class Zygote;
  friend struct WorkerRunner;
  std::string worker_id_;
  std::string entry_;
  std::string args_;
  std::vector<std::string> argv_;
  std::optional<std::string> result_;
};

// An entry. Its return value is the worker's exit code (its low 8 bits). An
// exception that leaves it ends the worker by SIGABRT, with its text on
// standard error. Objects with static storage are not destroyed and atexit
// functions are not called in a worker; standard streams are flushed.
using Entry = std::function<int(WorkerContext&)>;

// Make one as the first thing in main, before any thread or framework starts.
// Not thread-safe, not movable; there is one in a process.
class Zygote {
 public:
  // Takes the descriptors and variables that forkserverd left for it.
  Zygote(int argc, char** argv);
  Zygote(const Zygote&) = delete;
  Zygote& operator=(const Zygote&) = delete;
  ~Zygote();

  // True if forkserverd started this process, false if somebody did by hand.
  bool started_by_daemon() const;

  // Offers an entry. Call before Serve.
  void AddEntry(std::string name, Entry entry);

  // Offers a preload step: work to be done once, before workers are forked,
  // when `preload` of the request names it; "*" names all, in the order in
  // which they were added. It must leave no thread behind.
  // An error makes the zygote fail, and reaches whoever asked for it.
  void AddPreload(std::string name, std::function<Result<void>()> step);

  // Of the descriptors that are open when the preload steps are done, but for
  // the standard streams and the SDK's own: `choose` returns those that stay
  // open in workers, under their numbers. Without it a worker has those of its
  // request only. Call before Serve.
  //
  //   zygote.KeepDescriptors([](std::vector<int> opened) { return opened; });
  void KeepDescriptors(
      std::function<std::vector<int>(std::vector<int>)> choose);

  // Becomes the zygote: runs the preload steps that were asked for, says that
  // it is ready, and forks workers until it is retired or the daemon is gone.
  // A plain blocking loop: no thread, libc's fork(). Before each fork it looks
  // at its threads and refuses when there is another one, naming it.
  // Returns the exit code for main.
  int Serve();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace forkserver
