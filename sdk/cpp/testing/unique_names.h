// Names for tests of a framework that permits equal ones: for one that is run
// warm and for one that is run cold they are made here, so that they are the
// same.
#pragma once

#include <string>
#include <vector>

namespace forkserver {

struct PlacedName {
  std::string name;
  std::string place;  // "fonts_test.cc:12"
};

// One for each, in order. A name that is there once stays. Of equal ones each
// gets its place, "loads (fonts_test.cc:12)", and where that is equal too a
// number: "loads (fonts_test.cc:12) #2".
std::vector<std::string> UniqueNames(const std::vector<PlacedName>& names);

}  // namespace forkserver
