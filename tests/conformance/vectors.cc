#include "tests/conformance/vectors.h"

#include <fstream>
#include <stdexcept>

namespace forkserver::conformance {
namespace {

std::vector<Vector> ReadList(const nlohmann::json& list) {
  std::vector<Vector> vectors;
  for (const nlohmann::json& fields : list) {
    vectors.push_back({fields.at("name"), fields.at("message"), fields,
                       FromHex(fields.at("hex").get<std::string>())});
  }
  return vectors;
}

int DigitOf(char hex) {
  if (hex >= '0' && hex <= '9') return hex - '0';
  if (hex >= 'a' && hex <= 'f') return hex - 'a' + 10;
  throw std::invalid_argument("not a hexadecimal digit");
}

}  // namespace

Vectors ReadVectors() {
  std::ifstream file("tests/conformance/vectors.json");
  const nlohmann::json lists = nlohmann::json::parse(file);
  return {ReadList(lists.at("canonical")), ReadList(lists.at("accepted")),
          ReadList(lists.at("refused"))};
}

std::string FromHex(std::string_view hex) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes += static_cast<char>(DigitOf(hex[i]) * 16 + DigitOf(hex[i + 1]));
  }
  return bytes;
}

std::string ToHex(std::string_view bytes) {
  std::string hex;
  for (const char byte : bytes) {
    constexpr char kDigits[] = "0123456789abcdef";
    hex += kDigits[static_cast<unsigned char>(byte) >> 4];
    hex += kDigits[static_cast<unsigned char>(byte) & 15];
  }
  return hex;
}

}  // namespace forkserver::conformance
