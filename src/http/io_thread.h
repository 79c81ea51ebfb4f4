// One I/O thread with its event loop. A connection lives on one of them for good, which is why its work needs
// no locks. Writers outlive servers: they hold the loop, and what they hand in after stop() is dropped.
// Internal to this room.
#pragma once
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <unordered_set>

namespace pagoda {

class Connection;

class IoThread {
 public:
  IoThread();
  ~IoThread();
  void start();
  // Any thread. False, and the task is not kept, after stop().
  bool post(std::function<void()> task);
  // As post(), but runs the task at once when called on this thread.
  bool run_here(std::function<void()> task);
  // Waits until all work is done: the caller has seen to it that connections and timers end.
  void join();

  boost::asio::io_context& context() { return context_; }
  // On this thread only.
  std::unordered_set<Connection*>& connections() { return connections_; }

 private:
  void run();

  boost::asio::io_context context_;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> guard_;
  std::unordered_set<Connection*> connections_;
  std::thread thread_;
  std::mutex mutex_;
  bool stopped_ = false;  // under mutex_
};

}  // namespace pagoda
