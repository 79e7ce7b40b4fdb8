// Follows the rule of Darwin's libdispatch, whose source this repeats in small:
// once a queue was used asynchronously, a fork poisons the child, and its next
// use of a queue faults at address 0x110. That its threads have ended by then,
// which they do when they are idle, changes nothing. Only loaded, or used only
// synchronously, it does no harm.
#include <pthread.h>

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <thread>

namespace {

constexpr auto kIdleTime = std::chrono::milliseconds(50);
// What _dispatch_atfork_child writes into the heads of the queues.
constexpr std::uintptr_t kPoison = 0x100;

struct Work {
  void (*function)(void*);
  void* context;
};

struct Queue {
  void* header[2];
  std::uint64_t enqueued;  // At 0x10.
};

Queue queue = {};
Queue* volatile queue_head = &queue;
std::mutex mutex;
std::condition_variable changed;
std::deque<Work> pending;
bool has_worker = false;

void RunWork() {
  pthread_setname_np(pthread_self(), "DispatchWorker");
  std::unique_lock lock(mutex);
  while (changed.wait_for(lock, kIdleTime, [] { return !pending.empty(); })) {
    const Work work = pending.front();
    pending.pop_front();
    lock.unlock();
    work.function(work.context);
    lock.lock();
  }
  has_worker = false;
}

}  // namespace

extern "C" {

// As the source calls it; hidden there, too.
__attribute__((visibility("hidden"))) std::uint8_t _dispatch_unsafe_fork = 0;

bool _dispatch_is_multithreaded() { return _dispatch_unsafe_fork != 0; }

void dispatch_async_f(void* /*queue*/, void* context, void (*function)(void*)) {
  queue_head->enqueued = queue_head->enqueued + 1;
  const std::lock_guard lock(mutex);
  _dispatch_unsafe_fork = 1;
  pending.push_back({function, context});
  if (!has_worker) {
    has_worker = true;
    std::thread(RunWork).detach();
  }
  changed.notify_one();
}

void dispatch_sync_f(void* /*queue*/, void* context, void (*function)(void*)) {
  function(context);
}

}  // extern "C"

namespace {

void PoisonChild() {
  if (_dispatch_unsafe_fork != 0)
    queue_head = reinterpret_cast<Queue*>(kPoison);
}

__attribute__((constructor)) void WatchForks() {
  pthread_atfork(nullptr, nullptr, PoisonChild);
}

}  // namespace
