#include "tools/forkserver/version_skew.h"

#include <doctest/doctest.h>
#include <forkserver/version.h>

namespace forkserver::cli {
namespace {

bool SaysUpgrade(const std::string& text) {
  return text.find("`forkserver daemon upgrade`") != std::string::npos;
}

TEST_CASE("nothing is said of the same version or of one that is not known") {
  CHECK(DescribeVersionSkew(kVersion).empty());
  CHECK(DescribeVersionSkew("").empty());
}

TEST_CASE("both versions are named, and an older daemon is to be upgraded") {
  const std::string text = DescribeVersionSkew("0.0.99");
  CHECK(text.find(std::string("forkserver ") + kVersion) != std::string::npos);
  CHECK(text.find("forkserverd 0.0.99") != std::string::npos);
  CHECK(SaysUpgrade(text));
}

TEST_CASE("a newer daemon is not to be upgraded") {
  const std::string version = kVersion;
  for (const std::string& newer :
       {version + "9", "1" + version, version + ".1", std::string("999")}) {
    const std::string text = DescribeVersionSkew(newer);
    CHECK_MESSAGE(text.find(newer) != std::string::npos, text);
    CHECK_MESSAGE(!SaysUpgrade(text), text);
  }
}

}  // namespace
}  // namespace forkserver::cli
