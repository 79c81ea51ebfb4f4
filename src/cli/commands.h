// The cli room: one file per subcommand. The only room besides base/log that prints, and the only one that
// exits.
#pragma once
#include <string>
#include <vector>

namespace pagoda {

inline constexpr const char* kVersion = PAGODA_VERSION;

// Each takes the arguments after its name and returns the process's exit code.
int run_serve(const std::vector<std::string>& arguments);
int run_chat(const std::vector<std::string>& arguments);
int run_render(const std::vector<std::string>& arguments);
int run_tokenize(const std::vector<std::string>& arguments);
int run_bench(const std::vector<std::string>& arguments);
// Its subcommands.
int run_bench_serve(const std::vector<std::string>& arguments);
int run_bench_throughput(const std::vector<std::string>& arguments);
int run_bench_latency(const std::vector<std::string>& arguments);

// Prints "error: ..." to standard error, without raw control characters; returns 1.
int fail(const std::string& message);

// Standard input to its end; at most bytes_max.
bool read_standard_input(std::string* text, std::size_t bytes_max = std::size_t{1} << 30);

}  // namespace pagoda
