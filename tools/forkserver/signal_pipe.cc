#include "tools/forkserver/signal_pipe.h"

#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <utility>

#include "sdk/base/unix_socket.h"

namespace forkserver::cli {
namespace {

std::atomic<int> signal_write_end{-1};
static_assert(std::atomic<int>::is_always_lock_free);

extern "C" void WriteSignal(int signal) {
  const int saved = errno;
  const auto byte = static_cast<unsigned char>(signal);
  // Full after thousands of unread signals: one more says nothing new.
  (void)!::write(signal_write_end.load(), &byte, 1);
  errno = saved;
}

void Catch(int signal) {
  struct sigaction action = {};
  action.sa_handler = WriteSignal;
  action.sa_flags = SA_RESTART;
  sigfillset(&action.sa_mask);
  ::sigaction(signal, &action, nullptr);
}

}  // namespace

Result<SignalPipe> SignalPipe::Open(std::initializer_list<int> signals) {
  Result<Pipe> pipe = MakePipe();
  if (!pipe) return pipe.error();
  SetNonBlocking(pipe->read_end.get());
  SetNonBlocking(pipe->write_end.get());
  SignalPipe result;
  result.read_end_ = std::move(pipe->read_end);
  result.write_end_ = std::move(pipe->write_end);
  signal_write_end = result.write_end_.get();
  for (const int signal : signals) {
    struct sigaction action = {};
    ::sigaction(signal, nullptr, &action);
    if (action.sa_handler == SIG_IGN && signal != SIGCHLD) continue;
    Catch(signal);
    result.caught_.push_back(signal);
  }
  return result;
}

void SignalPipe::TakeDefaultAction(int signal) {
  std::signal(signal, SIG_DFL);
  std::raise(signal);
  Catch(signal);
}

SignalPipe::~SignalPipe() {
  if (!write_end_) return;  // moved from
  for (const int signal : caught_) {
    struct sigaction action = {};
    action.sa_handler = SIG_DFL;
    ::sigaction(signal, &action, nullptr);
  }
  signal_write_end = -1;
}

std::vector<int> SignalPipe::Take() {
  std::vector<int> signals;
  unsigned char bytes[64];
  ssize_t size;
  while ((size = ::read(read_end_.get(), bytes, sizeof(bytes))) > 0 ||
         (size < 0 && errno == EINTR)) {
    for (ssize_t i = 0; i < size; ++i) signals.push_back(bytes[i]);
  }
  return signals;
}

}  // namespace forkserver::cli
