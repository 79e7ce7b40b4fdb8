// The page of `--html` up to where its data begins. Made by page/embed_page.py.
#pragma once

#include <string_view>

namespace forkserver::harness {

std::string_view PageText();

}  // namespace forkserver::harness
