#include "tools/harness/plan/durations.h"

#include <algorithm>
#include <cctype>
#include <string_view>
#include <utility>

#include "sdk/base/text_file.h"

namespace forkserver::harness {
namespace {

// An id may hold anything; a line may not.
std::string Escape(std::string_view id) {
  std::string escaped;
  for (const char letter : id) {
    if (letter == '\\') {
      escaped += "\\\\";
    } else if (letter == '\n') {
      escaped += "\\n";
    } else {
      escaped += letter;
    }
  }
  return escaped;
}

std::string Unescape(std::string_view text) {
  std::string id;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\' || i + 1 == text.size()) {
      id += text[i];
    } else {
      id += text[++i] == 'n' ? '\n' : text[i];
    }
  }
  return id;
}

// Empty if it is not a list of numbers.
std::vector<std::int64_t> ParseTimes(std::string_view text) {
  std::vector<std::int64_t> times;
  std::int64_t number = 0;
  bool digits = false;
  for (std::size_t i = 0; i <= text.size(); ++i) {
    if (i < text.size() && text[i] >= '0' && text[i] <= '9') {
      constexpr std::int64_t kMostUs = std::int64_t{1} << 50;
      number = std::min(number * 10 + (text[i] - '0'), kMostUs);
      digits = true;
    } else if (i == text.size() || text[i] == ' ') {
      if (!digits) return {};
      times.push_back(std::exchange(number, 0));
      digits = false;
    } else {
      return {};
    }
  }
  if (times.size() > Durations::kTimesKept) {
    times.resize(Durations::kTimesKept);
  }
  return times;
}

}  // namespace

Result<Durations> Durations::Read(const std::string& path) {
  Result<std::string> text = ReadTextFile(path);
  if (!text) return text.error();
  Durations durations;
  for (std::size_t at = 0; at < text->size();) {
    const std::size_t end = std::min(text->find('\n', at), text->size());
    const std::string_view line(text->data() + at, end - at);
    at = end + 1;
    const std::size_t tab = line.find('\t');
    if (tab == std::string_view::npos) continue;
    Test test = {Unescape(line.substr(tab + 1)),
                 ParseTimes(line.substr(0, tab))};
    if (test.wall_us.empty() || durations.by_id_.count(test.id) != 0 ||
        durations.tests_.size() >= kTestsKept) {
      continue;
    }
    durations.tests_.push_back(std::move(test));
    const auto last = std::prev(durations.tests_.end());
    durations.by_id_[last->id] = last;
  }
  return durations;
}

Result<void> Durations::Write(const std::string& path) const {
  std::string text;
  for (const Test& test : tests_) {
    for (std::size_t i = 0; i < test.wall_us.size(); ++i) {
      if (i > 0) text += ' ';
      text += std::to_string(test.wall_us[i]);
    }
    text += '\t' + Escape(test.id) + '\n';
  }
  return ReplaceFile(path, text);
}

std::int64_t Durations::MedianUs(const std::string& id) const {
  const auto found = by_id_.find(id);
  if (found == by_id_.end()) return 0;
  std::vector<std::int64_t> times = found->second->wall_us;
  std::sort(times.begin(), times.end());
  // One that took no time is known all the same.
  return std::max<std::int64_t>(times[times.size() / 2], 1);
}

std::int64_t Durations::LastUs(const std::string& id) const {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? 0 : found->second->wall_us.front();
}

void Durations::Add(const std::string& id, std::int64_t wall_us) {
  const auto found = by_id_.find(id);
  if (found == by_id_.end()) {
    tests_.push_front({id, {}});
    by_id_[id] = tests_.begin();
  } else {
    tests_.splice(tests_.begin(), tests_, found->second);
  }
  std::vector<std::int64_t>& times = tests_.front().wall_us;
  times.insert(times.begin(), std::max<std::int64_t>(wall_us, 0));
  if (times.size() > kTimesKept) times.resize(kTimesKept);
  if (tests_.size() > kTestsKept) {
    by_id_.erase(tests_.back().id);
    tests_.pop_back();
  }
}

}  // namespace forkserver::harness
