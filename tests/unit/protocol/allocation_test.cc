// What a peer merely declares is not allocated.
//
// malloc, which msgpack calls, is replaced at link time (-Wl,--wrap=malloc),
// operator new here.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <new>
#include <string>

#include "sdk/protocol/codec.h"
#include "sdk/protocol/framing.h"

namespace {
std::size_t largest_request = 0;
std::size_t sum_of_requests = 0;

void* Allocate(std::size_t size);
}  // namespace

extern "C" {
void* __real_malloc(std::size_t size);   // NOLINT(bugprone-reserved-identifier)
void* __wrap_malloc(std::size_t size) {  // NOLINT(bugprone-reserved-identifier)
  return Allocate(size);
}
}

namespace {
void* Allocate(std::size_t size) {
  largest_request = std::max(largest_request, size);
  sum_of_requests += size;
  return __real_malloc(size);
}

// Not inlined: the compiler would take new and free for a mismatch.
[[gnu::noinline]] void Free(void* memory) { std::free(memory); }
}  // namespace

void* operator new(std::size_t size) {
  void* const memory = Allocate(size);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  return Allocate(size);
}
void operator delete(void* memory) noexcept { Free(memory); }
void operator delete(void* memory, std::size_t) noexcept { Free(memory); }

namespace forkserver::protocol {
namespace {

struct Allocated {
  std::size_t largest = 0;
  std::size_t sum = 0;
};

template <typename Use>
Allocated Measure(const Use& use) {
  largest_request = sum_of_requests = 0;
  use();
  return {largest_request, sum_of_requests};
}

TEST_CASE("the measurement sees what msgpack and the standard library take") {
  CHECK(Measure([] { std::string(100'000, 'x').size(); }).largest >= 100'000);
  Setup setup;
  setup.env.assign(10'000, "A=");
  const std::string bytes = EncodeBody(setup);
  // msgpack's own array, then the vector.
  CHECK(Measure([&] { CHECK(DecodeBody<Setup>(bytes)); }).sum > 400'000);
}

TEST_CASE("five bytes that declare something huge allocate nothing large") {
  for (const char* start : {"\xdd", "\xdf", "\xdb", "\xc6", "\xc9"}) {
    for (const char* size : {"\xff\xff\xff\xff", "\x7f\xff\xff\xff",
                             "\x10\x01\x01\x01", "\x01\x01\x01\x01"}) {
      const std::string payload = std::string(start) + size;
      CAPTURE(static_cast<int>(payload[0]));
      CAPTURE(static_cast<int>(payload[1]));
      const Allocated allocated = Measure([&] {
        const auto message = Message::Parse(payload);
        REQUIRE_FALSE(message);
        CHECK(message.error().code == error_code::kMalformed);
      });
      CHECK(allocated.largest <= 16 * 1024);
      CHECK(allocated.sum <= 64 * 1024);
    }
  }
}

TEST_CASE(
    "a few bytes that declare as much as the limits allow allocate no "
    "more than the limits are for") {
  // 24 bytes for each of 65,535 elements, in twice as large a chunk, on each
  // of 32 levels.
  std::string nested;
  for (int i = 0; i < 32; ++i) nested += "\xdc\xff\xff";
  CHECK(Measure([&] { CHECK_FALSE(Message::Parse(nested)); }).sum < 80u << 20);
  const std::string map("\xde\x04\x00", 3);
  CHECK(Measure([&] { CHECK_FALSE(Message::Parse(map)); }).largest <
        128 * 1024);
}

TEST_CASE("a frame that announces too much allocates nothing for it") {
  for (const char* header :
       {"\xff\xff\xff\xff", "\x00\x40\x00\x01", "\x7f\xff\xff\xff"}) {
    const Allocated allocated = Measure([&] {
      FrameReader reader(kMaxFrameBytes);
      reader.Append(std::string_view(header, kFrameHeaderBytes));
      const auto payload = reader.Next();
      REQUIRE_FALSE(payload);
      CHECK(payload.error().code == error_code::kFrameTooLarge);
    });
    CHECK(allocated.sum <= 64 * 1024);
  }
}

TEST_CASE("a frame that announces the longest payload allocates as it comes") {
  const Allocated allocated = Measure([&] {
    FrameReader reader(kMaxFrameBytes);
    reader.Append(std::string_view("\x00\x40\x00\x00", kFrameHeaderBytes));
    auto payload = reader.Next();
    REQUIRE(payload);
    CHECK_FALSE(payload->has_value());
  });
  CHECK(allocated.sum <= 64 * 1024);
}

}  // namespace
}  // namespace forkserver::protocol
