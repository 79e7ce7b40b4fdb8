// See gtest_main.h.
#define FORKSERVER_NO_MAIN
#include <forkserver/gtest_main.h>
