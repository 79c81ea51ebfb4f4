// Table: routes and fields of the API.
#include "openai/api_table.h"

namespace pagoda {
namespace {

constexpr const char *kChat = "ChatCompletionRequest", *kText = "CompletionRequest",
                     *kBoth = "GenerationFields", *kTokenize = "TokenizeRequest",
                     *kDetokenize = "DetokenizeRequest", *kAbort = "AbortRequest";
constexpr const char* kStream = "text/event-stream";

constexpr ApiRoute kRoutes[] = {
    {"POST", "/v1/chat/completions", "Answers a chat.", kChat, kStream},
    {"POST", "/v1/completions", "Continues a text.", kText, kStream},
    {"GET", "/v1/models", "The names that requests may use."},
    {"GET", "/v1/models/*", "One of them."},
    {"POST", "/tokenize", "The tokens of a text or a chat.", kTokenize},
    {"POST", "/detokenize", "The text of tokens.", kDetokenize},
    {"GET", "/tokenizer_info", "The tokenizer's configuration."},
    {"GET", "/health", "200 while the engine works, 503 when it hangs or is dead."},
    {"GET", "/ping", "The same."},
    {"POST", "/ping", "The same."},
    {"GET", "/load", "Requests under way."},
    {"GET", "/version", "The server's version."},
    {"GET", "/metrics", "Prometheus metrics.", "", "text/plain"},
    {"GET", "/kv_event_sources", "Where KV events are published; empty: nowhere."},
    {"GET", "/openapi.json", "This description."},
    {"GET", "/docs", "This description as a page.", "", "text/html"},
    {"GET", "/server_info", "Configuration and surroundings; ?config_format=json."},
    {"POST", "/pause", "No steps until /resume; ?mode=abort, wait or keep; ?clear_cache=true."},
    {"POST", "/resume", "Steps again."},
    {"GET", "/is_paused", "Whether it is paused."},
    {"POST", "/abort_requests", "Ends requests by their ids.", kAbort},
    {"POST", "/sleep", "Gives the memory back; ?level=1 or 2 (0: is paused alone); ?mode as for /pause."},
    {"POST", "/wake_up", "Takes it again and goes on; ?tags=weights, kv_cache, scheduling."},
    {"GET", "/is_sleeping", "Whether it sleeps."},
    {"POST", "/reset_prefix_cache", "Forgets what the prefix cache holds."},
};

constexpr ApiField kFields[] = {
    {kChat, "messages", "array", "The chat: objects with role, content, name, tool_calls, tool_call_id.",
     true},
    {kChat, "tools", "array", "Functions that the model may call, for the chat template."},
    {kChat, "tool_choice", "string|object", "Whether they may be called: none, so far."},
    {kChat, "parallel_tool_calls", "boolean", "More than one call in an answer."},
    {kChat, "max_completion_tokens", "integer", "The same as max_tokens."},
    {kChat, "logprobs", "boolean", "Log-probabilities of the answer's tokens."},
    {kChat, "top_logprobs", "integer", "And of so many more at each place."},
    {kChat, "chat_template", "string", "A template of one's own, where the server allows it."},
    {kChat, "chat_template_kwargs", "object", "Variables of the template."},
    {kChat, "add_generation_prompt", "boolean", "Open the assistant's turn behind the messages."},
    {kChat, "continue_final_message", "boolean", "Continue the last message instead."},
    {kChat, "documents", "array", "Documents for the template."},
    {kChat, "reasoning_effort", "string", "For the template."},
    {kChat, "include_reasoning", "boolean", "Reasoning in the answer; it is not told apart yet."},
    {kChat, "return_prompt_text", "boolean", "Not built yet; /tokenize shows the prompt's tokens."},
    {kChat, "media_io_kwargs", "object", "Empty: the models read text alone."},
    {kChat, "mm_processor_kwargs", "object", "Empty, as above."},

    {kText, "prompt", "string|array", "A text, token ids, or a list of either.", true},
    {kText, "logprobs", "integer", "Log-probabilities of so many tokens at each place."},
    {kText, "suffix", "string", "Not built: no model here fills in the middle."},
    {kText, "prompt_embeds", "string|array", "Not built yet."},

    {kBoth, "model", "string", "A name from /v1/models; without it the served model."},
    {kBoth, "max_tokens", "integer", "Most tokens of the answer."},
    {kBoth, "min_tokens", "integer", "Tokens before the answer may end."},
    {kBoth, "n", "integer", "Answers to one prompt."},
    {kBoth, "stream", "boolean", "The answer in pieces, as server-sent events."},
    {kBoth, "stream_options", "object", "include_usage, continuous_usage_stats."},
    {kBoth, "stream_interval", "integer", "Tokens of a piece."},
    {kBoth, "echo", "boolean", "Begin the answer with the prompt; in a chat, with its last message."},
    {kBoth, "response_format", "object", "Only {\"type\": \"text\"} so far."},
    {kBoth, "structured_outputs", "object", "Not built yet."},
    {kBoth, "temperature", "number", "0: always the likeliest token."},
    {kBoth, "top_p", "number", "Sample from the likeliest tokens that have so much probability together."},
    {kBoth, "top_k", "integer", "Sample from so many of the likeliest tokens; 0 or -1: all."},
    {kBoth, "min_p", "number", "Sample from tokens with that share of the likeliest one's probability."},
    {kBoth, "seed", "integer", "The same seed, the same answer."},
    {kBoth, "stop", "string|array", "Texts that end the answer."},
    {kBoth, "stop_token_ids", "array", "Tokens that end the answer."},
    {kBoth, "include_stop_str_in_output", "boolean", "Keep what ended the answer."},
    {kBoth, "ignore_eos", "boolean", "Go on behind the model's own end."},
    {kBoth, "frequency_penalty", "number", "By how often a token has come."},
    {kBoth, "presence_penalty", "number", "Once a token has come."},
    {kBoth, "repetition_penalty", "number", "Divides the logits of tokens that have come."},
    {kBoth, "logit_bias", "object", "Added to logits, by token id."},
    {kBoth, "allowed_token_ids", "array", "No other tokens."},
    {kBoth, "bad_words", "array", "Words that never come."},
    {kBoth, "skip_special_tokens", "boolean", "Leave special tokens out of the text."},
    {kBoth, "spaces_between_special_tokens", "boolean", "Spaces between special tokens."},
    {kBoth, "add_special_tokens", "boolean", "Begin the prompt with BOS and the like."},
    {kBoth, "truncate_prompt_tokens", "integer", "Keep so many tokens of the prompt."},
    {kBoth, "truncation_side", "string", "left: keep its end; right: its beginning."},
    {kBoth, "prompt_logprobs", "integer", "Log-probabilities of the prompt's tokens."},
    {kBoth, "return_token_ids", "boolean", "Token ids beside the text."},
    {kBoth, "return_tokens_as_token_ids", "boolean", "Tokens as token_id:N in log-probabilities."},
    {kBoth, "cache_salt", "string", "Prefixes are shared only among requests with the same salt."},
    {kBoth, "request_id", "string", "A name for the request, to abort it by."},
    {kBoth, "priority", "integer", "Lower goes first, under --scheduling-policy priority."},
    {kBoth, "timeout", "number", "Seconds that the answer may take."},
    {kBoth, "user", "string", "Whose request it is, under --scheduling-policy fair."},
    {kBoth, "use_beam_search", "boolean", "Not built yet."},
    {kBoth, "length_penalty", "number", "Of beam search: no effect."},
    {kBoth, "logprob_token_ids", "array", "Not built yet."},
    {kBoth, "repetition_detection", "object", "Not built yet."},
    {kBoth, "thinking_token_budget", "integer", "-1: no limit; others are not built yet."},
    {kBoth, "kv_transfer_params", "object", "Not built yet; what asks for nothing passes."},
    {kBoth, "ec_transfer_params", "object", "As above."},
    {kBoth, "session_id", "string", "No effect."},
    {kBoth, "vllm_xargs", "object", "No effect: arguments of vLLM's plugins."},
    {kBoth, "watermarking", "boolean", "No effect: no watermark is configured."},
    {kBoth, "return_token_offsets", "boolean", "No effect."},
    {kBoth, "return_mm_kwargs", "boolean", "No effect."},
    {kBoth, "mm_payload", "string", "No effect."},
    {kBoth, "routed_experts_prompt_start", "integer", "No effect; within the prompt."},

    {kTokenize, "model", "string", "A name from /v1/models."},
    {kTokenize, "prompt", "string", "The text; or `messages` as in a chat."},
    {kTokenize, "messages", "array", "A chat instead of a text."},
    {kTokenize, "tools", "array", "As in a chat, with `messages`; so are the following."},
    {kTokenize, "add_generation_prompt", "boolean", "Open the assistant's turn behind the messages."},
    {kTokenize, "continue_final_message", "boolean", "Continue the last message instead."},
    {kTokenize, "chat_template", "string", "A template of one's own, where the server allows it."},
    {kTokenize, "chat_template_kwargs", "object", "Variables of the template."},
    {kTokenize, "documents", "array", "Documents for the template."},
    {kTokenize, "reasoning_effort", "string", "For the template."},
    {kTokenize, "media_io_kwargs", "object", "Empty: the models read text alone."},
    {kTokenize, "mm_processor_kwargs", "object", "Empty, as above."},
    {kTokenize, "add_special_tokens", "boolean", "Begin with BOS and the like."},
    {kTokenize, "return_token_strs", "boolean", "The tokens as text as well."},

    {kDetokenize, "model", "string", "A name from /v1/models."},
    {kDetokenize, "tokens", "array", "Token ids.", true},

    {kAbort, "request_ids", "array", "Ids of requests."},
};

}  // namespace

std::span<const ApiRoute> api_routes() {
  return kRoutes;
}
std::span<const ApiField> api_fields() {
  return kFields;
}

}  // namespace pagoda
