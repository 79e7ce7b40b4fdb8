// What one version of forkserverd leaves for another: the state of an upgrade,
// saved services, and what it says to the log writer that it leaves running.
//
// kept_states/NAME_N.bin are such bodies as versions have written them, with
// every key that there was. Each must be read, and lose nothing: a key that is
// renamed, dropped or of another type, or that has to be there, shows here.
// The last of each name has every key that there is. Where a key was added,
// the case below fails and leaves the next file among its outputs
// (bazel-testlogs/.../test.outputs); put it beside the others, which stay.
#include <doctest/doctest.h>
#include <forkserver/service_types.h>
#include <forkserver/types.h>

#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <map>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include "sdk/protocol/codec.h"
#include "sdk/protocol/log_messages.h"
#include "sdk/protocol/state_messages.h"
#include "sdk/protocol/upgrade_messages.h"

namespace forkserver::protocol {
namespace {

// Gives every field a value that is not its default, each another one.
class Filler {
 public:
  template <typename T>
  void Required(const char*, T& value) {
    Fill(value);
  }
  template <typename T>
  void Optional(const char*, T& value) {
    Fill(value);
  }
  template <typename T>
  void Defaulted(const char*, T& value, const T&) {
    Fill(value);
  }

  template <typename T>
  void Fill(T& value) {
    if constexpr (std::is_same_v<T, bool>) {
      value = true;
    } else if constexpr (std::is_same_v<T, std::int64_t>) {
      value = ++last_ * 1000;
    } else if constexpr (std::is_same_v<T, std::string>) {
      value = "text " + std::to_string(++last_);
    } else if constexpr (std::is_same_v<T, Bytes>) {
      value.data = std::string(1, '\xff') + std::to_string(++last_);
    } else if constexpr (std::is_enum_v<T>) {
      value = static_cast<T>(1);
    } else if constexpr (std::is_same_v<T, FdPlacement>) {
      value = {++last_, ++last_};
    } else if constexpr (std::is_same_v<T, ResourceLimits>) {
      value["nofile"] = {++last_, ++last_};
    } else {
      FillComposed(value);
    }
  }

 private:
  template <typename T>
  void FillComposed(std::optional<T>& value) {
    Fill(value.emplace());
  }
  template <typename T>
  void FillComposed(std::vector<T>& value) {
    value.resize(2);
    for (T& element : value) Fill(element);
  }
  template <typename T>
  void FillComposed(T& value) {
    T::Visit(value, *this);
  }

  std::int64_t last_ = 0;
};

template <typename Body>
std::string Full() {
  Body body;
  Filler().Fill(body);
  return EncodeBody(body);
}

std::string FileOf(const std::string& name, int number) {
  return "tests/unit/protocol/kept_states/" + name + "_" +
         std::to_string(number) + ".bin";
}

std::optional<std::string> Read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return std::nullopt;
  return std::string(std::istreambuf_iterator<char>(file), {});
}

void LeaveAmongOutputs(const std::string& name, const std::string& bytes) {
  const char* const folder = std::getenv("TEST_UNDECLARED_OUTPUTS_DIR");
  if (folder == nullptr) return;
  std::ofstream(std::string(folder) + "/" + name, std::ios::binary) << bytes;
}

template <typename Body>
void Check(const std::string& name) {
  CAPTURE(name);
  std::string last;
  int number = 1;
  for (; auto bytes = Read(FileOf(name, number)); ++number) {
    CAPTURE(number);
    const Result<Body> body = DecodeBody<Body>(*bytes);
    if (body) {
      CHECK_MESSAGE(EncodeBody(*body) == *bytes,
                    "what an earlier version wrote is not what is read");
    } else {
      FAIL_CHECK(body.error().ToString());
    }
    last = *bytes;
  }
  if (last == Full<Body>()) return;
  LeaveAmongOutputs(name + "_" + std::to_string(number) + ".bin", Full<Body>());
  FAIL_CHECK("no file has every key: the one that would is among the outputs");
}

TEST_CASE("the state of an upgrade is read as it was written") {
  Check<HandedDaemon>("handed_daemon");
  Check<HandedControl>("handed_control");
  Check<HandedLauncher>("handed_launcher");
  Check<HandedSupervisor>("handed_supervisor");
  Check<HandedServices>("handed_services");
  Check<UpgradeAnswer>("upgrade_answer");
}

TEST_CASE("so is what a stopped daemon leaves of services") {
  Check<SavedService>("saved_service");
}

TEST_CASE("so is what a daemon and the log writer of another say") {
  Check<OpenLog>("open_log");
  Check<LogNote>("log_note");
  Check<CloseLog>("close_log");
  Check<LogEvent>("log_event");
}

}  // namespace
}  // namespace forkserver::protocol
