// A library with a thread that holds its mutex for as long as it works.
#include <pthread.h>
#include <unistd.h>

#include <condition_variable>
#include <mutex>
#include <thread>

namespace {

std::mutex work_mutex;
int work_count = 0;

}  // namespace

extern "C" {

// Returns when the thread holds the mutex.
void StartLongWork() {
  static std::mutex mutex;
  static std::condition_variable changed;
  static bool holds = false;
  std::thread([] {
    pthread_setname_np(pthread_self(), "long-work");
    const std::lock_guard work(work_mutex);
    {
      const std::lock_guard lock(mutex);
      holds = true;
    }
    changed.notify_one();
    for (;;) pause();
  }).detach();
  std::unique_lock lock(mutex);
  changed.wait(lock, [] { return holds; });
}

int CountWork() {
  const std::lock_guard work(work_mutex);
  return ++work_count;
}

}  // extern "C"
