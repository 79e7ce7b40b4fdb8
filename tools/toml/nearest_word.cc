#include "tools/toml/nearest_word.h"

#include <algorithm>
#include <cstddef>

namespace forkserver {
namespace {

std::size_t EditDistance(const std::string& a, const std::string& b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t above = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1,
                         diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row.back();
}

}  // namespace

std::string NearestWord(const std::string& word,
                        const std::vector<std::string>& known) {
  std::string nearest;
  std::size_t best = word.size() / 3 + 2;  // more is another word
  for (const std::string& each : known) {
    const std::size_t distance = EditDistance(word, each);
    if (distance < best) {
      best = distance;
      nearest = each;
    }
  }
  return nearest;
}

}  // namespace forkserver
