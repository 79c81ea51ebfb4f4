#pragma once
#include <string>

#include "base/hash.h"
#include "weights/checkpoint.h"

namespace pagoda {

// The hash of all names, types, shapes and numbers of a checkpoint whose numbers lie in files or memory. With
// a `shortcut_folder` (or ""), it is noted there under the files' inodes, sizes and times, and next time read
// from the note instead of from all the numbers; but for files that changed within the last
// `settled_seconds`, whose times may not tell of a change that follows.
Hash128 content_key(const Checkpoint& checkpoint, const std::string& shortcut_folder, ComputePool& pool,
                    int64_t settled_seconds = 60);

}  // namespace pagoda
