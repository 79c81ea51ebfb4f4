#include "openai/responses.h"
#include "server/reply.h"
#include "server/routes.h"

namespace pagoda {
namespace {

constexpr std::string_view kPrefix = "/v1/models/";

ModelCard card(const ModelInfo& model, const std::string& name) {
  return {name, model.root, model.created, model.max_model_len};
}

HttpResponse one_model(const Intake& intake, const std::string& name) {
  if (Status status = intake.check_model_name(name); !status.ok()) return error_response(status);
  return json_response(write_model(card(intake.model(), name)));
}

}  // namespace

void add_models_routes(HttpServer* http, RouteContext* context) {
  http->on("GET", "/v1/models", [context](HttpRequest, std::shared_ptr<ResponseWriter> writer) {
    const ModelInfo& model = context->intake->model();
    std::vector<ModelCard> cards;
    for (const std::string& name : model.served_names) cards.push_back(card(model, name));
    writer->send(json_response(write_models(cards)));
  });
  // The rest of the path is the name: it may hold slashes.
  http->on("GET", std::string(kPrefix) + "*",
           [context](HttpRequest request, std::shared_ptr<ResponseWriter> writer) {
             writer->send(one_model(*context->intake, request.path.substr(kPrefix.size())));
           });
}

}  // namespace pagoda
