// Prints which signals it was given blocked and ignored:
// "blocked: ignored: 13 15".
#include <csignal>
#include <cstdio>

int main() {
  sigset_t blocked;
  sigprocmask(SIG_BLOCK, nullptr, &blocked);
  std::printf("blocked:");
  for (int signal = 1; signal < NSIG; ++signal) {
    if (sigismember(&blocked, signal) == 1) std::printf(" %d", signal);
  }
  std::printf(" ignored:");
  for (int signal = 1; signal < NSIG; ++signal) {
    struct sigaction action = {};
    if (sigaction(signal, nullptr, &action) == 0 &&
        action.sa_handler == SIG_IGN) {
      std::printf(" %d", signal);
    }
  }
}
