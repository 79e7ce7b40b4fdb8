#include <forkserver/error.h>

#include <cstring>

namespace forkserver {

std::string Error::ToString() const {
  std::string text = message.empty() ? code : message;
  text += " [" + code;
  if (!step.empty()) text += ", step " + step;
  if (error_number != 0) {
    text += ", errno " + std::to_string(error_number) + " " +
            std::strerror(error_number);
  }
  text += "]";
  if (!hint.empty()) text += " " + hint;
  return text;
}

Error SystemError(std::string operation, int error_number) {
  Error error;
  error.code = error_code::kSystem;
  error.message = std::move(operation) + ": " + std::strerror(error_number);
  error.error_number = error_number;
  return error;
}

Error MakeError(std::string_view code, std::string message, std::string hint) {
  Error error;
  error.code = std::string(code);
  error.message = std::move(message);
  error.hint = std::move(hint);
  return error;
}

}  // namespace forkserver
