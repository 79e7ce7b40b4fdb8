// Kinds of options, declared to CLI11. Part of command_line.cc, as
// declare_options.h is.
#pragma once

#include <CLI/CLI.hpp>
#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "tools/forkserver/values.h"

namespace forkserver::cli {

// An option whose text `parse` reads and `store` keeps.
template <typename Parse, typename Store>
CLI::Option* AddParsed(CLI::App& app, const std::string& name, Parse parse,
                       Store store, const std::string& description) {
  return app.add_option_function<std::string>(
      name,
      [=](const std::string& text) {
        auto value = parse(text);
        if (!value) {
          throw CLI::ValidationError(name, value.error().message);
        }
        store(*std::move(value));
      },
      description);
}

template <typename Target>
CLI::Option* AddDuration(CLI::App& app, const std::string& name, Target& target,
                         const std::string& description) {
  return AddParsed(
             app, name, ParseDuration,
             [&target](std::chrono::milliseconds value) { target = value; },
             description)
      ->type_name("DURATION");
}

// One of some words, each of which stands for a value.
template <typename Value>
CLI::Option* AddChoice(
    CLI::App& app, const std::string& name, Value& target,
    const std::vector<std::pair<std::string, Value>>& choices,
    const std::string& description) {
  std::string words;
  for (const auto& choice : choices) {
    words += (words.empty() ? "" : "|") + choice.first;
  }
  return app
      .add_option_function<std::string>(
          name,
          [=, &target](const std::string& word) {
            for (const auto& choice : choices) {
              if (choice.first != word) continue;
              target = choice.second;
              return;
            }
            throw CLI::ValidationError(name,
                                       "'" + word + "' is not one of " + words);
          },
          description)
      ->type_name(words);
}

// May be given several times, one value each time.
inline CLI::Option* AddRepeatable(CLI::App& app, const std::string& name,
                                  std::vector<std::string>& target,
                                  const std::string& description) {
  return app.add_option(name, target, description)
      ->type_size(1)
      ->allow_extra_args(false);
}

}  // namespace forkserver::cli
