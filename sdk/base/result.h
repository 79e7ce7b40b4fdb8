// Result<T>: a value or an Error. A strict subset of std::expected<T, Error>,
// for C++17.
//
//   Result<Worker> worker = client.Spawn(options);
//   if (!worker) return worker.error();
//   Use(*worker);
//
// Reading the value of a failed Result, or the error of a good one, aborts.
#pragma once

#include <forkserver/error.h>

#include <cstdlib>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

namespace forkserver {

template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

  bool has_value() const { return state_.index() == 0; }
  explicit operator bool() const { return has_value(); }

  T& value() & { return Checked<0>(state_); }
  const T& value() const& { return Checked<0>(state_); }
  T&& value() && { return std::move(Checked<0>(state_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  Error& error() & { return Checked<1>(state_); }
  const Error& error() const& { return Checked<1>(state_); }
  Error&& error() && { return std::move(Checked<1>(state_)); }

 private:
  template <std::size_t kIndex, typename Variant>
  static auto& Checked(Variant& state) {
    if (state.index() != kIndex) std::abort();
    return *std::get_if<kIndex>(&state);
  }

  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}

  bool has_value() const { return !error_.has_value(); }
  explicit operator bool() const { return has_value(); }

  const Error& error() const& { return Checked(); }
  Error&& error() && { return std::move(Checked()); }

 private:
  Error& Checked() {
    if (!error_) std::abort();
    return *error_;
  }
  const Error& Checked() const {
    if (!error_) std::abort();
    return *error_;
  }

  std::optional<Error> error_;
};

}  // namespace forkserver
