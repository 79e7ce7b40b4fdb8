#include "tools/harness/run/listing.h"

#include <cstddef>
#include <nlohmann/json.hpp>

namespace forkserver::harness {

std::string ListAsText(const RunPlan& plan) {
  std::string text;
  for (const TestCase& test : plan.tests) {
    for (const char letter : test.id) {
      text += static_cast<unsigned char>(letter) < ' ' ? '?' : letter;
    }
    for (const std::string& tag : test.listed.tags) text += " [" + tag + "]";
    if (!test.listed.skip.empty()) text += " (skipped)";
    text += '\n';
  }
  return text;
}

std::string ListAsJson(const RunPlan& plan) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (std::size_t i = 0; i < plan.tests.size(); ++i) {
    const TestCase& test = plan.tests[i];
    const protocol::ListedTest& listed = test.listed;
    nlohmann::ordered_json one;
    one["id"] = test.id;
    one["target"] = test.target;
    one["name"] = listed.name;
    one["suite"] = listed.suite;
    one["file"] = listed.file;
    one["line"] = listed.line;
    one["tags"] = listed.tags;
    one["skip"] = listed.skip;
    one["last_wall_us"] = plan.last_wall_us[i];
    list.push_back(std::move(one));
  }
  return list.dump(2, ' ', false,
                   nlohmann::ordered_json::error_handler_t::replace) +
         "\n";
}

}  // namespace forkserver::harness
