// Which tests a filter means. Passive.
//
//   text      the id contains it
//   =text     the id, or the name, is exactly that
//   te*xt?    glob over the whole id or the whole name: * is any text, ? any
//   letter /te.xt/   a regular expression (ECMAScript) is found in the id
//   tag:name  one of its tags is exactly that, or matches the glob
//   !filter   not that
//
// Several filters are joined by "or"; those with ! take away from what the
// others select, or from all if there is no other.
#pragma once

#include <forkserver/result.h>

#include <memory>
#include <string>
#include <vector>

#include "tools/harness/model/test_model.h"

namespace forkserver::harness {

class Selection {
 public:
  // No filter: every test.
  Selection() = default;
  // Errors "bad_request" name the filter.
  static Result<Selection> Parse(const std::vector<std::string>& filters);

  bool Matches(const TestCase& test) const;
  bool selects_all() const { return wanted_.empty() && unwanted_.empty(); }

 private:
  struct Filter;
  static Result<std::shared_ptr<const Filter>> ParseOne(
      const std::string& text);

  std::vector<std::shared_ptr<const Filter>> wanted_;
  std::vector<std::shared_ptr<const Filter>> unwanted_;
};

// `pattern` over the whole of `text`. Takes time in proportion to the product
// of their lengths at most.
bool MatchesGlob(std::string_view pattern, std::string_view text);

}  // namespace forkserver::harness
