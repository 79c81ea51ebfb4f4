#include <openssl/err.h>
#include <openssl/ssl.h>

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/host_name_verification.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <string_view>
#include <utility>

#include "base/mmap.h"
#include "http/byte_stream.h"

namespace pagoda {

namespace asio = boost::asio;
namespace ssl = boost::asio::ssl;

namespace {

// Of TLS 1.2; those of 1.3 are all of this kind. A stolen key reads nothing of what was said before, and no
// record can be changed unseen.
const std::string kForwardSecret = "ECDHE+AESGCM:ECDHE+CHACHA20";

class TlsStream final : public ByteStream {
 public:
  TlsStream(SocketHandle socket, ssl::context& context, ssl::stream_base::handshake_type side)
      : stream_(std::move(socket), context), side_(side) {}
  ~TlsStream() override { close(); }

  void verify_host(const std::string& host) {
    SSL_set_tlsext_host_name(stream_.native_handle(), host.c_str());
    stream_.set_verify_callback(ssl::host_name_verification(host));
  }
  asio::awaitable<void> handshake(error_code& ec) override {
    return stream_.async_handshake(side_, asio::redirect_error(asio::use_awaitable, ec));
  }
  asio::awaitable<std::size_t> read_some(asio::mutable_buffer buffer, error_code& ec) override {
    return stream_.async_read_some(buffer, asio::redirect_error(asio::use_awaitable, ec));
  }
  asio::awaitable<std::size_t> write_some(asio::const_buffer buffer, error_code& ec) override {
    return stream_.async_write_some(buffer, asio::redirect_error(asio::use_awaitable, ec));
  }
  asio::awaitable<void> finish_writing() override {
    error_code ignored;
    co_await stream_.async_shutdown(asio::redirect_error(asio::use_awaitable, ignored));
    stream_.next_layer().shutdown(SocketHandle::shutdown_send, ignored);
  }
  void close() override {
    error_code ignored;
    stream_.next_layer().close(ignored);
  }

