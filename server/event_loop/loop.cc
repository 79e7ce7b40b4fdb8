#include "server/event_loop/loop.h"

#include <uv.h>

#include <algorithm>
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
  int events = 0;

  static void OnEvent(uv_poll_t* uv, int status, int events) noexcept {
    auto* const self = static_cast<Handle*>(uv->data);
    if (self->closed) return;
    // An error on the descriptor (EBADF of a reset socket) is found by
    // reading it.
    if (status < 0) {
      events = UV_READABLE;
      // libuv has stopped watching; the rest is read all the same.
      uv_poll_start(uv, self->events, OnEvent);
    }
    self->callback((events & UV_READABLE) != 0, (events & UV_WRITABLE) != 0);
  }
};

FdWatcher::FdWatcher(Loop& loop, int fd, Callback callback)
    : handle_(new Handle) {
  handle_->callback = std::move(callback);
  handle_->uv.data = handle_;
  if (uv_poll_init(loop.raw(), &handle_->uv, fd) != 0) {
    delete handle_;
    handle_ = nullptr;
    return;
  }
  Watch(true, false);
}

FdWatcher::~FdWatcher() {
  if (handle_ != nullptr) CloseHandle(handle_);
}

void FdWatcher::Watch(bool readable, bool writable) {
  const int events =
      (readable ? UV_READABLE : 0) | (writable ? UV_WRITABLE : 0);
  if (handle_ == nullptr || events == handle_->events) return;
  handle_->events = events;
  if (events == 0) {
    uv_poll_stop(&handle_->uv);
  } else {
    uv_poll_start(&handle_->uv, events, Handle::OnEvent);
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
