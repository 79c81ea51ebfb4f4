// `pagoda render` and `pagoda tokenize`: the text side of a model, without the model.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <ctime>

#include "assembly/chat_templates.h"
#include "assembly/text_assets.h"
#include "base/excerpt.h"
#include "base/json.h"
#include "base/log.h"
#include "cli/commands.h"
#include "cli/flags.h"

namespace pagoda {
namespace {

constexpr FlagSpec kRenderFlags[] = {
    {"tokenizer", "", "Render", FlagKind::kString, "the built-in model",
     "Folder with tokenizer_config.json or chat_template.jinja."},
    {"chat-template", "", "Render", FlagKind::kString, "the tokenizer's",
     "Template file, or the template itself."},
    {"now", "", "Render", FlagKind::kString, "the current time",
     "What strftime_now sees: 2024-07-26 or 2024-07-26T10:00:00 (UTC); any other text is its answer."},
};
constexpr FlagSpec kTokenizeFlags[] = {
    {"tokenizer", "", "Tokenize", FlagKind::kString, "the built-in model", "Folder, or a tokenizer.json."},
    {"add-special-tokens", "", "Tokenize", FlagKind::kBool, "off",
     "Add BOS and the like, as the tokenizer defines."},
    {"decode", "", "Tokenize", FlagKind::kBool, "off",
     "Standard input is a JSON list of ids; print their text."},
    {"skip-special-tokens", "", "Tokenize", FlagKind::kBool, "off",
     "With --decode: leave special tokens out."},
};

// An ISO date is a moment, printed as the template asks; anything else is what strftime_now answers as it
// stands.
TemplateClock parse_now(const std::string& text) {
  if (text.empty()) return {static_cast<int64_t>(std::time(nullptr)), ""};
  for (const char* format : {"%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d"}) {
    std::tm date{};
    const char* end = strptime(text.c_str(), format, &date);
    if (end != nullptr && *end == 0) return {static_cast<int64_t>(timegm(&date)), ""};
  }
  return {0, text};
}

// Only what rendering needs: a folder with a template but without tokenizer.json will do, and so will no
// folder at all.
Result<TextAssets> assets_for_render(const std::string& tokenizer, const std::string& chat_template) {
  if (tokenizer.empty() && !chat_template.empty()) {
    TextAssets assets;
    PAGODA_TRY(ChatTemplates chosen, choose_chat_templates({}, chat_template));
    assets.chat_template = std::move(chosen.plain);
    return assets;
  }
  PAGODA_TRY(ModelFiles files, ModelFiles::open(tokenizer));
  return load_text_assets(files, chat_template, /*with_tokenizer=*/false);
}

Result<std::string> render(const FlagValues& flags, const std::string& chat_json) {
  PAGODA_TRY(TextAssets assets, assets_for_render(flags.text("tokenizer"), flags.text("chat-template")));
  PAGODA_TRY(Value chat, parse_json(chat_json));
  if (!chat.is_object()) return invalid_argument("standard input must be a JSON object with `messages`");
  Object context = assets.special_tokens;
  context.set("add_generation_prompt", true);
  for (const Member& member : chat.as_object()) context.set(member.key, member.value);
  bool tools = chat.find("tools") != nullptr && !chat.find("tools")->is_null();
  auto chat_template = tools && assets.tool_chat_template ? assets.tool_chat_template : assets.chat_template;
  if (!chat_template && !assets.chat_template_names.empty())
    return not_found(
        fmt::format("none of this tokenizer's chat templates is the default; give the name of one "
                    "with --chat-template: {}",
                    fmt::join(assets.chat_template_names, ", ")));
  if (!chat_template) return not_found("this tokenizer has no chat template; give one with --chat-template");
  return chat_template->render(context, parse_now(flags.text("now")));
}

Result<std::string> tokenize(const FlagValues& flags, const std::string& input) {
  PAGODA_TRY(auto tokenizer, load_tokenizer(flags.text("tokenizer")));
  if (!flags.flag("decode", false)) {
    std::vector<int32_t> ids;
    tokenizer->encode(input, {.add_special_tokens = flags.flag("add-special-tokens", false)}, &ids);
    std::string out = "[";
    for (std::size_t i = 0; i < ids.size(); ++i) out += (i > 0 ? ", " : "") + std::to_string(ids[i]);
    return out + "]\n";
  }
  constexpr std::size_t kIdsMax = std::size_t{1} << 28;  // the user's own
  PAGODA_TRY(Value list, parse_json(input, {.values_max = kIdsMax}));
  std::vector<int32_t> ids;
  if (!list.is_array()) return invalid_argument("--decode reads a JSON list of ids");
  for (const Value& id : list.as_array()) {
    if (!id.is_int() || id.as_int() < 0 || id.as_int() >= tokenizer->vocab_size())
      return invalid_argument("--decode: " + write_json(id) + " is not an id of this vocabulary (0 to " +
                              std::to_string(tokenizer->vocab_size() - 1) + ")");
    ids.push_back(static_cast<int32_t>(id.as_int()));
  }
  return tokenizer->decode(ids, flags.flag("skip-special-tokens", false));
}

using TextCommand = Result<std::string> (*)(const FlagValues&, const std::string&);

int run_filter(std::span<const FlagSpec> table, const char* usage, const std::vector<std::string>& arguments,
               TextCommand command) {
  std::string topic, input;
  if (wants_help(arguments, &topic)) {
    std::fputs(help_text(table, usage, topic).c_str(), stdout);
    return 0;
  }
  Result<ParsedCommand> parsed = parse_flags(table, arguments);
  if (!parsed.ok()) return fail(parsed.status().message());
  if (!parsed->positional.empty()) return fail("unexpected argument '" + parsed->positional.front() + "'");
  if (!read_standard_input(&input)) return fail("standard input is larger than 1 GiB");
  Result<std::string> output = command(parsed->flags, input);
  if (!output.ok()) return fail(output.status().message());
  std::fwrite(output->data(), 1, output->size(), stdout);
  if (std::fflush(stdout) != 0) return fail(std::string("cannot write the answer: ") + std::strerror(errno));
  return 0;
}

}  // namespace

int run_render(const std::vector<std::string>& arguments) {
  return run_filter(
      kRenderFlags,
      "usage: pagoda render --tokenizer DIR [--chat-template FILE] < chat.json\n"
      "Prints the prompt that the model would see. The JSON holds `messages` and, where wanted, `tools`,\n"
      "`add_generation_prompt` and any other variable of the template.\n",
      arguments, render);
}

int run_tokenize(const std::vector<std::string>& arguments) {
  return run_filter(
      kTokenizeFlags,
      "usage: pagoda tokenize --tokenizer DIR|FILE [--add-special-tokens] [--decode] < text\n"
      "Standard input to its end is one text; prints its ids as one JSON list, or the reverse.\n",
      arguments, tokenize);
}

int fail(const std::string& message) {
  constexpr std::chrono::seconds kTimeout{1};
  constexpr std::size_t kMessageCharsMax = 16 << 10;  // it may quote what a file holds
  std::fflush(stdout);
  flush_log(kTimeout);
  write_within(STDERR_FILENO, "error: " + escape_for_terminal(excerpt(message, kMessageCharsMax)) + "\n",
               kTimeout);
  return 1;
}

bool read_standard_input(std::string* text, std::size_t bytes_max) {
  char buffer[1 << 16];
  for (std::size_t count; (count = std::fread(buffer, 1, sizeof buffer, stdin)) > 0;) {
    if (text->size() + count > bytes_max) return false;
    text->append(buffer, count);
  }
  return true;
}

}  // namespace pagoda
