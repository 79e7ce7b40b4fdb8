#include "tools/harness/targets/cold_framework.h"

#include <unordered_map>
#include <utility>

namespace forkserver::harness {

FrameworkReport JoinXmlTests(const std::vector<std::size_t>& tests,
                             std::vector<XmlTest> ran,
                             const std::vector<std::string>& strangers,
                             bool complete) {
  FrameworkReport report;
  report.tests.resize(tests.size());
  report.complete = complete;
  std::unordered_map<std::size_t, std::size_t> places;
  for (std::size_t i = 0; i < tests.size(); ++i) places.emplace(tests[i], i);
  std::vector<bool> seen(tests.size());
  std::string others;
  std::size_t other_count = 0;
  const auto add_other = [&](const std::string& name) {
    constexpr std::size_t kMostShown = 3;
    if (++other_count > kMostShown) return;
    others += (others.empty() ? "'" : ", '") + name.substr(0, 200) + "'";
  };
  for (XmlTest& each : ran) {
    const auto place = places.find(each.test);
    if (place == places.end() || seen[place->second]) {
      add_other("another test of the program");
      continue;
    }
    seen[place->second] = true;
    report.tests[place->second] = std::move(each.word);
  }
  for (const std::string& stranger : strangers) add_other(stranger);
  if (other_count > 0) {
    report.infrastructure =
        "its framework did not run exactly the test that was asked for, but "
        "also " +
        others + (other_count > 3 ? ", ..." : "");
    report.complete = false;
  }
  return report;
}

}  // namespace forkserver::harness
