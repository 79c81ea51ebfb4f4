#include "cli/chat_backend.h"

#include <chrono>
#include <condition_variable>
#include <mutex>

#include "assembly/assemble.h"
#include "base/json.h"
#include "http/client.h"
#include "http/sse_reader.h"

namespace pagoda {
namespace {

std::string error_text(const Value& body, const std::string& otherwise) {
  const Value* error = body.find("error");
  if (error != nullptr && error->is_string()) return error->as_string();
  const Value* message = error == nullptr ? nullptr : error->find("message");
  return message != nullptr && message->is_string() ? message->as_string() : otherwise;
}

class RemoteChat : public ChatBackend {
 public:
  RemoteChat(std::string url, std::string model, std::string api_key)
      : url_(std::move(url)), model_(std::move(model)), api_key_(std::move(api_key)) {}

  std::string name() const override { return model_ + " at " + url_; }

  Status answer(const Array& messages, const std::function<bool(std::string_view)>& on_text) override {
    Object body;
    body.set("model", model_);
    body.set("messages", messages);
    body.set("stream", true);
    ClientRequest request{"POST", url_ + "/chat/completions", write_json(Value(std::move(body))), headers()};
    bool stopped = false;
    request.go_on = [&] { return !(stopped = !on_text("")); };
    SseReader reader;
    Status failed;
    auto on_event = [&](std::string_view data) {
      if (data == "[DONE]") return true;
      Result<Value> chunk = parse_json(data);
      if (!chunk.ok()) return true;
      if (chunk->find("error") != nullptr) {
        failed = internal_error(error_text(*chunk, "the server reported an error"));
        return false;
      }
      const Value* choices = chunk->find("choices");
      if (choices == nullptr || !choices->is_array() || choices->as_array().empty()) return true;
      const Value* delta = choices->as_array()[0].find("delta");
      const Value* content = delta == nullptr ? nullptr : delta->find("content");
      return content == nullptr || !content->is_string() || on_text(content->as_string());
    };
    Result<HttpResponse> response =
        http_stream(request, [&](std::string_view bytes) { return reader.feed(bytes, on_event); });
    if (stopped) return {};
    if (!response.ok()) return response.status();
    if (!failed.ok()) return failed;
    if (reader.is_endless()) return io_error("the server's answer is one endless event");
    if (response->status == 200) return {};
    Result<Value> error = parse_json(response->body);
    return internal_error(
        error_text(error.ok() ? *error : Value(), "HTTP status " + std::to_string(response->status)));
  }

  HttpHeaders headers() const {
    HttpHeaders result = {{"Content-Type", "application/json"}};
    if (!api_key_.empty()) result.emplace_back("Authorization", "Bearer " + api_key_);
    return result;
  }

 private:
  std::string url_, model_, api_key_;
};

class LocalChat : public ChatBackend {
 public:
  explicit LocalChat(std::unique_ptr<Assembly> assembly) : assembly_(std::move(assembly)) {}

  std::string name() const override { return assembly_->model->served_names.front() + " (in this process)"; }

  Status answer(const Array& messages, const std::function<bool(std::string_view)>& on_text) override {
    GenerateRequest request;
    RequestContext context;
    context.id = "chat";
    ChatPrompt chat;
    chat.messages = messages;
    request.prompt = std::move(chat);
    request.add_special_tokens = false;
    struct Signal {
      std::mutex mutex;
      std::condition_variable ready;
      bool set = false;
    };
    auto signal = std::make_shared<Signal>();
    auto wake = [signal] {
      std::lock_guard lock(signal->mutex);
      signal->set = true;
      signal->ready.notify_one();
    };
    PAGODA_TRY(OutputStream stream,
               assembly_->intake->admit(std::move(request), std::make_shared<const ResponseShape>(),
                                        std::move(context), wake));
    while (!stream.done()) {
      {
        std::unique_lock lock(signal->mutex);
        signal->ready.wait_for(lock, std::chrono::milliseconds(50), [&] { return signal->set; });
        signal->set = false;
      }
      if (!on_text("")) {
        stream.cancel();
        return {};
      }
      for (TextDelta delta; stream.next(&delta); delta = {}) {
        if (!delta.error.ok()) return internal_error(delta.error.message());
        if (!delta.text.empty() && !on_text(delta.text)) {
          stream.cancel();
          return {};
        }
      }
    }
    return {};
  }

 private:
  std::unique_ptr<Assembly> assembly_;
};

// Error kNotFound: what answers there has no list of models.
Result<Value> list_models(const std::string& url, const std::string& api_key) {
  RemoteChat probe(url, "", api_key);
  PAGODA_TRY(HttpResponse response, http_request({"GET", url + "/models", "", probe.headers(), 5}));
  Result<Value> body = parse_json(response.body);
  if (response.status == 200 && body.ok() && body->find("data") != nullptr) return body;
  const std::string text = url + " answered " + std::to_string(response.status) + ": " +
                           error_text(body.ok() ? *body : Value(), "not an OpenAI-compatible server") +
                           (response.status == 401 ? ": give --api-key, or set OPENAI_API_KEY" : "");
  return response.status == 404 || response.status == 200 ? not_found(text) : io_error(text);
}

}  // namespace

Result<std::unique_ptr<ChatBackend>> connect_chat(const std::string& base_url, const std::string& model,
                                                  const std::string& api_key) {
  std::string url = base_url.substr(0, base_url.find_last_not_of('/') + 1);
  if (url.find("://") == std::string::npos && !url.starts_with("unix:")) url = "http://" + url;
  Result<Value> models = list_models(url, api_key);
  if (!models.ok() && !url.ends_with("/v1")) {  // the server's address alone
    Result<Value> below = list_models(url + "/v1", api_key);
    if (below.ok() || below.status().code() != StatusCode::kNotFound) models = std::move(below), url += "/v1";
  }
  if (!models.ok()) return std::move(models.status());
  std::string name = model;
  const Value* list = models->find("data");
  if (name.empty() && list != nullptr && list->is_array() && !list->as_array().empty()) {
    const Value* id = list->as_array()[0].find("id");
    if (id != nullptr && id->is_string()) name = id->as_string();
  }
  return std::unique_ptr<ChatBackend>(std::make_unique<RemoteChat>(url, name, api_key));
}

Result<std::unique_ptr<ChatBackend>> local_chat(const std::string& model) {
  EngineArgs options;
  options.model.path = model;
  options.config.scheduler.max_num_seqs = 1;
  options.config.log_stats = false;
  options.cache.kv_cache_memory_bytes = 256 << 20;
  PAGODA_TRY(std::unique_ptr<Assembly> assembly, assemble(options));
  return std::unique_ptr<ChatBackend>(std::make_unique<LocalChat>(std::move(assembly)));
}

}  // namespace pagoda
