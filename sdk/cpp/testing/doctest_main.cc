// doctest's implementation; see doctest_main.h.
#define FORKSERVER_NO_MAIN
#include <forkserver/doctest_main.h>
