#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
int Cli(int argc, char** argv) { CLI::App app{"x"}; CLI11_PARSE(app, argc, argv); nlohmann::json j; j["a"]=1; return (int)j.dump().size(); }
