#include "tools/forkserver/top_sampler.h"

#include <doctest/doctest.h>

namespace forkserver::cli {
namespace {

constexpr std::int64_t kSecond = 1'000'000;
constexpr std::int64_t kSince = 100 * kSecond;  // the last sample

CpuTime Old(std::int64_t own_us, std::int64_t reaped_us = 0) {
  return {own_us, reaped_us, 7 * kSecond};
}
CpuTime New(std::int64_t own_us, std::int64_t reaped_us = 0) {
  return {own_us, reaped_us, kSince + kSecond / 2};
}

TEST_CASE("a tree has used what each of its processes has") {
  CHECK(UsedSince({{1, Old(5)}, {2, Old(70)}}, {{1, Old(9)}, {2, Old(100)}},
                  kSince, true) == 34);
}

TEST_CASE("what began since the last sample counts from its beginning") {
  CHECK(UsedSince({{1, Old(5)}}, {{1, Old(5)}, {2, New(40)}}, kSince, true) ==
        40);
  CHECK(UsedSince({}, {{1, New(7)}}, kSince, true) == 7);
}

TEST_CASE("what began just after the last sample is not taken for older") {
  // The system notes the tick in which it began, and the sample was in it.
  const CpuTime just_after{40, 0, kSince - kBegunGrainUs + 1};
  CHECK(UsedSince({{1, Old(5)}}, {{1, Old(5)}, {2, just_after}}, kSince,
                  true) == 40);
}

TEST_CASE("what was there and had not been found counts from now on") {
  CHECK(UsedSince({{1, Old(5)}}, {{1, Old(6)}, {2, Old(9000)}}, kSince, true) ==
        1);
}

TEST_CASE("a child that has ended counts once") {
  // It had used 1000, uses 50 more, ends, and its parent has it.
  CHECK(UsedSince({{1, Old(5, 0)}, {2, Old(1000)}}, {{1, Old(5, 1050)}}, kSince,
                  true) == 50);
  // Between two samples: nobody has seen it.
  CHECK(UsedSince({{1, Old(5, 0)}}, {{1, Old(5, 300)}}, kSince, true) == 300);
  // It is a zombie at this sample, and reaped at the next.
  CHECK(UsedSince({{1, Old(5, 0)}, {2, Old(1000)}},
                  {{1, Old(5, 0)}, {2, Old(1000)}}, kSince, true) == 0);
}

TEST_CASE("the workers that a zygote has reaped are not its own time") {
  CHECK(UsedSince({{1, Old(5, 0)}}, {{1, Old(8, 60 * kSecond)}}, kSince,
                  false) == 3);
  // A spare became a worker, which is a row of its own.
  CHECK(UsedSince({{1, Old(5)}, {2, Old(1000)}}, {{1, Old(8)}}, kSince,
                  false) == 3);
}

TEST_CASE("a process with the number of one that has ended is another one") {
  CHECK(UsedSince({{1, Old(5, 0)}, {2, Old(1000)}},
                  {{1, Old(5, 1000)}, {2, New(10)}}, kSince, true) == 10);
}

TEST_CASE("it is never less than nothing") {
  // SIGCHLD is ignored: nobody has its time.
  CHECK(UsedSince({{1, Old(5)}, {2, Old(1000)}}, {{1, Old(6)}}, kSince, true) ==
        0);
}

}  // namespace
}  // namespace forkserver::cli
