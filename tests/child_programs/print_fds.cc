// Prints the numbers of its open descriptors: "0 1 2 7".
#include <fcntl.h>

#include <cstdio>

int main() {
  const char* separator = "";
  for (int fd = 0; fd < 4096; ++fd) {
    if (fcntl(fd, F_GETFD) < 0) continue;
    std::printf("%s%d", separator, fd);
    separator = " ";
  }
}
