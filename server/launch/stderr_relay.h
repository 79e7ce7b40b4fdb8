// Between a worker's standard error and the descriptor that its client wanted
// there: hands everything on, and keeps the end of it for the exit record.
// Only for workers whose request has `crash_report`.
//
// Passive; never blocks. While the client's descriptor cannot be written
// nothing is read, and so the worker waits, as it would without a relay.
#pragma once

#include <forkserver/result.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "sdk/base/unique_fd.h"
#include "sdk/process/poll_set.h"
#include "sdk/protocol/messages.h"
#include "sdk/protocol/upgrade_messages.h"
#include "server/handed_fds.h"

namespace forkserver::server {

class StderrRelay {
 public:
  static constexpr std::size_t kTailBytes = 2048;

  // The tokens under which its two ends are polled.
  struct Tokens {
    std::uint64_t source = 0;
    std::uint64_t target = 0;
  };

  // Changes descriptor 2 of `setup` to a pipe, in `fds` of the request, and
  // returns the relay that reads it. Empty where there is nothing to do: it is
  // a regular file, which is there to be read afterwards, or it cannot be
  // written without the danger of blocking.
  static Result<std::unique_ptr<StderrRelay>> Insert(
      PollSet& poll_set, Tokens tokens, protocol::Setup& setup,
      std::vector<UniqueFd>& fds);
  // One of the program that this one replaces. `handed.key` is the caller's.
  static std::unique_ptr<StderrRelay> Resume(PollSet& poll_set, Tokens tokens,
                                             protocol::HandedRelay handed);
  // It is, as far as it has to be. Only of one that was just made.
  bool is_watched() const {
    return !source_ || watching_source_ || watching_target_;
  }
  protocol::HandedRelay WriteDown(HandedFds& fds) const;
  ~StderrRelay();
  StderrRelay(const StderrRelay&) = delete;
  StderrRelay& operator=(const StderrRelay&) = delete;

  void OnReadable();
  void OnWritable() { Flush(); }

  // The worker has ended: takes what is in the pipe, and returns the end of
  // all. Others may hold the pipe; the relay goes on until it is done.
  std::string TakeTail();
  bool done() const { return ended_ && !source_ && pending_.empty(); }

 private:
  StderrRelay(PollSet& poll_set, Tokens tokens, UniqueFd source,
              UniqueFd target, bool is_socket);
  // False at the end of file, and when there is nothing to read.
  bool ReadSome();
  void Flush();
  void WatchTarget(bool on);
  void WatchSource(bool on);
  void CloseSource();

  PollSet& poll_set_;
  Tokens tokens_;
  UniqueFd source_;
  UniqueFd target_;  // invalid: nowhere
  bool is_socket_;
  bool watching_source_ = false;
  bool watching_target_ = false;
  bool ended_ = false;
  std::string pending_;  // for the target
  std::string tail_;
};

}  // namespace forkserver::server
