#include <uv.h>
#include <cassert>
#include <cstdio>
#include <forkserver/lib.h>
#ifdef NDEBUG
#error assertions are off
#endif
int Pack(); int Cli(int, char**);
int main(int argc, char** argv) { uv_loop_t l; uv_loop_init(&l); uv_run(&l, UV_RUN_DEFAULT); std::printf("%d %d %d\n", Add(1,2), Pack(), Cli(argc, argv)); return uv_loop_close(&l); }
