// A parallel region on libgomp. It is what GCC makes of "#pragma omp parallel"
// written out, so that clang, which has no libgomp of its own, can build it.
#include <atomic>

extern "C" {

void GOMP_parallel(void (*region)(void*), void* data, unsigned threads,
                   unsigned flags);
int omp_get_thread_num();

// 1 + 2 + 3 + 4: each of four threads adds its part.
int SumOfFourThreads() {
  std::atomic<int> sum = 0;
  GOMP_parallel(
      [](void* data) {
        *static_cast<std::atomic<int>*>(data) += omp_get_thread_num() + 1;
      },
      &sum, 4, 0);
  return sum;
}

}  // extern "C"
