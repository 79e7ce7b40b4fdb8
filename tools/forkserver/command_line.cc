#include "tools/forkserver/command_line.h"

#include <forkserver/version.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "tools/forkserver/declare_options.h"
#include "tools/forkserver/exit_codes.h"
#include "tools/forkserver/output.h"

namespace forkserver::cli {
namespace {

class SynopsisFormatter : public CLI::Formatter {
 public:
  explicit SynopsisFormatter(std::string synopsis)
      : synopsis_(std::move(synopsis)) {
    column_width(26);
  }
  std::string make_usage(const CLI::App*, std::string) const override {
    return "Usage: " + synopsis_ + "\n";
  }

 private:
  std::string synopsis_;
};

// The commands as CLI11 knows them. Neither copied nor moved: it keeps
// references to the options.
class Grammar {
 public:
  explicit Grammar(Options& options) {
    app_.description("forkserver: the command line of forkserverd.");
    app_.formatter(std::make_shared<SynopsisFormatter>(
        "forkserver [options] COMMAND ..."));
    app_.footer(
        "`forkserver COMMAND --help` tells more. Durations: 2s, 500ms, 1m; a "
        "bare number is seconds.\nExample:\n  forkserver run -- make");
    app_.set_version_flag("--version", std::string("forkserver ") + kVersion);
    app_.require_subcommand(1);
    AddGlobalOptions(app_, options, true);
    for (const Command& command : Commands()) Add(command, options);
  }

  CLI::App& app() { return app_; }
  const CLI::App& root() const { return app_; }
  // Null for a group and the program.
  const Command* CommandOf(const CLI::App& app) const {
    const auto found = commands_.find(&app);
    return found == commands_.end() ? nullptr : found->second;
  }

  CLI::App& AppOf(const Command& command) {
    CLI::App* app = &app_;
    std::istringstream words{std::string(command.name)};
    for (std::string word; words >> word;) app = app->get_subcommand(word);
    return *app;
  }

  // The command that the words up to an error chose, or its group, or the
  // program itself (which has no name).
  const CLI::App& Selected() const {
    const CLI::App* selected = &app_;
    while (!selected->get_subcommands().empty()) {
      selected = selected->get_subcommands().back();
    }
    return *selected;
  }
  // Null for a group and the program.
  const Command* SelectedCommand() const { return CommandOf(Selected()); }

 private:
  void Add(const Command& command, Options& options) {
    const std::string name(command.name);
    const auto space = name.find(' ');
    CLI::App* parent = &app_;
    if (space != name.npos) parent = &Group(name.substr(0, space));
    CLI::App* app = parent->add_subcommand(
        space == name.npos ? name : name.substr(space + 1),
        std::string(command.description));
    app->footer(std::string(command.notes));
    app->formatter(std::make_shared<SynopsisFormatter>(
        "forkserver " + name + " " + std::string(command.synopsis)));
    Declare(command, *app, options);
    if ((command.options & kHidden) != 0) app->group("");
    commands_[app] = &command;
  }

  // Made with its first command, so that lists have the table's order.
  CLI::App& Group(const std::string& name) {
    CLI::App*& app = groups_[name];
    if (app != nullptr) return *app;
    app = app_.add_subcommand(name);
    for (const CommandGroup& group : CommandGroups()) {
      if (group.name == name) app->description(std::string(group.description));
    }
    app->require_subcommand(1);
    app->footer("`forkserver " + name + " COMMAND --help` tells more.");
    app->formatter(std::make_shared<SynopsisFormatter>("forkserver " + name +
                                                       " COMMAND ..."));
    return *app;
  }

