// What the cases share: how a piece of work becomes a contender.
#pragma once

#include <forkserver/result.h>

#include <chrono>
#include <cstdint>
#include <ctime>
#include <functional>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "tools/benchmark/command.h"
#include "tools/benchmark/report.h"
#include "tools/benchmark/sampler.h"

namespace forkserver::benchmark {

inline constexpr std::chrono::microseconds kNoIdle{0};
// What an idle daemon meets: cold caches and a sleeping processor.
inline constexpr std::chrono::microseconds kColdIdle{20'000};

inline void Idle(std::chrono::microseconds idle) {
  if (idle.count() <= 0) return;
  const timespec pause = {idle.count() / 1'000'000,
                          idle.count() % 1'000'000 * 1000};
  ::nanosleep(&pause, nullptr);
}

inline double ToMicroseconds(std::int64_t ns) {
  return static_cast<double>(ns) / 1000.0;
}

// `work` timed from here, in microseconds.
inline Contender Timed(std::string name, std::function<Result<void>()> work) {
  Contender contender;
  contender.series = {std::move(name)};
  contender.run =
      [work = std::move(work)](
          std::chrono::microseconds idle) -> Result<std::vector<double>> {
    Idle(idle);
    const std::int64_t begun_ns = NowNs();
    if (auto done = work(); !done) return done.error();
    return std::vector<double>{ToMicroseconds(NowNs() - begun_ns)};
  };
  return contender;
}

// `helper` times the work itself, in nanoseconds; asked by `question`.
inline Contender SelfTimed(Helper& helper, std::string name, char question) {
  Contender contender;
  contender.series = {std::move(name)};
  contender.run =
      [&helper, question](
          std::chrono::microseconds idle) -> Result<std::vector<double>> {
    Idle(idle);
    std::int64_t elapsed_ns = 0;
    auto asked = helper.Ask(&question, 1, &elapsed_ns, sizeof(elapsed_ns));
    if (!asked) return asked.error();
    return std::vector<double>{ToMicroseconds(elapsed_ns)};
  };
  return contender;
}

inline Contender As(Role role, Contender contender) {
  contender.role = role;
  return contender;
}

inline void Append(std::vector<Row>& rows, std::vector<Row> more) {
  rows.insert(rows.end(), std::make_move_iterator(more.begin()),
              std::make_move_iterator(more.end()));
}

}  // namespace forkserver::benchmark
