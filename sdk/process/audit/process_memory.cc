#include "sdk/process/audit/process_memory.h"

#include <algorithm>
#include <cstring>

namespace forkserver::audit {

const Mapping* ProcessMemory::At(std::uint64_t address) const {
  auto after = std::upper_bound(mappings_.begin(), mappings_.end(), address,
                                [](std::uint64_t value, const Mapping& each) {
                                  return value < each.begin;
                                });
  if (after == mappings_.begin()) return nullptr;
  --after;
  return address < after->end ? &*after : nullptr;
}

std::uint64_t ProcessMemory::LoadAddressOf(const Mapping& mapping) const {
  // Mappings of one file lie beside each other; the first has offset 0.
  std::size_t at = static_cast<std::size_t>(&mapping - mappings_.data());
  while (at > 0 && mappings_[at].offset != 0 &&
         (mappings_[at - 1].path == mapping.path ||
          mappings_[at - 1].path.empty())) {
    --at;
  }
  return mappings_[at].begin - mappings_[at].offset;
}

std::vector<std::uint64_t> ProcessMemory::ReadWords(std::uint64_t address,
                                                    std::size_t count) const {
  const std::string data = Read(address, count * sizeof(std::uint64_t));
  std::vector<std::uint64_t> words(data.size() / sizeof(std::uint64_t));
  if (words.empty()) return words;
  std::memcpy(words.data(), data.data(), words.size() * sizeof(std::uint64_t));
  return words;
}

std::uint64_t ProcessMemory::ReadWord(std::uint64_t address) const {
  const std::vector<std::uint64_t> words = ReadWords(address, 1);
  return words.empty() ? 0 : words[0];
}

}  // namespace forkserver::audit
