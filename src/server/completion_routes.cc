#include "server/routes.h"

namespace pagoda {

// Chats and texts alike: the request is read, and a Generation answers it.
void add_completion_routes(HttpServer* http, RouteContext* context) {
  const auto add = [=](const char* path, auto parse_request, const AnswerFormat& format) {
    auto parse = [parse_request, limits = context->config.limits](std::string_view body,
                                                                  MemoryShare* memory) {
      return parse_request(body, limits, memory);
    };
    auto begin = [context, &format](const HttpRequest& asked, ParsedRequest request,
                                    std::shared_ptr<ResponseWriter> writer) {
      Generation::begin(context, asked, std::move(request), format, std::move(writer));
    };
    auto on_request = [=](HttpRequest request, std::shared_ptr<ResponseWriter> writer) {
      parse_body_then(context, std::move(request), std::move(writer), parse, begin);
    };
    http->on("POST", path, on_request, {.check = check_content_type});
  };
  add("/v1/chat/completions", parse_chat_request, chat_format());
  add("/v1/completions", parse_completion_request, completion_format());
}

}  // namespace pagoda
