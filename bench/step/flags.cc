#include "bench/step/flags.h"

#include <charconv>
#include <functional>
#include <map>

#include "base/env.h"

namespace pagoda {

const char* const kStepUsage = R"(step_bench --hf-config FILE [--prefill P] [--decode B@L,B@L,...] [flags]

  --hf-config FILE        config.json of the model; its weights are random
  --dtype NAME            of the weights: bfloat16 (default), float16, float32
  --quantization NAME     as the server's flag: none (default), int8, int4, ...
  --kv-cache-dtype NAME   bfloat16 (default), float16, float32, fp8, int8
  --threads N             compute threads; default: physical cores
  --cpu-tune WISH,...     as the server's flag: auto (default), off, or a file; several by turns
  --prefill P             a prompt of P tokens,
  --chunk C               ... C at a time; default 2048
  --decode B@L,...        B streams, each with L tokens of context that are only pretended
  --growth                --decode for 1, 8, 32, 64 streams by 128, 1024, 4096, 16384 tokens
  --steps N               steps of a decode; default 8, behind one that warms up
  --repeat R              default 3; medians are shown
  --memory-limit-gb G     weights and cache together; what does not fit is left out. Default: 60 % of the memory
  --probe                 only the rates of the machine
  --json                  one JSON object instead of a table
)";

namespace {

template <class T>
bool read_number(const std::string& text, T* value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *value);
  return error == std::errc() && end == text.data() + text.size();
}

bool read_positive(const std::string& text, int32_t* value) {
  return read_number(text, value) && *value > 0;
}

bool read_shapes(const std::string& text, std::vector<DecodeShape>* shapes) {
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    const std::string item = text.substr(begin, end - begin);
    const std::size_t at = item.find('@');
    DecodeShape shape{};
    if (at == std::string::npos || !read_positive(item.substr(0, at), &shape.num_seqs) ||
        !read_number(item.substr(at + 1), &shape.context) || shape.context < 0)
      return false;
    shapes->push_back(shape);
    begin = end + 1;
  }
  return true;
}

bool read_list(const std::string& text, std::vector<std::string>* items) {
  items->clear();
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    items->push_back(text.substr(begin, end - begin));
    if (items->back().empty()) return false;
    begin = end + 1;
  }
  return true;
}

void add_growth(StepFlags* flags) {
  for (int32_t num_seqs : {1, 8, 32, 64})
    for (int32_t context : {128, 1024, 4096, 16384}) flags->decode.push_back({num_seqs, context});
}

}  // namespace

Result<StepFlags> parse_step_flags(const std::vector<std::string>& arguments) {
  StepFlags flags;
  flags.memory_limit_gb = 0.6 * static_cast<double>(usable_memory_bytes()) / 1e9;
  const std::map<std::string, std::function<void()>> switches = {{"--json", [&] { flags.json = true; }},
                                                                 {"--probe", [&] { flags.probe = true; }},
                                                                 {"--help", [&] { flags.help = true; }},
                                                                 {"--growth", [&] { add_growth(&flags); }}};
  auto keep = [](std::string* place) {
    return [place](const std::string& text) { return *place = text, true; };
  };
  auto count = [](int32_t* place) {
    return [place](const std::string& text) { return read_positive(text, place); };
  };
  const std::map<std::string, std::function<bool(const std::string&)>> values = {
      {"--hf-config", keep(&flags.hf_config)},
      {"--dtype", keep(&flags.dtype)},
      {"--quantization", keep(&flags.quantization)},
      {"--kv-cache-dtype", keep(&flags.kv_cache_dtype)},
      {"--threads", count(&flags.threads)},
      {"--cpu-tune", [&](const std::string& text) { return read_list(text, &flags.cpu_tune); }},
      {"--prefill", count(&flags.prefill)},
      {"--chunk", count(&flags.chunk)},
      {"--steps", count(&flags.steps)},
      {"--repeat", count(&flags.repeat)},
      {"--decode", [&](const std::string& text) { return read_shapes(text, &flags.decode); }},
      {"--memory-limit-gb",
       [&](const std::string& text) { return read_number(text, &flags.memory_limit_gb); }}};
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& name = arguments[i];
    if (auto found = switches.find(name); found != switches.end()) {
      found->second();
      continue;
    }
    auto found = values.find(name);
    if (found == values.end()) return invalid_argument("unknown flag '" + name + "'\n\n" + kStepUsage);
    if (i + 1 == arguments.size() || !found->second(arguments[i + 1]))
      return invalid_argument(name + ": '" + (i + 1 < arguments.size() ? arguments[i + 1] : "") +
                              "' is not what it takes\n\n" + kStepUsage);
    ++i;
  }
  if (flags.hf_config.empty() && !flags.probe && !flags.help)
    return invalid_argument(std::string("--hf-config is missing\n\n") + kStepUsage);
  return flags;
}

}  // namespace pagoda
