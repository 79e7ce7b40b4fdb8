// What a zygote sees of itself: with each preload step, what the step left
// behind; before each fork, whether anything has changed since it was found
// fit to be forked. The audit proper looks from outside and is the daemon's.
//
// One thread; does not block but for 10 ms where there is more than one
// thread: one that was joined stays in /proc for a moment.
#pragma once

#include <forkserver/result.h>
#include <forkserver/types.h>

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "sdk/protocol/messages.h"

namespace forkserver {

class SelfAudit {
 public:
  // What is there now was there before the first step.
  SelfAudit();

  // Fills in the threads of `report`, and what has come since the last call.
  void NoteStep(PreloadReport& report);
  // Fills in what belongs to the audit. What is there now is what is judged.
  // `own_fds`: of the SDK. `ask`: the functions by which libraries answer.
  void NoteReady(const std::vector<int>& own_fds,
                 const std::vector<std::string>& ask,
                 protocol::ZygoteReady& ready);

  // "zygote_unsafe" if there is a thread that was not there when it was ready,
  // or a library was used that was not. One system call as a rule.
  Result<void> CheckFork() const;

 private:
  struct Asked {
    std::string path;
    bool (*used)();
    bool was_used = false;
  };
  std::vector<ThreadNote> TakeNewThreads(const std::string& step);

  std::vector<ThreadNote> notes_;  // of all threads that it ever had
  std::set<std::int64_t> threads_;
  std::set<int> fds_;
  std::set<std::string> libraries_;
  std::vector<Asked> asked_;
};

}  // namespace forkserver
