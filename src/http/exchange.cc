#include "http/exchange.h"

#include <exception>
#include <mutex>
#include <utility>

#include "base/log.h"
#include "base/memory_reserve.h"

namespace pagoda {

Exchange::Exchange(std::shared_ptr<Connection> connection, AnswerFrame frame)
    : connection_(std::move(connection)), frame_(std::move(frame)) {}

Exchange::~Exchange() {
  const bool ended = insist([this] {
    bool unanswered;
    {
      std::lock_guard lock(connection_->outbox().mutex);
      unanswered = state_ == State::kNew;
      if (state_ == State::kStreaming && !connection_->outbox().closed) {
        connection_->outbox().cut = true;
        connection_->wake_writer();
      }
    }
    if (unanswered) send(connection_->core().error(500, "Internal Server Error"));
  });
  if (!ended) log_error("The answer to a request could not be ended: there is no memory for it");
}

void Exchange::append(std::string&& bytes) {
  Outbox& box = connection_->outbox();
  box.unsent += bytes.size();
  if (box.pending.empty())
    box.pending = std::move(bytes);
  else
    box.pending += bytes;
}

void Exchange::complete(std::function<void()>* dropped) {
  state_ = State::kDone;
  connection_->outbox().complete = true;
  connection_->outbox().keep_alive.clear();
  connection_->outbox().on_writable = {};
  dropped->swap(connection_->outbox().on_close);
}

void Exchange::send(HttpResponse response) {
  std::function<void()> dropped;  // destroyed after the lock: it may hold the last reference to anything
  AnswerFrame frame = frame_;
  frame.close = frame.close || connection_->core().draining;
  const int status = response.status;
  std::string bytes = render_answer(std::move(response), frame);
  std::lock_guard lock(connection_->outbox().mutex);
  if (state_ != State::kNew) return;
  if (connection_->outbox().closed) {
    state_ = State::kDone;
    return;
  }
  append(std::move(bytes));
  connection_->outbox().started_status = status;
  complete(&dropped);
  connection_->wake_writer();
}

void Exchange::start_stream(int status, std::string content_type, HttpHeaders headers) {
  AnswerFrame frame = frame_;
  frame.close = frame.close || connection_->core().draining;
  std::string bytes = render_stream_head(status, content_type, headers, frame);
  const bool is_events = content_type.starts_with("text/event-stream");
  std::lock_guard lock(connection_->outbox().mutex);
  if (state_ != State::kNew) return;
  state_ = State::kStreaming;
  bodyless_ = frame_.head_only || !status_has_body(status);
  if (connection_->outbox().closed) return;
  append(std::move(bytes));
  connection_->outbox().started_status = status;
  if (!bodyless_ && connection_->core().config.sse_keep_alive_s > 0 && is_events) {
    constexpr std::string_view kComment = ": keep-alive\n\n";  // readers pass over it
    std::string& sign = connection_->outbox().keep_alive;
    if (frame_.close_delimited)
      sign = kComment;
    else
      append_chunk(&sign, kComment);
  }
  connection_->wake_writer();
}

void Exchange::write(std::string piece) {
  Outbox& box = connection_->outbox();
  std::lock_guard lock(box.mutex);
  if (state_ != State::kStreaming || box.closed || box.cut || bodyless_ || piece.empty()) return;
  std::size_t before = box.pending.size();
  try {
    if (frame_.close_delimited)
      box.pending += piece;
    else
      append_chunk(&box.pending, piece);
  } catch (...) {
    box.pending.resize(before);  // no half of a chunk
    throw;
  }
  // One piece may be larger than what may wait: only the next one shows that nothing is taken.
  const bool is_slow = box.unsent > connection_->core().config.write_buffer_max;
  box.unsent += box.pending.size() - before;
  if (is_slow) {
    box.cut = true;
    log_warning("A client takes its stream too slowly: {} bytes wait; it is cut off", box.unsent);
  }
  connection_->wake_writer();
}

void Exchange::finish() {
  std::function<void()> dropped;
  Outbox& box = connection_->outbox();
  std::lock_guard lock(box.mutex);
  if (state_ != State::kStreaming) return;
  if (box.closed || box.cut) {
    state_ = State::kDone;
    return;
  }
  if (!bodyless_ && !frame_.close_delimited) append("0\r\n\r\n");
  complete(&dropped);
  connection_->wake_writer();
}

void Exchange::post(std::function<void()> task) {
  connection_->io().post([keep = connection_, task = std::move(task)] {
    try {
      task();
    } catch (const std::exception& e) {
      log_error("A posted HTTP task failed: {}", e.what());
    }
  });
}

void Exchange::on_close(std::function<void()> callback) {
  Outbox& box = connection_->outbox();
  {
    std::lock_guard lock(box.mutex);
    if (state_ == State::kDone) return;
    if (!box.closed) {
      box.on_close.swap(callback);
      return;
    }
  }
  if (!connection_->io().run_here(callback)) callback();
}

bool Exchange::closed() const {
  std::lock_guard lock(connection_->outbox().mutex);
  return connection_->outbox().closed || connection_->outbox().cut;
}

bool Exchange::writable(std::function<void()> when) {
  Outbox& box = connection_->outbox();
  std::lock_guard lock(box.mutex);
  if (box.unsent <= connection_->core().config.write_buffer_max / 2) return true;
  box.on_writable = std::move(when);
  return false;
}

}  // namespace pagoda
