#pragma once

namespace forkserver::cli {

inline constexpr char kVersion[] = "0.1.0";

}  // namespace forkserver::cli