  CLI::App app_;
  std::map<std::string, CLI::App*> groups_;
  std::map<const CLI::App*, const Command*> commands_;
};

int ReportUsageError(const Grammar& grammar, const std::string& what) {
  const Command* command = grammar.SelectedCommand();
  const std::string name = command != nullptr ? std::string(command->name)
                                              : grammar.Selected().get_name();
  const std::string help = "forkserver" + (name.empty() ? "" : " " + name);
  PrintError(what + "; see `" + help + " --help`");
  return command != nullptr ? command->usage_exit_code : kUsage;
}

const CLI::App* FindSubcommand(const CLI::App& app, const std::string& name) {
  for (const CLI::App* const sub : app.get_subcommands({})) {
    if (sub->get_name() == name) return sub;
  }
  return nullptr;
}

// "refuse|warn|allow" is what is shown for a value that is one of these.
void CompleteChoices(std::string choices, Completion& completion) {
  // What CLI11 adds to it is behind a colon.
  choices = choices.substr(0, choices.find(':'));
  if (choices.find('|') == choices.npos) return;
  for (std::size_t at = 0; at <= choices.size();) {
    const std::size_t end = std::min(choices.find('|', at), choices.size());
    completion.candidates.push_back({choices.substr(at, end - at), {}});
    at = end + 1;
  }
}

void CompleteValue(const CLI::Option& option, Completion& completion) {
  const std::string name = option.get_name();
  completion.services = name == "--after";
  completion.zygotes = name == "--zygote" || name == "--parent";
  CompleteChoices(option.get_type_name(), completion);
}

void CompleteArgument(const Command* command, Completion& completion) {
  if (command == nullptr) return;
  const auto has = [&](OptionSet set) { return (command->options & set) != 0; };
  const bool stops = has(kWorkerId) && has(kStopOptions);
  completion.services = has(kServiceName) || has(kMaybeServiceName) || stops;
  completion.workers = has(kWorkerId);
  completion.zygotes = has(kZygoteName);
  if (has(kShell)) CompleteChoices("bash|zsh|fish", completion);
}

// What CLI11 cannot know. Returns what is wrong, or nothing.
std::string TakeWords(const Command& command, std::vector<std::string> first,
                      bool separated, std::vector<std::string> words,
                      Options& options) {
  if (!first.empty()) {
    // `run CMD ARGS -- MORE`: everything from CMD on is the command.
    if (first.front().starts_with('-')) {
      return "unknown option " + first.front();
    }
    if (separated) first.emplace_back("--");
    words.insert(words.begin(), first.begin(), first.end());
  }
  if ((command.options & kWords) == 0 && separated) {
    return "this command takes nothing after --";
  }
  if ((command.options & kCommand) != 0 && words.empty()) {
    return "which command? It comes after --";
  }
  if ((command.options & kZygoteOptions) != 0 &&
      words.empty() == options.parent.empty()) {
    return "a zygote needs either a command after --, or --parent";
  }
  options.words = std::move(words);
  return {};
}

// What a word that is being typed can be: `words`, of which it is the last.
Completion Complete(const Grammar& grammar,
                    const std::vector<std::string>& words) {
  Completion completion;
  if (words.empty()) return completion;
  const CLI::App* app = &grammar.root();
  const CLI::Option* awaits = nullptr;  // the option whose value comes next
  std::size_t given = 0;                // positional arguments
  for (std::size_t i = 0; i + 1 < words.size(); ++i) {
    const std::string& word = words[i];
    if (word == "--") return completion;  // somebody else's words
    if (word == "=") continue;            // as bash cuts --name=value
    if (awaits != nullptr) {
      awaits = nullptr;
    } else if (word.starts_with('-')) {
      const CLI::Option* const option =
          app->get_option_no_throw(word.substr(0, word.find('=')));
      if (option != nullptr && option->get_items_expected_max() > 0 &&
          word.find('=') == word.npos) {
        awaits = option;
      }
    } else if (const CLI::App* const next = FindSubcommand(*app, word)) {
      app = next;
    } else {
      ++given;
    }
  }
  if (awaits != nullptr) {
    CompleteValue(*awaits, completion);
  } else if (words.back().starts_with('-')) {
    for (const CLI::Option* const option : app->get_options()) {
      if (option->get_lnames().empty() || option->get_group().empty()) continue;
      completion.candidates.push_back(
          {"--" + option->get_lnames().front(), option->get_description()});
    }
  } else if (!app->get_subcommands({}).empty()) {
    for (const CLI::App* const sub : app->get_subcommands({})) {
      if (sub->get_group().empty()) continue;
      completion.candidates.push_back(
          {sub->get_name(), sub->get_description()});
    }
  } else if (given == 0) {
    CompleteArgument(grammar.CommandOf(*app), completion);
  }
  return completion;
}

Manual::Option Tell(CLI::Option& option) {
  Manual::Option told;
  for (const std::string& name : option.get_snames()) {
    told.names.push_back("-" + name);
  }
  for (const std::string& name : option.get_lnames()) {
    told.names.push_back("--" + name);
  }
  told.description = option.get_description();
  if (option.get_items_expected_max() == 0) return told;  // a flag
  told.value = option.get_type_name();
  try {
    // CLI11 adds what the validators want, behind a colon.
    option.get_validator(0);
    told.value = told.value.substr(0, told.value.find(':'));
  } catch (const CLI::OptionNotFound&) {
    // There are none.
  }
  return told;
}

std::vector<Manual::Option> TellOptions(CLI::App& app) {
  std::vector<Manual::Option> told;
  for (CLI::Option* const option : app.get_options()) {
    if (option->get_positional() || option->get_name() == "--help") continue;
    told.push_back(Tell(*option));
  }
  return told;
}

Manual TellAll(Grammar& grammar) {
  Manual manual;
  manual.options = TellOptions(grammar.app());
  for (const Command& command : Commands()) {
    if ((command.options & kHidden) != 0) continue;
    Manual::Command& told = manual.commands.emplace_back();
    told.name = command.name;
    told.synopsis = command.synopsis;
    told.description = command.description;
    told.notes = command.notes;
    told.usage_exit_code = command.usage_exit_code;
    told.options = TellOptions(grammar.AppOf(command));
    std::erase_if(told.options, [](const Manual::Option& option) {
      return option.names.back() == "--socket";  // of every command
    });
  }
  return manual;
}

}  // namespace

CommandLine ParseCommandLine(int argc, char** argv) {
  CommandLine line;
  std::vector<std::string> own(argv + std::min(argc, 1), argv + argc);
  const auto separator = std::find(own.begin(), own.end(), "--");
  const bool separated = separator != own.end();
  std::vector<std::string> words;
  if (separated) words.assign(separator + 1, own.end());
  own.erase(separator, own.end());
  std::reverse(own.begin(), own.end());  // as CLI11 wants them

  Grammar grammar(line.options);
  try {
    grammar.app().parse(std::move(own));
  } catch (const CLI::CallForHelp&) {
    PrintLine(grammar.app().help());
    return line;
  } catch (const CLI::CallForVersion&) {
    PrintLine(std::string("forkserver ") + kVersion);
    return line;
  } catch (const CLI::RequiredError& error) {
    const std::vector<std::string> rest = grammar.Selected().remaining();
    std::string what = error.what();
    if (grammar.SelectedCommand() == nullptr) {
      what = "a command is required";
      if (!rest.empty()) {
        what = rest.front()[0] == '-' ? "there is no option '"
                                      : "there is no command '";
        what += rest.front() + "'";
      }
    }
    line.exit_code = ReportUsageError(grammar, what);
    return line;
  } catch (const CLI::ParseError& error) {
    line.exit_code = ReportUsageError(grammar, error.what());
    return line;
  }
  const Command* command = grammar.SelectedCommand();
  const std::string wrong =
      TakeWords(*command, grammar.Selected().remaining(), separated,
                std::move(words), line.options);
  if (!wrong.empty()) {
    line.exit_code = ReportUsageError(grammar, wrong);
    return line;
  }
  if ((command->options & kCompletes) != 0) {
    line.options.completion = Complete(grammar, line.options.words);
  }
  if ((command->options & kTellsAll) != 0) {
    line.options.manual = TellAll(grammar);
  }
  line.command = command;
  return line;
}

}  // namespace forkserver::cli
