#include "tools/forkserver/signal_pipe.h"

#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <utility>

#include "sdk/base/unix_socket.h"

namespace forkserver::cli {
namespace {

constexpr int kShutDown = -2;

std::atomic<int> signal_write_end{-1};
std::atomic<int> blocking_socket{-1};
std::atomic<int> to_pass{0};
static_assert(std::atomic<int>::is_always_lock_free);

void EndBlockingCalls(int signal) {
  if (signal != SIGINT && signal != SIGTERM && signal != SIGHUP) return;
  const int socket = blocking_socket.load();
  if (socket >= 0 && to_pass > 0) {
    --to_pass;
  } else if (socket >= 0) {
    blocking_socket = kShutDown;
    ::shutdown(socket, SHUT_RDWR);
  } else if (socket == kShutDown) {
    std::signal(signal, SIG_DFL);
    std::raise(signal);
  }
}

extern "C" void WriteSignal(int signal) {
  const int saved = errno;
  EndBlockingCalls(signal);
  const auto byte = static_cast<unsigned char>(signal);
  // Full after thousands of unread signals: one more says nothing new.
  (void)!::write(signal_write_end.load(), &byte, 1);
  errno = saved;
}

void SetHandler(int signal) {
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
  for (const int signal : signals) result.Catch(signal);
  return result;
}

void SignalPipe::Catch(int signal) {
  struct sigaction action = {};
  ::sigaction(signal, nullptr, &action);
  if (action.sa_handler == SIG_IGN && signal != SIGCHLD) return;
  SetHandler(signal);
  caught_.push_back(signal);
}

void SignalPipe::EndCallsOver(int socket, int let_pass) {
  to_pass = let_pass;
  blocking_socket = socket;
}

bool SignalPipe::HasEndedCalls() { return blocking_socket == kShutDown; }

void SignalPipe::TakeDefaultAction(int signal) {
  std::signal(signal, SIG_DFL);
  std::raise(signal);
  SetHandler(signal);
}

SignalPipe::~SignalPipe() {
  if (!write_end_) return;  // moved from
  for (const int signal : caught_) {
    struct sigaction action = {};
    action.sa_handler = SIG_DFL;
    ::sigaction(signal, &action, nullptr);
  }
  signal_write_end = -1;
  blocking_socket = -1;
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
