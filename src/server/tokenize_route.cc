#include <atomic>
#include <chrono>
#include <utility>

#include "base/cancel.h"
#include "openai/responses.h"
#include "server/caller.h"
#include "server/reply.h"
#include "server/routes.h"

namespace pagoda {
namespace {

HttpResponse tokenize(const Intake& intake, const TokenizeRequest& parsed) {
  auto tokens = intake.tokenize(parsed.request);
  if (!tokens.ok()) return error_response(tokens.status());
  TokenizeAnswer answer;
  answer.max_model_len = intake.model().max_model_len;
  answer.with_strings = parsed.return_token_strs;
  if (parsed.return_token_strs) {
    answer.token_strings.reserve(tokens->size());
    for (TokenId id : *tokens) answer.token_strings.push_back(intake.model().tokenizer->id_to_token(id));
  }
  answer.tokens = std::move(*tokens);
  return json_response(write_tokenize_response(answer));
}

HttpResponse detokenize(const Intake& intake, const DetokenizeRequest& parsed) {
  auto text = intake.detokenize(parsed.tokens);
  return text.ok() ? json_response(write_detokenize_response(*text)) : error_response(text.status());
}

// A request that is answered by one piece of work on its text.
template <class Parsed>
class RouteJob : public TextJob {
 public:
  using Work = HttpResponse (*)(const Intake&, const Parsed&);
  RouteJob(const Tenant& tenant, Time deadline, const Intake* intake, Parsed parsed, Work work,
           std::shared_ptr<ResponseWriter> writer, std::shared_ptr<MemoryShare> memory)
      : TextJob(tenant, deadline),
        intake_(intake),
        parsed_(std::move(parsed)),
        work_(work),
        writer_(std::move(writer)),
        memory_(std::move(memory)) {}

  void run() override {
    HttpResponse response = work_(*intake_, parsed_);
    if (!is_work_cancelled()) answer(std::move(response));  // else it is half of one
  }

 private:
  void fail(const Status& why) override { answer(error_response(why)); }
  void answer(HttpResponse response) {
    if (!answered_.exchange(true)) writer_->send(std::move(response));
  }

  const Intake* const intake_;
  const Parsed parsed_;
  const Work work_;
  const std::shared_ptr<ResponseWriter> writer_;
  const std::shared_ptr<MemoryShare> memory_;  // charged for `parsed_`
  std::atomic<bool> answered_{false};
};

// Work that grows with the body belongs on the text pool, in a place of the queue like a generation.
template <class Parsed>
void on_text_pool(RouteContext* context, const HttpRequest& http, std::shared_ptr<ResponseWriter> writer,
                  Parsed parsed, typename RouteJob<Parsed>::Work work) {
  const Time deadline = deadline_of(context->config, 0, std::chrono::steady_clock::now());
  auto job =
      std::make_shared<RouteJob<Parsed>>(tenant_of(http, context->config, {}), deadline, context->intake,
                                         std::move(parsed), work, writer, http.memory);
  if (Status status = context->intake->work(job); !status.ok()) return job->give_up(status);
  writer->on_close([weak = std::weak_ptr<TextJob>(job)] {
    if (auto alive = weak.lock()) alive->cancel();
  });
}

}  // namespace

void add_tokenize_routes(HttpServer* http, RouteContext* context) {
  using Writer = std::shared_ptr<ResponseWriter>;
  auto on_tokenize = [context](const HttpRequest& asked, TokenizeRequest parsed, Writer writer) {
    Status status = context->intake->check_model_name(parsed.request.model);
    if (!status.ok()) return writer->send(error_response(status));
    on_text_pool(context, asked, std::move(writer), std::move(parsed), tokenize);
  };
  auto on_detokenize = [context](const HttpRequest& asked, DetokenizeRequest parsed, Writer writer) {
    Status status = context->intake->check_model_name(parsed.model);
    if (!status.ok()) return writer->send(error_response(status));
    on_text_pool(context, asked, std::move(writer), std::move(parsed), detokenize);
  };
  auto parse = [limits = context->config.limits](std::string_view body, MemoryShare* memory) {
    return parse_tokenize_request(body, limits, memory);
  };
  http->on("POST", "/tokenize",
           [=](HttpRequest request, Writer writer) {
             parse_body_then(context, std::move(request), std::move(writer), parse, on_tokenize);
           },
           {.check = check_content_type});
  http->on("POST", "/detokenize",
           [=](HttpRequest request, Writer writer) {
             parse_body_then(context, std::move(request), std::move(writer), parse_detokenize_request,
                             on_detokenize);
           },
           {.check = check_content_type});
}

}  // namespace pagoda
