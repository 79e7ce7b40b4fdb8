// tiny_program.S for systems that have no static programs.
#include <unistd.h>

int main(int argc, char**) {
  if (argc == 1) return 0;
  for (;;) ::pause();
}
