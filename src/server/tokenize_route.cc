#include "base/utf8.h"
#include "openai/responses.h"
#include "server/parse_body.h"
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
  if (parsed.return_token_strs)
    for (TokenId id : *tokens) answer.token_strings.emplace_back(intake.model().tokenizer->id_to_token(id));
  answer.tokens = std::move(*tokens);
  return json_response(write_tokenize_response(answer));
}

// Work that grows with the body belongs on the text pool.
template <class Work>
void on_text_pool(RouteContext* context, std::shared_ptr<ResponseWriter> writer, Work work) {
  Status status =
      context->intake->text_pool()->submit([writer, work = std::move(work)] { writer->send(work()); });
  if (!status.ok()) writer->send(error_response(status));
}

}  // namespace

void add_tokenize_routes(HttpServer* http, RouteContext* context) {
  using Writer = std::shared_ptr<ResponseWriter>;
  auto on_tokenize = [context](const HttpRequest& asked, TokenizeRequest parsed, Writer writer) {
    Status status = context->intake->check_model_name(parsed.request.model);
    if (!status.ok()) return writer->send(error_response(status));
    on_text_pool(context, std::move(writer),
                 [intake = context->intake, share = asked.body_share, parsed = std::move(parsed)] {
                   return tokenize(*intake, parsed);
                 });
  };
  auto on_detokenize = [context](const HttpRequest& asked, DetokenizeRequest parsed, Writer writer) {
    Status status = context->intake->check_model_name(parsed.model);
    if (!status.ok()) return writer->send(error_response(status));
    on_text_pool(context, std::move(writer),
                 [intake = context->intake, share = asked.body_share, parsed = std::move(parsed)] {
                   auto text = intake->detokenize(parsed.tokens);
                   return text.ok() ? json_response(write_detokenize_response(*text))
                                    : error_response(text.status());
                 });
  };
  auto parse = [limits = context->config.limits](std::string_view body) {
    return parse_tokenize_request(body, limits);
  };
  http->on("POST", "/tokenize",
           [=](HttpRequest request, Writer writer) {
             parse_body_then(context, std::move(request), std::move(writer), parse, on_tokenize);
           },
           {.judge = check_content_type});
  http->on("POST", "/detokenize",
           [=](HttpRequest request, Writer writer) {
             parse_body_then(context, std::move(request), std::move(writer), parse_detokenize_request,
                             on_detokenize);
           },
           {.judge = check_content_type});
}

}  // namespace pagoda
