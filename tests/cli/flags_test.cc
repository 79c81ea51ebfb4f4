#include "cli/flags.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <set>

#include "base/json.h"
#include "cli/config_file.h"
#include "cli/serve_flags.h"

namespace pagoda {
namespace {

std::string describe(const Result<ParsedCommand>& parsed) {
  if (!parsed.ok()) return "error: " + parsed.status().message();
  std::string out;
  for (const std::string& word : parsed->positional) out += word + " ";
  for (const auto& [name, value] : parsed->flags.all()) out += name + "=" + write_json(value) + " ";
  return out.empty() ? out : out.substr(0, out.size() - 1);
}

TEST(Flags, EverySpellingOfVllmIsUnderstood) {
  struct Case {
    std::vector<std::string> arguments;
    const char* expected;
  } cases[] = {
      {{}, ""},
      {{"model", "--port", "9000"}, "model port=9000"},
      {{"--port=9000", "model"}, "model port=9000"},
      {{"--max_model_len", "8k"}, "max-model-len=8000"},
      {{"--max-model-len", "8K"}, "max-model-len=8192"},
      {{"--seed", "9007199254740993"}, "seed=9007199254740993"},
      {{"--seed", "1.5k"}, "seed=1500"},
      {{"--max-model-len", "-1"}, "max-model-len=-1"},
      {{"--max-model-len", "auto"}, "max-model-len=-1"},
      {{"-tp", "2"}, "tensor-parallel-size=2"},
      {{"-tp=2"}, "tensor-parallel-size=2"},
      {{"-q", "awq"}, "quantization=\"awq\""},
      {{"-O3"}, "optimization-level=\"3\""},
      {{"-asc", "2", "-n", "1", "-r", "0"}, "api-server-count=2 nnodes=1 node-rank=0"},
      {{"-cc.mode", "3", "-cc.pass_config.x", "true"},
       "compilation-config={\"mode\":3,\"pass_config\":{\"x\":true}}"},
      {{"--device-memory-utilization", "0.3"}, "gpu-memory-utilization=0.3"},
      {{"--device_memory_utilization=0.3", "--gpu-memory-utilization", "0.4"}, "gpu-memory-utilization=0.4"},
      {{"--max-num-queued-reqs", "None", "--chat-template=None"}, ""},
      {{"--hf-overrides.sizes+", "1,2k,x"}, "hf-overrides={\"sizes\":[1,2000,\"x\"]}"},
      {{"--dtype", "int8"},
       "error: flag --dtype must be one of auto, float32, float, bfloat16, float16, half, not 'int8'"},
      {{"--runner", "pooling", "--runner", "x"},
       "error: flag --runner must be one of auto, draft, generate, pooling, not 'x'"},
      {{"--enable-log-requests"}, "enable-log-requests=true"},
      {{"--no-enable-prefix-caching"}, "enable-prefix-caching=false"},
      {{"--enable_prefix_caching", "x"}, "x enable-prefix-caching=true"},
      {{"--served-model-name", "a", "b", "--port", "1"}, "port=1 served-model-name=[\"a\",\"b\"]"},
      {{"--api-key", "k1", "--api-key", "k2"}, "api-key=[\"k1\",\"k2\"]"},
      {{"--hf-overrides", "{\"rope_theta\": 1e6}"}, "hf-overrides={\"rope_theta\":1000000.0}"},
      {{"--hf-overrides.rope_scaling.factor", "8"}, "hf-overrides={\"rope_scaling\":{\"factor\":8}}"},
      {{"--hf_overrides.a_b", "x", "--hf-overrides.l+", "1"}, "hf-overrides={\"a_b\":\"x\",\"l\":[1]}"},
      {{"--allowed-origins", "[\"http://a\",\"http://b\"]"}, "allowed-origins=[\"http://a\",\"http://b\"]"},
      {{"--chat-template", "[{{ x }}]", "--port=1"}, "chat-template=\"[{{ x }}]\" port=1"},
      {{"--chat-template="}, "chat-template=\"\""},
      {{"--port="}, "error: flag --port: '' is not a whole number (8192, 8k = 8000, 8K = 8192, 1.5m, 2G)"},
      {{"--gpu-memory-utilization", "0.9"}, "gpu-memory-utilization=0.9"},
      {{"--chat-template", "-- weird"}, "error: flag --chat-template needs a value"},
      {{"--chat-template=-- weird"}, "chat-template=\"-- weird\""},
      {{"--", "--port"}, "--port"},
      {{"--prot", "1"}, "error: unknown flag --prot; did you mean --port? (--help lists all)"},
      {{"--max-modellen", "1"},
       "error: unknown flag --max-modellen; did you mean --max-model-len? (--help lists all)"},
      {{"--port"}, "error: flag --port needs a value"},
      {{"--port", "x"},
       "error: flag --port: 'x' is not a whole number (8192, 8k = 8000, 8K = 8192, 1.5m, 2G)"},
      {{"--hf-overrides", "{"}, "error: flag --hf-overrides: invalid JSON at byte 1: incomplete JSON"},
      {{"--enable-lora=perhaps"}, "error: flag --enable-lora is a switch: --enable-lora or --no-enable-lora"},
  };
  for (const Case& c : cases) EXPECT_EQ(describe(parse_flags(serve_flag_table(), c.arguments)), c.expected);
}

TEST(Flags, HumanSizes) {
  struct Case {
    const char* text;
    int64_t number;
  } good[] = {{"0", 0},          {"8192", 8192},     {"1k", 1000}, {"1K", 1024},
              {"1.5m", 1500000}, {"2G", 2147483648}, {"-1", -1}};
  for (const Case& c : good) EXPECT_EQ(*parse_human_int(c.text), c.number) << c.text;
  for (const char* text : {"", "k", "1.5", "1.5K", "1kb", "nan", "1e30", "0x10", "1 k"})
    EXPECT_FALSE(parse_human_int(text).ok()) << text;
}

TEST(Flags, HelpCanBeNarrowed) {
  std::string topic;
  EXPECT_TRUE(wants_help({"serve", "--help=SchedulerConfig"}, &topic));
  std::string text = help_text(serve_flag_table(), "usage\n", topic);
  EXPECT_NE(text.find("--max-num-seqs"), std::string::npos);
  EXPECT_EQ(text.find("--ssl-keyfile"), std::string::npos);
  EXPECT_NE(help_text(serve_flag_table(), "", "max-model-len").find("--max-model-len"), std::string::npos);
  EXPECT_NE(help_text(serve_flag_table(), "", "nonsense").find("No group"), std::string::npos);
  EXPECT_FALSE(wants_help({"--", "--help"}, &topic));
}

TEST(Flags, TheTableHasNoDoubles) {
  std::set<std::string> names, shorts;
  for (const FlagSpec& spec : serve_flag_table()) {
    EXPECT_TRUE(names.insert(spec.name).second) << spec.name;
    if (*spec.short_name != 0) {
      EXPECT_TRUE(shorts.insert(spec.short_name).second) << spec.short_name;
    }
  }
}

TEST(ConfigFile, BecomesArguments) {
  auto path =
      std::filesystem::temp_directory_path() / ("pagoda_config_" + std::to_string(::getpid()) + ".yaml");
  std::ofstream(path)
      << "port: 8001\nserved-model-name: [a, b]\nenable-log-requests: true\nenable_prefix_caching: false\n"
         "hf-overrides: {rope_theta: 1e6, name: \"5\"}\nallowed_origins: [\"http://a\"]\n";
  Result<std::vector<std::string>> arguments = read_config_file(serve_flag_table(), path);
  ASSERT_TRUE(arguments.ok()) << arguments.status().message();
  EXPECT_EQ(describe(parse_flags(serve_flag_table(), *arguments)),
            "allowed-origins=[\"http://a\"] enable-log-requests=true enable-prefix-caching=false "
            "hf-overrides={\"rope_theta\":1000000.0,\"name\":\"5\"} "
            "port=8001 served-model-name=[\"a\",\"b\"]");
  std::ofstream(path) << "port: [1\n";
  EXPECT_NE(read_config_file(serve_flag_table(), path).status().message().find("line"), std::string::npos);
  std::ofstream(path) << "- a\n";
  EXPECT_FALSE(read_config_file(serve_flag_table(), path).ok());
  std::filesystem::remove(path);
  EXPECT_EQ(read_config_file(serve_flag_table(), path).status().code(), StatusCode::kNotFound);
}

TEST(ConfigFile, FaultsAreNamedByLine) {
  const auto path =
      std::filesystem::temp_directory_path() / ("pagoda_faults_" + std::to_string(::getpid()) + ".yaml");
  // Each alias stands for nine of the one before; each flag for a thousand names.
  std::string aliases = "hf-overrides:\n  a: &a [0]\n", lists = "served-model-name: &a [x";
  for (char each = 'b'; each < 'k'; ++each) {
    std::string nine;
    for (int i = 0; i < 9; ++i) nine += std::string(i > 0 ? ", *" : "*") + static_cast<char>(each - 1);
    aliases += std::string("  ") + each + ": &" + each + " [" + nine + "]\n";
  }
  for (int i = 1; i < 1000; ++i) lists += ", x";
  lists += "]\n";
  for (int i = 0; i < 200; ++i) lists += "flag-" + std::to_string(i) + ": *a\n";
  const std::string long_one = "uvicorn-log-level: &s " + std::string(40000, 'x') + "\n";
  std::string repeated = long_one + "served-model-name: [*s", spread = long_one;
  for (int i = 0; i < 200; ++i) repeated += ", *s";
  repeated += "]\n";
  for (int i = 0; i < 200; ++i) spread += "flag-" + std::to_string(i) + ": *s\n";
  const struct {
    const char *text, *error;  // null: none
  } cases[] = {
      {"port: 1\nconfig: other.yaml\n", "line 2: a configuration file can not name another one (config)"},
      {"port: 1\n---\nport: 2\n", "line 2: a second document begins"},
      {",\x01\xe1", "line 1: this is not YAML"},
      {"# flags\n, port: 1\n", "line 2: this is not YAML"},
      {"port: 1\n}\n", "line 2: illegal flow end"},
      {"port: 1\nmax-num-seqs: 2\nport: 3\n", "line 3: port is given twice"},
      {"max-num-seqs: 1\nmax_num_seqs: 2\n", "line 2: max-num-seqs is given twice"},
      {"port: 1\nmax-num-seqs: [1, 2]\n", "line 2: max-num-seqs takes one value, not a list"},
      {"enable-prefix-caching: [true]\n", "line 1: enable-prefix-caching takes one value, not a list"},
      {"max-num-seqs: {a: 1}\n", "line 1: max-num-seqs takes no mapping"},
      {"port: 1\nserved-model-name: no\n",
       "line 2: no is a switch's value in YAML, which served-model-name is not: as a text it needs quotes "
       "(\"no\")"},
      {"cpu-tune: off\n", "line 1: off is a switch's value in YAML"},
      {"port: 1\nhf-overrides: &a {x: *a}\n", "line 2: values nest more than 64 deep here"},
      {"port: 1\nhf-overrides: &a {x: *a, y: *a}\n", "line 2: values nest more than 64 deep here"},
      {aliases.c_str(), "more than 100000 values, or 4 MiB of them, counting what aliases (*) repeat"},
      {lists.c_str(), "more than 100000 values"},
      {repeated.c_str(), "line 1: more than 100000 values, or 4 MiB of them"},
      {spread.c_str(), "or 4 MiB of them"},
      {"enable-prefix-caching: true\nno_enable_prefix_caching: true\n",
       "line 2: enable-prefix-caching is given twice"},
      {"hf-overrides.a_b: 1\nhf_overrides.a_b: 2\n", "line 2: hf-overrides.a_b is given twice"},
      {"hf-overrides.a_b: 1\nhf-overrides.a-b: 2\n", nullptr},
      {"hf-overrides: {a: &a [1, 2], b: *a}\n", nullptr},
      {"served-model-name: \"no\"\ncpu-tune: 'off'\n", nullptr},
      {"served-model-name: [no, b]\n", nullptr},
      {"--- \nport: 1\n", nullptr},
      {"# nothing yet\n", nullptr},
      {"", nullptr},
  };
  for (const auto& one : cases) {
    std::ofstream(path) << one.text;
    const Status status = read_config_file(serve_flag_table(), path).status();
    EXPECT_EQ(status.ok(), one.error == nullptr) << one.text << status.message();
    if (one.error != nullptr) {
      EXPECT_NE(status.message().find(one.error), std::string::npos) << status.message();
    }
  }
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace pagoda
