// The environment variables that a zygote cannot take from a request any more,
// because its libraries have read them. A worker whose request says something
// else about one of them is refused.
//
// A value; no I/O.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace forkserver {

class FrozenEnvironment {
 public:
  // `environment`: "NAME=value", as the zygote was given it. `patterns`: names,
  // or "LD_*" for all that begin so; a '*' elsewhere is an ordinary character.
  FrozenEnvironment(std::vector<std::string> environment,
                    std::vector<std::string> patterns);
  FrozenEnvironment(const FrozenEnvironment&) = delete;
  FrozenEnvironment& operator=(const FrozenEnvironment&) = delete;

  // "LD_PRELOAD (changed), OMP_DYNAMIC (added), LC_ALL (removed)": how the
  // frozen variables of `environment` differ from the zygote's; empty if they
  // do not.
  std::string DescribeDifference(
      const std::vector<std::string>& environment) const;

 private:
  // {name, value} by name, each name once; refers to `environment`.
  using Variables = std::vector<std::pair<std::string_view, std::string_view>>;
  bool IsFrozen(std::string_view name) const;
  Variables SelectFrozen(const std::vector<std::string>& environment) const;

  const std::vector<std::string> environment_;
  const std::vector<std::string> patterns_;
  const Variables frozen_;
};

}  // namespace forkserver
