// The main function of a warm test program that has none of its own.
#include <forkserver/testing.h>

int main(int argc, char** argv) { return forkserver::RunTests(argc, argv); }
