// Thin owners of libuv's loop and handles: the only includers of <uv.h>.
//
// A handle's callback runs on the loop's thread, inside Loop::Run. Destroying
// a handle stops its callback at once; libuv's memory is freed when the loop
// has closed it. A handle must not outlive its loop. Never used here, because
// they start threads: uv_fs_*, uv_getaddrinfo, uv_queue_work, uv_spawn.
#pragma once

#include <chrono>
#include <functional>
#include <memory>

struct uv_loop_s;

namespace forkserver::server {

class Loop {
 public:
  Loop();
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // Blocks until Stop was called.
  void Run();
  void Stop();
  uv_loop_s* raw() { return loop_.get(); }

 private:
  std::unique_ptr<uv_loop_s> loop_;
};

// Readiness of a descriptor, level-triggered. Borrows the descriptor; destroy
// the watcher before closing it.
class FdWatcher {
 public:
  using Callback = std::function<void(bool readable, bool writable)>;
  // Watches for reading at once. It may fail for want of memory or watches in
  // the kernel: see valid(), now and after each Watch. One that failed is
  // told of nothing any more.
  FdWatcher(Loop& loop, int fd, Callback callback);
  ~FdWatcher();
  FdWatcher(const FdWatcher&) = delete;
  FdWatcher& operator=(const FdWatcher&) = delete;

  bool valid() const { return handle_ != nullptr; }
  void Watch(bool readable, bool writable);

 private:
  struct Handle;
  void Close();
  Handle* handle_;
};

// One shot, restartable.
class Timer {
 public:
  Timer(Loop& loop, std::function<void()> callback);
  ~Timer();
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  // Fires once after `delay`; replaces an earlier start.
  void Start(std::chrono::milliseconds delay);
  void Stop();

 private:
  struct Handle;
  Handle* handle_;
};

class SignalWatcher {
 public:
  SignalWatcher(Loop& loop, int signal, std::function<void()> callback);
  ~SignalWatcher();
  SignalWatcher(const SignalWatcher&) = delete;
  SignalWatcher& operator=(const SignalWatcher&) = delete;

 private:
  struct Handle;
  Handle* handle_;
};

}  // namespace forkserver::server
