#include <doctest/doctest.h>
#include <forkserver/lib.h>
#include <cstdlib>
#include "tests/skip.h"
TEST_CASE("adds") { CHECK(Add(1, 2) == 3); }
TEST_CASE("skips: itself") { FORKSERVER_SKIP("kernel: no wings"); CHECK(false); }
TEST_CASE("leaks if asked") { if (getenv("LEAK")) { volatile char* p = (char*)malloc(77); p[0] = 1; p = nullptr; } if (getenv("OVF")) { int m = 2147483647; m += Add(0,1); CHECK(m); } if (getenv("ABRT")) abort(); }
