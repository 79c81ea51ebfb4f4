// TLS, with certificates made here; the client side is OpenSSL's own, so that both ends are not ours.
#include <gtest/gtest.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>

#include "http/client.h"
#include "http/server.h"
#include "tests/http/raw_client.h"

namespace pagoda {
namespace {

// A self-signed certificate for localhost and its key.
void write_certificate(const std::string& certfile, const std::string& keyfile,
                       const char* pass_phrase = nullptr, bool rsa = false) {
  EVP_PKEY* key = rsa ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256");
  X509* certificate = X509_new();
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate), -60);
  X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
  X509_set_pubkey(certificate, key);
  X509_NAME* name = X509_get_subject_name(certificate);
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>("localhost"),
                             -1, -1, 0);
  X509_set_issuer_name(certificate, name);
  X509_sign(certificate, key, EVP_sha256());
  std::FILE* file = std::fopen(certfile.c_str(), "w");
  PEM_write_X509(file, certificate);
  std::fclose(file);
  file = std::fopen(keyfile.c_str(), "w");
  PEM_write_PrivateKey(file, key, pass_phrase ? EVP_aes_128_cbc() : nullptr, nullptr, 0, nullptr,
                       const_cast<char*>(pass_phrase));
  std::fclose(file);
  X509_free(certificate);
  EVP_PKEY_free(key);
}

class Tls : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/http_tls_XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    dir_ = name;
    write_certificate(path("cert.pem"), path("key.pem"));
    write_certificate(path("client.pem"), path("client_key.pem"));
    write_certificate(path("locked.pem"), path("locked_key.pem"), "secret");
    std::ofstream(path("text.pem")) << "no certificate\n";
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }
  std::string path(const std::string& name) const { return dir_ + "/" + name; }
  HttpServerConfig config() const {
    HttpServerConfig out = local_config();
    out.tls.certfile = path("cert.pem");
    out.tls.keyfile = path("key.pem");
    return out;
  }

  std::string dir_;
};

struct TlsAsk {
  int max_version = 0;  // 0: OpenSSL's own
  std::string certfile, keyfile;
  std::string protocol;  // ALPN
  std::string ciphers;   // of TLS 1.2
};

// What the server answers until it closes; empty if there is no TLS to be had.
std::string ask_over_tls(int port, const std::string& request, const TlsAsk& ask = {}) {
  SSL_CTX* context = SSL_CTX_new(TLS_client_method());
  if (ask.max_version != 0) {
    SSL_CTX_set_security_level(context, 0);
    SSL_CTX_set_min_proto_version(context, TLS1_VERSION);
    SSL_CTX_set_max_proto_version(context, ask.max_version);
  }
  if (!ask.ciphers.empty()) SSL_CTX_set_cipher_list(context, ask.ciphers.c_str());
  if (!ask.certfile.empty()) {
    SSL_CTX_use_certificate_chain_file(context, ask.certfile.c_str());
    SSL_CTX_use_PrivateKey_file(context, ask.keyfile.c_str(), SSL_FILETYPE_PEM);
  }
  if (ask.protocol == "http/1.1")
    SSL_CTX_set_alpn_protos(context, reinterpret_cast<const unsigned char*>("\x02h2\x08http/1.1"), 12);
  BIO* bio = BIO_new_ssl_connect(context);
  BIO_set_conn_hostname(bio, ("127.0.0.1:" + std::to_string(port)).c_str());
  std::string out;
  if (BIO_do_handshake(bio) == 1) {
    SSL* ssl = nullptr;
    BIO_get_ssl(bio, &ssl);
    const unsigned char* chosen = nullptr;
    unsigned size = 0;
    SSL_get0_alpn_selected(ssl, &chosen, &size);
    EXPECT_EQ(std::string(reinterpret_cast<const char*>(chosen), size), ask.protocol);
    BIO_write(bio, request.data(), static_cast<int>(request.size()));
    char buffer[4096];
    int n;
    while ((n = BIO_read(bio, buffer, sizeof(buffer))) > 0) out.append(buffer, static_cast<std::size_t>(n));
    if (!out.empty()) {
      EXPECT_EQ(SSL_get_shutdown(ssl) & SSL_RECEIVED_SHUTDOWN, SSL_RECEIVED_SHUTDOWN)
          << "an end without close_notify could be an attacker's";
    }
  }
  BIO_free_all(bio);
  SSL_CTX_free(context);
  ERR_clear_error();
  return out;
}

const std::string kCloseGet = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

TEST_F(Tls, ServesRequestsStreamsAndBodies) {
  auto server = make_server(config());
  server->on("GET", "/stream", [](HttpRequest, std::shared_ptr<ResponseWriter> writer) {
    writer->start_stream(200, "text/plain", {});
    for (int i = 0; i < 100; ++i) writer->write(std::string(1000, 'x'));
    writer->finish();
  });
  start(server.get());
  EXPECT_EQ(body_of(ask_over_tls(server->port(), kCloseGet)), "hello");
  std::string stream = ask_over_tls(server->port(), "GET /stream HTTP/1.0\r\n\r\n");
  EXPECT_EQ(body_of(stream), std::string(100000, 'x'));
  std::string body(300000, 'y');
  std::string echo =
      "POST /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 300000\r\n\r\n" + body;
  EXPECT_EQ(body_of(ask_over_tls(server->port(), echo)), body);
  EXPECT_EQ(status_of(ask_over_tls(server->port(), "GET / HTTP/1.1\r\n\r\n")), 400);
  TlsAsk http11;
  http11.protocol = "http/1.1";
  EXPECT_EQ(body_of(ask_over_tls(server->port(), kCloseGet, http11)), "hello");
  EXPECT_TRUE(eventually([&] { return server->num_connections() == 0; }));
}

