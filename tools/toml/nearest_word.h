// What somebody who mistyped a word probably meant. Pure function.
#pragma once

#include <string>
#include <vector>

namespace forkserver {

// The one of `known` that `word` was probably meant to be, or empty.
std::string NearestWord(const std::string& word,
                        const std::vector<std::string>& known);

}  // namespace forkserver
