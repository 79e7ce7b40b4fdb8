// The version of everything in this tree.
//
// Public header: standard library only, C++17 or later.
#pragma once

namespace forkserver {

inline constexpr char kVersion[] = "0.1.0";

}  // namespace forkserver
