#include "tools/harness/plan/selection.h"

#include <algorithm>
#include <regex>
#include <string_view>
#include <utility>

namespace forkserver::harness {
namespace {

constexpr std::string_view kTagPrefix = "tag:";

bool IsGlob(std::string_view text) {
  return text.find_first_of("*?") != std::string_view::npos;
}

}  // namespace

bool MatchesGlob(std::string_view pattern, std::string_view text) {
  std::size_t at = 0;
  std::size_t in_text = 0;
  std::size_t star = std::string_view::npos;  // the last one that was met
  std::size_t star_text = 0;
  while (in_text < text.size()) {
    if (at < pattern.size() &&
        (pattern[at] == '?' || pattern[at] == text[in_text]) &&
        pattern[at] != '*') {
      ++at;
      ++in_text;
    } else if (at < pattern.size() && pattern[at] == '*') {
      star = at++;
      star_text = in_text;
    } else if (star != std::string_view::npos) {
      at = star + 1;
      in_text = ++star_text;
    } else {
      return false;
    }
  }
  while (at < pattern.size() && pattern[at] == '*') ++at;
  return at == pattern.size();
}

struct Selection::Filter {
  enum class Kind { kSubstring, kExact, kGlob, kRegex, kTag };
  Kind kind = Kind::kSubstring;
  std::string text;
  std::regex regex;

  bool Matches(const TestCase& test) const {
    switch (kind) {
      case Kind::kSubstring:
        return test.id.find(text) != std::string::npos;
      case Kind::kExact:
        return test.id == text || test.name() == text;
      case Kind::kGlob:
        return MatchesGlob(text, test.id) || MatchesGlob(text, test.name());
      case Kind::kRegex:
        return std::regex_search(test.id, regex);
      case Kind::kTag:
        return std::any_of(
            test.listed.tags.begin(), test.listed.tags.end(),
            [&](const std::string& tag) { return MatchesGlob(text, tag); });
    }
    return false;
  }
};

Result<std::shared_ptr<const Selection::Filter>> Selection::ParseOne(
    const std::string& text) {
  auto filter = std::make_shared<Filter>();
  if (text.empty()) {
    return MakeError(error_code::kBadRequest, "a filter is empty",
                     "it would select every test");
  }
  if (text.size() >= 2 && text.front() == '/' && text.back() == '/') {
    filter->kind = Filter::Kind::kRegex;
    try {
      filter->regex = std::regex(text.substr(1, text.size() - 2));
    } catch (const std::regex_error& error) {
      return MakeError(error_code::kBadRequest,
                       "the filter " + text +
                           " is not a regular expression: " + error.what());
    }
    return std::shared_ptr<const Filter>(std::move(filter));
  }
  if (text.front() == '=') {
    filter->kind = Filter::Kind::kExact;
    filter->text = text.substr(1);
    return std::shared_ptr<const Filter>(std::move(filter));
  }
  filter->text = text;
  if (text.compare(0, kTagPrefix.size(), kTagPrefix) == 0) {
    filter->kind = Filter::Kind::kTag;
    filter->text = text.substr(kTagPrefix.size());
    if (filter->text.empty()) {
      return MakeError(error_code::kBadRequest,
                       "the filter " + text + " names no tag");
    }
  } else if (IsGlob(text)) {
    filter->kind = Filter::Kind::kGlob;
  }
  return std::shared_ptr<const Filter>(std::move(filter));
}

Result<Selection> Selection::Parse(const std::vector<std::string>& filters) {
  Selection selection;
  for (const std::string& text : filters) {
    const bool negated = !text.empty() && text.front() == '!';
    auto filter = ParseOne(negated ? text.substr(1) : text);
    if (!filter) return filter.error();
    (negated ? selection.unwanted_ : selection.wanted_).push_back(*filter);
  }
  return selection;
}

bool Selection::Matches(const TestCase& test) const {
  const auto matches = [&](const std::shared_ptr<const Filter>& filter) {
    return filter->Matches(test);
  };
  return (wanted_.empty() ||
          std::any_of(wanted_.begin(), wanted_.end(), matches)) &&
         std::none_of(unwanted_.begin(), unwanted_.end(), matches);
}

}  // namespace forkserver::harness
