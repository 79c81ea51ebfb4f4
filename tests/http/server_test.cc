// The server as a whole: its limits, addresses, draining and stopping.
#include "http/server.h"

#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>

#include "http/client.h"
#include "tests/http/raw_client.h"

namespace pagoda {
namespace {

TEST(Server, DrainsWithoutLosingAnAnswer) {
  HttpServerConfig config = local_config();
  config.num_threads = 2;
  auto server = make_server(config);
  Held held;
  server->on("GET", "/hold", held.handler());
  start(server.get());
  RawClient busy(server->port()), idle(server->port()), half_head(server->port()), half_body(server->port());
  half_head.send("GET / HT");
  half_body.send("POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n");
  EXPECT_EQ(status_of(half_body.read_until("\r\n\r\n")), 100);
  half_body.send("half");
  idle.send(kGet);
  EXPECT_EQ(body_of(idle.read_answer()), "hello");
  busy.send("GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
  Writer writer = held.take();
  server->drain();
  idle.read_all();
  EXPECT_TRUE(idle.eof());
  for (RawClient* half : {&half_head, &half_body}) {
    std::string answer = half->read_until("later.\"}", 5000);
    EXPECT_EQ(status_of(answer), 503) << "it is not waited for";
    EXPECT_NE(answer.find("shutting down"), std::string::npos) << answer;
    half->close();
  }
  EXPECT_TRUE(eventually([&] { return !RawClient(server->port()).connected(); })) << "the port is closed";
  EXPECT_TRUE(eventually([&] { return server->num_connections() == 1; }));
  writer->send(text("whole"));
  std::string answer = busy.read_all();
  EXPECT_EQ(body_of(answer), "whole");
  EXPECT_NE(answer.find("connection: close"), std::string::npos) << answer;
  busy.close();
  EXPECT_TRUE(eventually([&] { return server->num_connections() == 0; }));
}

TEST(Server, WhatHasNoAnswerHearsThatItIsCutOff) {
  HttpServerConfig config = local_config();
  config.num_threads = 2;
  auto server = make_server(config);
  Held held[3];
  const char* const paths[] = {"/new", "/stream", "/answered"};
  for (int i = 0; i < 3; ++i) server->on("GET", paths[i], held[i].handler());
  start(server.get());
  RawClient fresh(server->port()), stream(server->port()), answered(server->port());
  RawClient* const clients[] = {&fresh, &stream, &answered};
  Writer writers[3];
  for (int i = 0; i < 3; ++i) {
    clients[i]->send("GET " + std::string(paths[i]) + " HTTP/1.1\r\nHost: a\r\n\r\n");
    writers[i] = held[i].take();
  }
  writers[1]->start_stream(200, "text/plain", {});
  writers[2]->send(text("whole"));
  EXPECT_EQ(body_of(answered.read_answer()), "whole");
  EXPECT_TRUE(eventually([&] { return server->num_requests() == 2; }));
  server->drain();
  server->cut_off(text("over", 503));
  EXPECT_EQ(body_of(fresh.read_answer()), "over");
  writers[0]->send(text("too late"));
  EXPECT_EQ(fresh.read_all(), "");
  EXPECT_TRUE(eventually([&] { return server->num_requests() == 1; }));
  writers[1]->write("end");
  writers[1]->finish();
  EXPECT_NE(stream.read_all().find("\r\n\r\n3\r\nend\r\n0\r\n"), std::string::npos);
  for (RawClient* client : clients) client->close();
  EXPECT_TRUE(eventually([&] { return server->num_connections() == 0; }));
}

TEST(Server, StopsUnderLoadAndWritersOutliveIt) {
  auto server = make_server(local_config());
  Held held;
  server->on("GET", "/hold", held.handler());
  start(server.get());
  RawClient client(server->port());
  client.send("GET /hold HTTP/1.1\r\nHost: a\r\n\r\n");
  Writer writer = held.take();
  std::atomic<int> calls{0};
  writer->on_close([&] { ++calls; });
  writer->start_stream(200, "text/plain", {});
  std::atomic<bool> done{false};
  std::thread producer([&] {
    while (!done) {
      writer->write("x");
      writer->post([] {});
    }
  });
  client.read_until("x");
  server->stop();
  server.reset();
  EXPECT_EQ(calls, 1);
  done = true;
  producer.join();
  writer->finish();
  EXPECT_TRUE(writer->closed());
  writer.reset();
}

TEST(Server, LeaksNoDescriptors) {
  int before = count_descriptors();
  {
    auto server = make_server(local_config());
    start(server.get());
    int running = count_descriptors();
    for (int i = 0; i < 1000; ++i) {
      RawClient client(server->port());
      if (i % 4 == 0) {
        client.send(kGet);
        EXPECT_EQ(body_of(client.read_answer()), "hello");
      }
      if (i % 4 == 1) client.send("nonsense\r\n");
      if (i % 4 == 2) client.send("GET / HT");
      if (i % 8 == 3) client.reset_on_close();
    }
    EXPECT_TRUE(eventually([&] { return server->num_connections() == 0 && count_descriptors() == running; }))
        << count_descriptors() << " descriptors, " << running << " before";
  }
  EXPECT_EQ(count_descriptors(), before);
}

TEST(Server, ATakenPortIsNamed) {
  auto first = make_server(local_config());
  start(first.get());
  HttpServerConfig config = local_config();
  config.port = first->port();
  HttpServer second(config);
  Status status = second.bind();
  EXPECT_EQ(status.code(), StatusCode::kIo);
  EXPECT_EQ(status.message(),
            "port " + std::to_string(config.port) + " is taken: choose another with --port");
  config.host = "";
  HttpServer everywhere(config);
  EXPECT_FALSE(everywhere.bind().ok());
  config.host = "203.0.113.7";
  HttpServer elsewhere(config);
  EXPECT_NE(elsewhere.bind().message().find("is not an address of this machine"), std::string::npos);
}

TEST(Server, AnEmptyHostMeansBothFamilies) {
  HttpServerConfig config = local_config();
  config.host = "";
  auto server = make_server(config);
  start(server.get());
  for (const char* host : {"127.0.0.1", "[::1]"}) {
    ClientRequest request;
    request.url = std::string("http://") + host + ":" + std::to_string(server->port()) + "/";
    auto answer = http_request(request);
    if (!answer.ok() && host[0] == '[') GTEST_SKIP() << "no IPv6 here: " << answer.status().message();
    ASSERT_TRUE(answer.ok()) << answer.status().message();
    EXPECT_EQ(answer->body, "hello");
  }
}

}  // namespace
}  // namespace pagoda