 private:
  ssl::stream<SocketHandle> stream_;
  ssl::stream_base::handshake_type side_;
};

// HTTP/1.1 is all that is spoken here; a client that offers only other protocols goes on without ALPN.
int choose_protocol(SSL*, const unsigned char** out, unsigned char* out_size, const unsigned char* in,
                    unsigned in_size, void*) {
  static constexpr unsigned char kHttp11[] = "\x08http/1.1";
  unsigned char* chosen = nullptr;
  if (SSL_select_next_proto(&chosen, out_size, kHttp11, sizeof(kHttp11) - 1, in, in_size) !=
      OPENSSL_NPN_NEGOTIATED)
    return SSL_TLSEXT_ERR_NOACK;
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

Status file_error(const char* flag, const std::string& file, const char* what, const error_code& ec) {
  return invalid_argument("cannot use " + file + " as " + what + ": " + ec.message(), flag);
}

Result<std::string> read_pem(const char* flag, const std::string& file, const char* what) {
  constexpr std::size_t kPemBytesMax = std::size_t{4} << 20;
  Result<std::string> text = read_file(file, kPemBytesMax);
  if (text.ok()) return text;
  return invalid_argument("cannot use " + file + " as " + what + ": " + text.status().message(), flag);
}

Status load_files(ssl::context& context, const TlsConfig& config) {
  error_code ec;
  // A key with a pass phrase must fail here, not ask on the terminal of a service.
  context.set_password_callback([](std::size_t, ssl::context::password_purpose) { return std::string(); });
  constexpr const char *kCertificate = "the TLS certificate (PEM)",
                       *kKey = "the TLS private key (PEM, without a pass phrase)",
                       *kAuthorities = "the list of trusted certificates (PEM)";
  PAGODA_TRY(const std::string certificate, read_pem("ssl_certfile", config.certfile, kCertificate));
  context.use_certificate_chain(asio::buffer(certificate), ec);
  if (ec) return file_error("ssl_certfile", config.certfile, kCertificate, ec);
  const std::string& keyfile = config.keyfile.empty() ? config.certfile : config.keyfile;
  PAGODA_TRY(const std::string key, read_pem("ssl_keyfile", keyfile, kKey));
  context.use_private_key(asio::buffer(key), ssl::context::pem, ec);
  if (ec) return file_error("ssl_keyfile", keyfile, kKey, ec);
  if (SSL_CTX_check_private_key(context.native_handle()) != 1) {
    ERR_clear_error();
    return invalid_argument(
        "the private key " + keyfile + " does not belong to the certificate " + config.certfile,
        "ssl_keyfile");
  }
  if (!config.ca_certs.empty()) {
    PAGODA_TRY(const std::string authorities, read_pem("ssl_ca_certs", config.ca_certs, kAuthorities));
    context.add_certificate_authority(asio::buffer(authorities), ec);
    if (ec) return file_error("ssl_ca_certs", config.ca_certs, kAuthorities, ec);
  }
  return {};
}

// OpenSSL takes lists such as NULL too, whose ciphers no client could use: each cipher of TLS 1.2 must
// encrypt and name the peer. Those of TLS 1.3, which OpenSSL adds to every list, do not count.
Status set_ciphers(SSL_CTX* native, const std::string& ciphers) {
  const bool known = SSL_CTX_set_cipher_list(native, ciphers.c_str()) == 1;
  ERR_clear_error();
  if (!known) return invalid_argument("OpenSSL knows no cipher in \"" + ciphers + "\"", "ssl_ciphers");
  const STACK_OF(SSL_CIPHER)* list = SSL_CTX_get_ciphers(native);
  int usable = 0;
  for (int i = 0; i < sk_SSL_CIPHER_num(list); ++i) {
    const SSL_CIPHER* cipher = sk_SSL_CIPHER_value(list, i);
    if (std::string_view(SSL_CIPHER_get_version(cipher)) == "TLSv1.3") continue;
    usable +=
        SSL_CIPHER_get_cipher_nid(cipher) != NID_undef && SSL_CIPHER_get_auth_nid(cipher) != NID_auth_null;
  }
  if (usable > 0) return {};
  return invalid_argument("no cipher in \"" + ciphers + "\" both encrypts and authenticates", "ssl_ciphers");
}

}  // namespace

TlsContext::TlsContext(std::unique_ptr<ssl::context> context) : context_(std::move(context)) {}
TlsContext::~TlsContext() = default;

Result<std::shared_ptr<TlsContext>> TlsContext::for_server(const TlsConfig& config) try {
  auto context = std::make_unique<ssl::context>(ssl::context::tls_server);
  SSL_CTX* native = context->native_handle();
  SSL_CTX_set_min_proto_version(native, TLS1_2_VERSION);
  SSL_CTX_set_options(native, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_IGNORE_UNEXPECTED_EOF);
  SSL_CTX_set_mode(native, SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_alpn_select_cb(native, choose_protocol, nullptr);
  static constexpr unsigned char kSessionContext[] = "pagoda";
  SSL_CTX_set_session_id_context(native, kSessionContext, sizeof(kSessionContext) - 1);
  PAGODA_RETURN_IF_ERROR(load_files(*context, config));
  const std::string& ciphers = config.ciphers.empty() ? kForwardSecret : config.ciphers;
  PAGODA_RETURN_IF_ERROR(set_ciphers(native, ciphers));
  if (config.cert_reqs < 0 || config.cert_reqs > 2)
    return invalid_argument("ssl_cert_reqs is 0 (none), 1 (optional) or 2 (required)", "ssl_cert_reqs");
  if (config.cert_reqs > 0 && config.ca_certs.empty())
    return invalid_argument(
        "client certificates can only be checked against a list of trusted ones: give ssl_ca_certs",
        "ssl_ca_certs");
  ssl::verify_mode mode = ssl::verify_none;
  if (config.cert_reqs > 0) mode = ssl::verify_peer;
  if (config.cert_reqs == 2) mode |= ssl::verify_fail_if_no_peer_cert;
  context->set_verify_mode(mode);
  return std::make_shared<TlsContext>(std::move(context));
} catch (const std::exception& e) {
  return io_error(std::string("TLS could not be set up: ") + e.what());
}

Result<std::shared_ptr<TlsContext>> TlsContext::for_client() try {
  auto context = std::make_unique<ssl::context>(ssl::context::tls_client);
  SSL_CTX_set_min_proto_version(context->native_handle(), TLS1_2_VERSION);
  context->set_default_verify_paths();
  context->set_verify_mode(ssl::verify_peer);
  return std::make_shared<TlsContext>(std::move(context));
} catch (const std::exception& e) {
  return io_error(std::string("TLS could not be set up: ") + e.what());
}

std::unique_ptr<ByteStream> TlsContext::accept(SocketHandle socket) {
  return std::make_unique<TlsStream>(std::move(socket), *context_, ssl::stream_base::server);
}

std::unique_ptr<ByteStream> TlsContext::connect(SocketHandle socket, const std::string& host) {
  auto stream = std::make_unique<TlsStream>(std::move(socket), *context_, ssl::stream_base::client);
  stream->verify_host(host);
  return stream;
}

}  // namespace pagoda
