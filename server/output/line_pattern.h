// The expression by which a service's output says that it is ready.
//
// POSIX extended, over bytes: libc's matcher does not backtrack as long as
// there are no references to groups, so that no expression and no line makes
// it run for long. A backslash before a letter or digit is refused: systems
// differ in what it means, and where it means a reference matching takes
// exponential time. An expression that grows beyond kMaxStates when its
// repetitions are written out is refused too: regcomp(3) would write them out.
#pragma once

#include <forkserver/result.h>
#include <regex.h>

#include <cstddef>
#include <string>
#include <string_view>

namespace forkserver::server {

class LinePattern {
 public:
  static constexpr std::size_t kMaxBytes = 1000;  // of the expression
  static constexpr std::size_t kMaxStates = 4096;
  // Of a line, only the beginning is looked at.
  static constexpr std::size_t kMaxLineBytes = 1024;

  // Error "bad_request", with what is wrong.
  static Result<LinePattern> Compile(const std::string& expression);
  LinePattern(LinePattern&& other) noexcept;
  LinePattern& operator=(LinePattern&&) = delete;
  ~LinePattern();

  // Matches anywhere in the line, unless anchored by ^ or $.
  bool Matches(std::string_view line);

 private:
  explicit LinePattern(std::string expression)
      : expression_(std::move(expression)) {}

  std::string expression_;
  regex_t compiled_ = {};
  bool is_compiled_ = false;
  std::size_t matched_bytes_ = 0;  // since it was compiled
};

}  // namespace forkserver::server
