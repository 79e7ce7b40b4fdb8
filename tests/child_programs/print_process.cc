// Prints what it was started with, a line each: argv, environment, working
// directory, umask, niceness, soft and hard limit of descriptors, whether it
// leads its process group and its session.
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>

extern char** environ;

int main(int, char** argv) {
  for (; *argv != nullptr; ++argv) std::printf("argv %s\n", *argv);
  for (char** each = environ; *each != nullptr; ++each) {
    std::printf("env %s\n", *each);
  }
  char cwd[4096];
  std::printf("cwd %s\n", getcwd(cwd, sizeof(cwd)));
  std::printf("umask %03o\n", static_cast<unsigned>(umask(0)));
  std::printf("nice %d\n", getpriority(PRIO_PROCESS, 0));
  struct rlimit limit = {};
  getrlimit(RLIMIT_NOFILE, &limit);
  std::printf("nofile %llu %llu\n",
              static_cast<unsigned long long>(limit.rlim_cur),
              static_cast<unsigned long long>(limit.rlim_max));
  std::printf("group %d session %d\n", getpgid(0) == getpid(),
              getsid(0) == getpid());
}
