#include "openai/api_error.h"

#include <gtest/gtest.h>

namespace pagoda {
namespace {

TEST(ApiError, EveryStatusHasItsHttpStatus) {
  struct Case {
    StatusCode code;
    int http_status;
    const char* type;
  } cases[] = {{StatusCode::kInvalidArgument, 400, "BadRequestError"},
               {StatusCode::kUnauthenticated, 401, "AuthenticationError"},
               {StatusCode::kNotFound, 404, "NotFoundError"},
               {StatusCode::kTooLarge, 413, "PayloadTooLargeError"},
               {StatusCode::kUnimplemented, 501, "NotImplementedError"},
               {StatusCode::kExhausted, 503, "ServiceUnavailableError"},
               {StatusCode::kUnavailable, 503, "ServiceUnavailableError"},
               {StatusCode::kIo, 500, "InternalServerError"},
               {StatusCode::kInternal, 500, "InternalServerError"}};
  for (const Case& c : cases) {
    ApiError error = to_api_error(Status(c.code, "said", "field"));
    EXPECT_EQ(error.http_status, c.http_status);
    EXPECT_EQ(error.type, c.type);
    EXPECT_EQ(error.message == "said", c.http_status != 500) << "internal texts stay inside";
    EXPECT_EQ(error.retry_after_s > 0, c.http_status == 503);
  }
}

TEST(ApiError, WhatDoesNotFitTheSchemaHasATypeOfItsOwn) {
  const std::pair<const char*, const char*> cases[] = {
      {"body", "Bad Request"},       {"body.n", "Bad Request"},
      {"query.mode", "Bad Request"}, {"temperature", "BadRequestError"},
      {"", "BadRequestError"},       {"bodywork", "BadRequestError"},
  };
  for (const auto& [param, type] : cases)
    EXPECT_EQ(to_api_error(invalid_argument("said", param)).type, type) << param;
}

}  // namespace
}  // namespace pagoda
