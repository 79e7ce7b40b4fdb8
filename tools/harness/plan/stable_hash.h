// A hash and a generator of numbers that are the same on every machine and in
// every version: shards and shuffles depend on them. Not for secrets.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace forkserver::harness {

// splitmix64, by Sebastiano Vigna.
class StableRandom {
 public:
  explicit StableRandom(std::uint64_t seed) : state_(seed) {}

  std::uint64_t Next() {
    std::uint64_t mixed = (state_ += 0x9e3779b97f4a7c15);
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111eb;
    return mixed ^ (mixed >> 31);
  }
  // 0 to `bound` - 1, each as likely as the others. `bound` is not 0.
  std::uint64_t Below(std::uint64_t bound) {
    const std::uint64_t uneven = (0 - bound) % bound;
    for (;;) {
      const std::uint64_t number = Next();
      if (number >= uneven) return number % bound;
    }
  }

 private:
  std::uint64_t state_;
};

// FNV-1a, mixed once more so that its low bits are as good as the others.
inline std::uint64_t StableHash(std::string_view text) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char letter : text) {
    hash = (hash ^ static_cast<unsigned char>(letter)) * 0x100000001b3;
  }
  return StableRandom(hash).Next();
}

// 16 hex digits.
inline std::string StableDigest(std::string_view text) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string digest(16, '0');
  std::uint64_t hash = StableHash(text);
  for (std::size_t i = digest.size(); i-- > 0; hash >>= 4) {
    digest[i] = kDigits[hash & 15];
  }
  return digest;
}

}  // namespace forkserver::harness
