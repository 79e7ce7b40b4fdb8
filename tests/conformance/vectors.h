// The golden vectors of vectors.json, and the kinds of body that they name.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace forkserver::conformance {

struct Vector {
  std::string name;
  std::string message;  // the kind of the body, as DescribeMessages names it
  nlohmann::json fields;
  std::string bytes;
};

struct Vectors {
  std::vector<Vector> canonical;
  std::vector<Vector> accepted;
  std::vector<Vector> refused;
};

// Reads the file from the test's runfiles; throws when it cannot.
Vectors ReadVectors();

// "00ff" to two bytes and back.
std::string FromHex(std::string_view hex);
std::string ToHex(std::string_view bytes);

}  // namespace forkserver::conformance
