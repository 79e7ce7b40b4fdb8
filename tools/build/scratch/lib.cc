#include <forkserver/lib.h>
#include "tools/build/scratch/lib.h"
#include <concepts>
template <std::integral T> T AddT(T a, T b) { return a + b; }
int Add(int a, int b) { return AddT(a, b); }