TEST_F(Tls, RefusesOldVersionsPlainTextAndSilence) {
  HttpServerConfig quick = config();
  quick.header_timeout_s = 0.3;
  auto server = make_server(quick);
  start(server.get());
  TlsAsk old;
  old.max_version = TLS1_1_VERSION;
  EXPECT_EQ(ask_over_tls(server->port(), kCloseGet, old), "");
  old.max_version = TLS1_2_VERSION;
  EXPECT_EQ(body_of(ask_over_tls(server->port(), kCloseGet, old)), "hello");
  RawClient plain(server->port()), silent(server->port());
  plain.send(kCloseGet);
  EXPECT_EQ(plain.read_all().find("HTTP"), std::string::npos);
  EXPECT_EQ(silent.read_all(), "");
  EXPECT_TRUE(plain.eof() && silent.eof());
}

TEST_F(Tls, KeepsSecretsForwardUnlessToldOtherwise) {
  write_certificate(path("rsa.pem"), path("rsa_key.pem"), nullptr, true);
  HttpServerConfig safe = local_config();
  safe.tls.certfile = path("rsa.pem");
  safe.tls.keyfile = path("rsa_key.pem");
  HttpServerConfig told = safe;
  told.tls.ciphers = "AES128-SHA:ECDHE-RSA-AES128-SHA";
  auto server = make_server(safe), told_server = make_server(told);
  start(server.get());
  start(told_server.get());
  const struct {
    const char* cipher;
    bool by_default, when_told;
  } cases[] = {
      {"AES128-SHA", false, true},
      {"AES256-GCM-SHA384", false, false},
      {"ECDHE-RSA-AES128-SHA", false, true},
      {"ECDHE-RSA-AES128-GCM-SHA256", true, false},
      {"ECDHE-RSA-AES256-GCM-SHA384", true, false},
      {"ECDHE-RSA-CHACHA20-POLY1305", true, false},
  };
  for (const auto& one : cases) {
    SCOPED_TRACE(one.cipher);
    TlsAsk ask;
    ask.max_version = TLS1_2_VERSION;
    ask.ciphers = one.cipher;
    EXPECT_EQ(body_of(ask_over_tls(server->port(), kCloseGet, ask)), one.by_default ? "hello" : "");
    EXPECT_EQ(body_of(ask_over_tls(told_server->port(), kCloseGet, ask)), one.when_told ? "hello" : "");
  }
}

TEST_F(Tls, AsksForClientCertificates) {
  HttpServerConfig strict = config();
  strict.tls.ca_certs = path("client.pem");
  strict.tls.cert_reqs = 2;
  auto server = make_server(strict);
  start(server.get());
  TlsAsk known;
  known.certfile = path("client.pem");
  known.keyfile = path("client_key.pem");
  EXPECT_EQ(body_of(ask_over_tls(server->port(), kCloseGet, known)), "hello");
  EXPECT_EQ(ask_over_tls(server->port(), kCloseGet), "") << "none";
  TlsAsk unknown;
  unknown.certfile = path("cert.pem");
  unknown.keyfile = path("key.pem");
  EXPECT_EQ(ask_over_tls(server->port(), kCloseGet, unknown), "");
}

TEST_F(Tls, OurClientDistrustsASelfSignedCertificate) {
  auto server = make_server(config());
  start(server.get());
  ClientRequest request;
  request.url = "https://127.0.0.1:" + std::to_string(server->port()) + "/";
  auto answer = http_request(request);
  ASSERT_FALSE(answer.ok());
  EXPECT_NE(answer.status().message().find("certificate verify failed"), std::string::npos)
      << answer.status().message();
}

TEST_F(Tls, NamesTheFileAtFault) {
  struct Case {
    std::string certfile, keyfile, ca_certs, ciphers;
    int cert_reqs;
    std::string param, said;
  };
  const std::string cert = path("cert.pem"), key = path("key.pem"), text_file = path("text.pem"),
                    gone = path("gone.pem");
  const Case cases[] = {
      {gone, key, "", "", 0, "ssl_certfile", gone},
      {text_file, key, "", "", 0, "ssl_certfile", text_file},
      {cert, gone, "", "", 0, "ssl_keyfile", gone},
      {cert, text_file, "", "", 0, "ssl_keyfile", text_file},
      {cert, "", "", "", 0, "ssl_keyfile", cert},
      {cert, path("client_key.pem"), "", "", 0, "ssl_keyfile", "client_key.pem"},
      {path("locked.pem"), path("locked_key.pem"), "", "", 0, "ssl_keyfile", "pass phrase"},
      {cert, key, gone, "", 1, "ssl_ca_certs", gone},
      {cert, key, "", "", 2, "ssl_ca_certs", "ssl_ca_certs"},
      {cert, key, "", "", 7, "ssl_cert_reqs", "required"},
      {cert, key, "", "NO-SUCH-CIPHER", 0, "ssl_ciphers", "NO-SUCH-CIPHER"},
      {cert, key, "", "NULL", 0, "ssl_ciphers", "both encrypts"},
      {cert, key, "", "aNULL", 0, "ssl_ciphers", "both encrypts"},
      {"", key, "", "", 0, "ssl_certfile", "certificate"},
  };
  for (const Case& one : cases) {
    HttpServerConfig wrong = local_config();
    wrong.tls = {one.certfile, one.keyfile, one.ca_certs, one.ciphers, one.cert_reqs};
    HttpServer server(wrong);
    Status status = server.bind();
    ASSERT_FALSE(status.ok()) << one.said;
    EXPECT_EQ(status.param(), one.param) << status.message();
    EXPECT_NE(status.message().find(one.said), std::string::npos) << status.message();
  }
}

}  // namespace
}  // namespace pagoda
