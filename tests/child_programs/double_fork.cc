// Leaves an orphan behind: forks a child that forks a grandchild, and ends
// when the child has. The grandchild ends at once, or with an argument when
// it has written its pid to standard output and standard input has ended.
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>

int main(int argc, char**) {
  const pid_t child = fork();
  if (child < 0) return 1;
  if (child > 0) {
    waitpid(child, nullptr, 0);
    return 0;
  }
  const pid_t grandchild = fork();
  if (grandchild != 0) _exit(grandchild < 0);
  if (argc > 1) {
    std::printf("%d\n", getpid());
    std::fflush(stdout);
    char byte;
    while (read(0, &byte, 1) > 0) {
    }
  }
  _exit(0);
}
