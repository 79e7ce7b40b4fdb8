// tiny_program.S for systems that have no static programs.
#include <unistd.h>

int main(int argc, char**) {
  while (argc > 1) ::pause();
}
