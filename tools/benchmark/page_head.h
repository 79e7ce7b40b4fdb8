// The page of `--html` up to where its figures begin. Made by embed_page.py.
#pragma once

#include <string_view>

namespace forkserver::benchmark {

std::string_view PageHead();

}  // namespace forkserver::benchmark
