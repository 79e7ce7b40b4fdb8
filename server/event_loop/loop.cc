#include "server/event_loop/loop.h"

#include <uv.h>
#ifdef __linux__
#include <sys/epoll.h>
#endif

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <utility>

namespace forkserver::server {
namespace {

// Start-up failures of the loop (no descriptors, no memory) leave nothing to
// serve with.
void Check(int outcome) {
  if (outcome != 0) std::abort();
}

// The callback object lives until libuv lets go of the handle: it may be the
// one that is running now.
template <typename Handle>
void CloseHandle(Handle* handle) {
  handle->closed = true;
  uv_close(reinterpret_cast<uv_handle_t*>(&handle->uv),
           [](uv_handle_t* uv) { delete static_cast<Handle*>(uv->data); });
}

// uv_poll_start only notes what is wanted; epoll_ctl(2) is called by the next
// uv_run, which aborts (libuv 1.44, uv__io_poll) when that has no memory or
// watches left for it. A descriptor that the kernel has registered already is
// not registered again: so do that here, where it may fail. (kqueue: by
// reading, uv_run aborts there too, and nothing is done about it.)
bool Register([[maybe_unused]] uv_loop_t* loop, [[maybe_unused]] int fd) {
#ifdef __linux__
  // No event by it may come before libuv has said which ones it wants.
  epoll_event none = {};
  none.data.fd = fd;
  return ::epoll_ctl(uv_backend_fd(loop), EPOLL_CTL_ADD, fd, &none) == 0 ||
         errno == EEXIST;
#else
  return true;
#endif
}

}  // namespace

Loop::Loop() : loop_(new uv_loop_t) { Check(uv_loop_init(loop_.get())); }

Loop::~Loop() {
  // Lets the close callbacks run; the owners closed their handles already.
  uv_run(loop_.get(), UV_RUN_NOWAIT);
  uv_loop_close(loop_.get());
}

void Loop::Run() { uv_run(loop_.get(), UV_RUN_DEFAULT); }

void Loop::Stop() { uv_stop(loop_.get()); }

struct FdWatcher::Handle {
  uv_poll_t uv = {};
  Callback callback;
  bool closed = false;
  int fd = -1;
  int events = 0;

  // libuv lets go of the descriptor whenever what is wanted of it changes.
  bool Start(int wanted) {
    events = wanted;
    return uv_poll_start(&uv, wanted, OnEvent) == 0 && Register(uv.loop, fd);
  }

  static void OnEvent(uv_poll_t* uv, int status, int events) noexcept {
    auto* const self = static_cast<Handle*>(uv->data);
    if (self->closed) return;
    // An error on the descriptor (EBADF of a reset socket) is found by
    // reading it.
    if (status < 0) {
      events = UV_READABLE;
      // libuv has stopped watching; the rest is read all the same.
      if (!self->Start(self->events)) uv_poll_stop(uv);
    }
    self->callback((events & UV_READABLE) != 0, (events & UV_WRITABLE) != 0);
  }
};

FdWatcher::FdWatcher(Loop& loop, int fd, Callback callback)
    : handle_(new Handle) {
  handle_->callback = std::move(callback);
  handle_->uv.data = handle_;
  handle_->fd = fd;
  if (uv_poll_init(loop.raw(), &handle_->uv, fd) != 0) {
    delete handle_;
    handle_ = nullptr;
    return;
  }
  Watch(true, false);
}

FdWatcher::~FdWatcher() { Close(); }

void FdWatcher::Close() {
  if (handle_ != nullptr) CloseHandle(std::exchange(handle_, nullptr));
}

void FdWatcher::Watch(bool readable, bool writable) {
  const int events =
      (readable ? UV_READABLE : 0) | (writable ? UV_WRITABLE : 0);
  if (handle_ == nullptr || events == handle_->events) return;
  if (events == 0) {
    handle_->events = 0;
    uv_poll_stop(&handle_->uv);
  } else if (!handle_->Start(events)) {
    Close();
  }
}

struct Timer::Handle {
  uv_timer_t uv = {};
  std::function<void()> callback;
  bool closed = false;

  static void OnTimer(uv_timer_t* uv) noexcept {
    auto* const self = static_cast<Handle*>(uv->data);
    if (!self->closed) self->callback();
  }
};

Timer::Timer(Loop& loop, std::function<void()> callback) : handle_(new Handle) {
  handle_->callback = std::move(callback);
  handle_->uv.data = handle_;
  Check(uv_timer_init(loop.raw(), &handle_->uv));
}

Timer::~Timer() { CloseHandle(handle_); }

void Timer::Start(std::chrono::milliseconds delay) {
  const auto milliseconds = std::max<std::int64_t>(delay.count(), 0);
  // The loop's idea of now is that of the last wake-up.
  uv_update_time(handle_->uv.loop);
  uv_timer_start(&handle_->uv, Handle::OnTimer,
                 static_cast<std::uint64_t>(milliseconds), 0);
}

void Timer::Stop() { uv_timer_stop(&handle_->uv); }

struct SignalWatcher::Handle {
  uv_signal_t uv = {};
  std::function<void()> callback;
  bool closed = false;

  static void OnSignal(uv_signal_t* uv, int) noexcept {
    auto* const self = static_cast<Handle*>(uv->data);
    if (!self->closed) self->callback();
  }
};

SignalWatcher::SignalWatcher(Loop& loop, int signal,
                             std::function<void()> callback)
    : handle_(new Handle) {
  handle_->callback = std::move(callback);
  handle_->uv.data = handle_;
  Check(uv_signal_init(loop.raw(), &handle_->uv));
  Check(uv_signal_start(&handle_->uv, Handle::OnSignal, signal));
}

SignalWatcher::~SignalWatcher() { CloseHandle(handle_); }

}  // namespace forkserver::server
