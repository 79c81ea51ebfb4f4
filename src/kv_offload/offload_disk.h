// The offload disk: blocks of the cache as files, written and read by a thread of its own while steps
// run. FOLDER/root.key seeds the names of blocks, so that they mean the same after a restart;
// FOLDER/v<format>-<fingerprint>/ holds the blocks of one model and cache layout, by one process at a time.
// Files are not trusted: read_offload_file checks them. A full or failing disk
// costs blocks, nothing more.
#pragma once
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "base/hash.h"
#include "base/status.h"
#include "contract/kv_offload.h"

namespace pagoda {

// A folder for this user alone, if there is none of this name. Error kIo.
Status make_private_folder(const std::string& path);

struct OffloadDiskConfig {
  std::string path;     // made if it is not there
  Hash128 fingerprint;  // of all that decides what a block's bytes mean
  uint64_t page_bytes = 0;
  int32_t num_groups = 0;
  int64_t max_files = 0;  // more of them are removed at the start, the oldest first
};

class OffloadDisk {
 public:
  // Takes the lock and looks at the names and sizes of what is there. Errors: kIo; kUnavailable where another
  // process holds the folder.
  static Result<std::unique_ptr<OffloadDisk>> open(const OffloadDiskConfig& config);
  // Writes what waits to be written, for no more than a few seconds.
  ~OffloadDisk();
  OffloadDisk(const OffloadDisk&) = delete;
  OffloadDisk& operator=(const OffloadDisk&) = delete;

  const std::string& seed() const { return seed_; }  // 64 hexadecimal digits; PrefixCacheConfig::hash_seed
  std::span<const OffloadFile> files() const { return files_; }  // at the start, in LRU order

  // kSpill, kFetch, kDrop. `slot`: the bytes to be written or filled, left alone until the move has ended.
  void begin(const OffloadMove& move, std::span<std::byte> slot);
  // Appends the spills and fetches that have ended since the last call.
  void take_ended(std::vector<OffloadMoveEnd>* ended);
  // Before the first begin(): `wake` is called on the disk's thread after each end.
  void on_move_end(std::function<void()> wake) { wake_ = std::move(wake); }

  bool is_busy();  // spills or fetches are under way

 private:
  struct Job {
    OffloadMove move;
    std::span<std::byte> slot;
  };
  OffloadDisk(const OffloadDiskConfig& config, int lock);
  Status scan();
  void loop();
  void run(const Job& job) noexcept;
  void carry_out(const Job& job);
  void end_move(const OffloadMove& move, bool ok);
  void remove_all() const;
  void log_throttled(const Status& status);
  std::string file_name(const BlockKey& key, int32_t group) const;

  const OffloadDiskConfig config_;
  const std::string folder_;  // of this fingerprint
  const int lock_;            // file descriptor
  std::string seed_;
  std::vector<OffloadFile> files_;

  std::mutex mutex_;
  std::condition_variable work_;
  std::deque<Job> fetches_, writes_;  // sequences wait for fetches: they go first
  std::vector<OffloadMoveEnd> ended_;
  int num_under_way_ = 0;  // spills and fetches
  bool stop_ = false;
  std::chrono::steady_clock::time_point stop_by_;

  // The thread's own.
  std::function<void()> wake_;
  uint64_t num_failures_ = 0;
  std::chrono::steady_clock::time_point next_log_{};
  std::thread thread_;
};

}  // namespace pagoda
