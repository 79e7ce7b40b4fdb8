#include "sdk/protocol/messages.h"

namespace forkserver::protocol {

Error FromWire(WireError error) {
  Error result;
  result.code = std::move(error.code);
  result.message = std::move(error.message);
  result.step = std::move(error.step);
  result.error_number = static_cast<int>(error.error_number);
  result.hint = std::move(error.hint);
  return result;
}

WireError ToWire(const Error& error) {
  return {error.code, error.message, error.step, error.error_number,
          error.hint};
}

}  // namespace forkserver::protocol
