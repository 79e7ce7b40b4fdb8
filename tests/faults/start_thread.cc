// Preloaded into a program, it starts a thread there: what forkserverd must
// notice and name.
#include <pthread.h>
#include <unistd.h>

namespace {

void* RunForever(void*) {
  pthread_setname_np(pthread_self(), "uninvited");
  for (;;) pause();
}

__attribute__((constructor)) void StartThread() {
  pthread_t thread;
  if (pthread_create(&thread, nullptr, RunForever, nullptr) == 0) {
    pthread_detach(thread);
  }
}

}  // namespace
