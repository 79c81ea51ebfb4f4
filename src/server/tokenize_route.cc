#include "base/utf8.h"
#include "openai/responses.h"
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
  http->on("POST", "/tokenize", [context](HttpRequest request, std::shared_ptr<ResponseWriter> writer) {
    if (auto refusal = check_content_type(request)) return writer->send(std::move(*refusal));
    auto parsed = parse_tokenize_request(request.body, context->config.limits);
    Status status = parsed.status();
    if (status.ok()) status = context->intake->check_model_name(parsed->request.model);
    if (!status.ok()) return writer->send(body_error_response(request, status));
    on_text_pool(context, std::move(writer), [intake = context->intake, parsed = std::move(*parsed)] {
      return tokenize(*intake, parsed);
    });
  });
  http->on("POST", "/detokenize", [context](HttpRequest request, std::shared_ptr<ResponseWriter> writer) {
    if (auto refusal = check_content_type(request)) return writer->send(std::move(*refusal));
    auto parsed = parse_detokenize_request(request.body);
    Status status = parsed.status();
    if (status.ok()) status = context->intake->check_model_name(parsed->model);
    if (!status.ok()) return writer->send(body_error_response(request, status));
    on_text_pool(context, std::move(writer), [intake = context->intake, parsed = std::move(*parsed)] {
      auto text = intake->detokenize(parsed.tokens);
      return text.ok() ? json_response(write_detokenize_response(*text)) : error_response(text.status());
    });
  });
}

}  // namespace pagoda
