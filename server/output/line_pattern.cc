#include "server/output/line_pattern.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace forkserver::server {
namespace {

// glibc keeps every state that a match has ever been in.
constexpr std::size_t kBytesPerCompilation = 16 * LinePattern::kMaxLineBytes;

bool IsDigit(char letter) { return letter >= '0' && letter <= '9'; }
bool IsLetterOrDigit(char letter) {
  return IsDigit(letter) || (letter >= 'a' && letter <= 'z') ||
         (letter >= 'A' && letter <= 'Z');
}

Error Refuse(const std::string& expression, const std::string& why,
             std::string hint = {}) {
  return MakeError(error_code::kBadRequest,
                   "the expression '" + expression + "' " + why,
                   std::move(hint));
}

// Behind the bracket expression that begins at `at`.
std::size_t SkipBrackets(std::string_view text, std::size_t at) {
  ++at;
  if (text.substr(at, 1) == "^") ++at;
  if (text.substr(at, 1) == "]") ++at;  // the first one is a member
  while (at < text.size() && text[at] != ']') {
    // [:alpha:], [.-.], [=e=]
    const char kind = at + 1 < text.size() ? text[at + 1] : '\0';
    const bool nested =
        text[at] == '[' && (kind == ':' || kind == '.' || kind == '=');
    const std::size_t end =
        nested ? text.find(std::string{kind, ']'}, at + 2) : at;
    at = nested && end != std::string_view::npos ? end + 2 : at + 1;
  }
  return std::min(at + 1, text.size());
}

// The largest number in the braces that begin at `at`, which is moved to their
// end.
std::size_t ReadRepetition(std::string_view text, std::size_t& at) {
  std::size_t largest = 1;
  std::size_t number = 0;
  for (++at; at < text.size() && (IsDigit(text[at]) || text[at] == ','); ++at) {
    number =
        IsDigit(text[at])
            ? std::min(number * 10 + static_cast<std::size_t>(text[at] - '0'),
                       LinePattern::kMaxStates + 1)
            : 0;
    largest = std::max(largest, number);
  }
  return largest;
}

// At least as many states as the expression has with its repetitions written
// out, or something above kMaxStates.
std::size_t CountStates(std::string_view text) {
  std::vector<std::size_t> groups = {0};  // states of the open ones
  std::size_t last = 0;                   // of what a repetition repeats
  for (std::size_t at = 0; at < text.size();) {
    const char letter = text[at];
    std::size_t factor = 1;
    if (letter == '(') {
      groups.push_back(0);
      last = 0;
      ++at;
      continue;
    }
    if (letter == ')' && groups.size() > 1) {
      last = groups.back();
      groups.pop_back();
      ++at;
    } else if (letter == '+' || letter == '*' || letter == '?') {
      // regcomp(3) writes a+ as aa*.
      if (letter == '+') factor = 2;
      groups.back() -= last;
      ++at;
    } else if (letter == '{') {
      groups.back() -= last;
      factor = ReadRepetition(text, at) + 1;
    } else {
      last = 1;
      at = letter == '\\'  ? std::min(at + 2, text.size())
           : letter == '[' ? SkipBrackets(text, at)
                           : at + 1;
    }
    last *= factor;
    groups.back() += last;
    if (groups.back() > LinePattern::kMaxStates) return groups.back();
  }
  return groups.front();
}

}  // namespace

Result<LinePattern> LinePattern::Compile(const std::string& expression) {
  if (expression.size() > kMaxBytes ||
      expression.find('\0') != std::string::npos) {
    return MakeError(error_code::kBadRequest, "an expression has at most " +
                                                  std::to_string(kMaxBytes) +
                                                  " bytes, and no NUL byte");
  }
  for (std::size_t at = 0; at + 1 < expression.size(); ++at) {
    if (expression[at] == '[') {
      at = SkipBrackets(expression, at) - 1;
    } else if (expression[at] == '\\' && IsLetterOrDigit(expression[++at])) {
      return Refuse(expression,
                    "has '\\" + std::string(1, expression[at]) +
                        "', which POSIX extended expressions do not",
                    "write [0-9] for \\d, [[:space:]] for \\s");
    }
  }
  if (CountStates(expression) > kMaxStates) {
    return Refuse(expression, "repeats too much");
  }
  LinePattern pattern(expression);
  const int status = ::regcomp(&pattern.compiled_, expression.c_str(),
                               REG_EXTENDED | REG_NOSUB);
  if (status != 0) {
    char why[256];
    ::regerror(status, &pattern.compiled_, why, sizeof(why));
    return Refuse(expression, std::string("is not valid: ") + why);
  }
  pattern.is_compiled_ = true;
  return pattern;
}

LinePattern::LinePattern(LinePattern&& other) noexcept
    : expression_(std::move(other.expression_)),
      compiled_(other.compiled_),
      is_compiled_(std::exchange(other.is_compiled_, false)),
      matched_bytes_(other.matched_bytes_) {}

LinePattern::~LinePattern() {
  if (is_compiled_) ::regfree(&compiled_);
}

bool LinePattern::Matches(std::string_view line) {
  line = line.substr(0, kMaxLineBytes);
  if (matched_bytes_ > kBytesPerCompilation) {
    ::regfree(&compiled_);
    is_compiled_ = ::regcomp(&compiled_, expression_.c_str(),
                             REG_EXTENDED | REG_NOSUB) == 0;
    matched_bytes_ = 0;
  }
  if (!is_compiled_) return false;
  matched_bytes_ += line.size();
  // By length: lines may hold NUL bytes. With a NUL behind them all the same,
  // for interceptors of regexec(3) that do not know of lengths.
  const std::string text(line);
  regmatch_t range = {};
  range.rm_eo = static_cast<regoff_t>(text.size());
  return ::regexec(&compiled_, text.c_str(), 1, &range, REG_STARTEND) == 0;
}

}  // namespace forkserver::server
