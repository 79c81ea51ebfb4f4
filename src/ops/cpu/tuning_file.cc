#include "ops/cpu/tuning_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "base/json.h"
#include "base/mmap.h"

namespace pagoda {
namespace {

Result<TuningFile> parse(const std::string& text) {
  PAGODA_TRY(Value value, parse_json(text));
  const Value *made_for = value.find("made_for"), *tuning = value.find("tuning");
  if (tuning == nullptr) return invalid_argument("there is no object 'tuning'");
  if (made_for != nullptr && !made_for->is_string()) return invalid_argument("'made_for' must be a string");
  PAGODA_TRY(CpuTuning read, tuning_of_value(*tuning));
  return TuningFile{made_for == nullptr ? "" : made_for->as_string(), read};
}

Status cannot_write(const std::string& path, int error) {
  return {StatusCode::kIo, "cannot write '" + path + "': " + std::strerror(error)};
}

}  // namespace

Result<TuningFile> read_tuning_file(const std::string& path) {
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (!std::filesystem::exists(status)) return not_found("there is no file '" + path + "'");
  if (!std::filesystem::is_regular_file(status)) return invalid_argument("'" + path + "' is not a file");
  PAGODA_TRY(std::string text, read_file(path, 1 << 16));
  Result<TuningFile> file = parse(text);
  if (!file.ok()) return std::move(file.status()).with_context("'" + path + "'");
  return file;
}

Status write_tuning_file(const std::string& path, const TuningFile& file) {
  Object object;
  object.append("made_for", file.made_for);
  object.append("tuning", tuning_to_value(file.tuning));
  const std::string text = write_json(Value(std::move(object)), {.indent = 1}) + "\n";
  std::error_code error;
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), error);  // shows below
  const std::string temporary = path + ".tmp." + std::to_string(::getpid());
  const int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
  if (fd < 0) return cannot_write(temporary, errno);
  errno = 0;
  const bool written = ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  const int write_error = errno;
  const bool closed = ::close(fd) == 0;
  if (written && closed && ::rename(temporary.c_str(), path.c_str()) == 0) return {};
  const int failure = written ? errno : write_error;
  ::unlink(temporary.c_str());
  return cannot_write(path, failure);
}

}  // namespace pagoda
