/* What AFL++'s forkserver forks: a program that does nothing. Compiled by
   afl-cc when it is measured. */
int main(void) { return 0; }
