#pragma once
#include <memory>
#include <string>
#include <utility>

#include "server/client.h"
#include "server/reply.h"
#include "server/routes.h"

namespace pagoda {

// A body up to this size is understood in well under a millisecond.
inline constexpr std::size_t kBodyParsedAtOnce = 64 * 1024;

// parse(body) gives a Result; next(request, value, writer) goes on with it on the connection's thread, an
// error is answered. A large body is parsed on the text pool: an I/O thread has others to serve. Requires:
// `parse` holds nothing of the server, which may have ended by then.
template <class Parse, class Next>
void parse_body_then(RouteContext* context, HttpRequest request, std::shared_ptr<ResponseWriter> writer,
                     Parse parse, Next next) {
  if (request.body.size() <= kBodyParsedAtOnce) {
    auto parsed = parse(request.body);
    if (!parsed.ok()) return writer->send(body_error_response(request, parsed.status()));
    return next(request, std::move(*parsed), std::move(writer));
  }
  const uint64_t turn = tenant_of(request, context->config, {}).key;
  auto kept = std::make_shared<HttpRequest>(std::move(request));
  auto work = [kept, writer, parse = std::move(parse), next = std::move(next)] {
    if (writer->closed()) return;
    auto parsed = parse(kept->body);
    if (!parsed.ok()) return writer->send(body_error_response(*kept, parsed.status()));
    std::string().swap(kept->body);
    auto value = std::make_shared<decltype(parsed)>(std::move(parsed));
    writer->post([kept, writer, value, next] { next(*kept, std::move(**value), writer); });
  };
  auto failed = [writer](const Status& why) { writer->send(error_response(why)); };
  Status status = context->intake->text_pool()->submit(std::move(work), std::move(failed), turn);
  if (!status.ok()) writer->send(error_response(status));
}

}  // namespace pagoda
