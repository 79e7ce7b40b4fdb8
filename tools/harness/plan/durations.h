// How long tests took when they ran last: a file with a line for each, "us us
// us<TAB>id", the newest first. What is not such a line is passed over.
//
// Of each test the last few times are kept, and of all tests the most recent
// ones; a test that has not run for long is forgotten.
#pragma once

#include <forkserver/result.h>

#include <cstddef>
#include <cstdint>
#include <list>
#include <string>
#include <unordered_map>
#include <vector>

namespace forkserver::harness {

class Durations {
 public:
  static constexpr std::size_t kTimesKept = 5;
  static constexpr std::size_t kTestsKept = 200'000;

  // Empty if there is no such file.
  static Result<Durations> Read(const std::string& path);
  // Replaces the file at once.
  Result<void> Write(const std::string& path) const;

  // The median of the last times, 0: unknown.
  std::int64_t MedianUs(const std::string& id) const;
  // The last one, 0: unknown.
  std::int64_t LastUs(const std::string& id) const;
  void Add(const std::string& id, std::int64_t wall_us);
  std::size_t size() const { return tests_.size(); }

 private:
  struct Test {
    std::string id;
    std::vector<std::int64_t> wall_us;  // the newest first
  };
  std::list<Test> tests_;  // those that ran last first
  std::unordered_map<std::string, std::list<Test>::iterator> by_id_;
};

}  // namespace forkserver::harness
