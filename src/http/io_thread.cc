#include "http/io_thread.h"

#include <boost/asio/post.hpp>
#include <exception>
#include <utility>

#include "base/log.h"

namespace pagoda {

namespace asio = boost::asio;

IoThread::IoThread() : context_(1), guard_(asio::make_work_guard(context_)) {}
IoThread::~IoThread() {
  join();
}

void IoThread::start() {
  thread_ = std::thread([this] { run(); });
}

void IoThread::run() {
  for (;;) {
    try {
      context_.run();
      return;
    } catch (const std::exception& e) {
      log_error("A task of an HTTP I/O thread failed: {}", e.what());
    }
  }
}

bool IoThread::post(std::function<void()> task) {
  std::lock_guard lock(mutex_);
  if (!stopped_) asio::post(context_, std::move(task));
  return !stopped_;
}

bool IoThread::run_here(std::function<void()> task) {
  if (!context_.get_executor().running_in_this_thread()) return post(std::move(task));
  task();
  return true;
}

void IoThread::join() {
  guard_.reset();
  if (thread_.joinable()) thread_.join();
  {
    std::lock_guard lock(mutex_);
    if (stopped_) return;
    stopped_ = true;
  }
  // Tasks that came between the loop's end and the flag: they find closed connections.
  context_.restart();
  run();
}

}  // namespace pagoda
