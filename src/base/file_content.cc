#include "base/file_content.h"

#include <algorithm>

namespace pagoda {
namespace {

// As ASCII, whatever the case of its letters.
bool begins_with(std::string_view text, std::string_view lower) {
  auto same = [](char a, char b) { return a == (b >= 'A' && b <= 'Z' ? b - 'A' + 'a' : b); };
  return text.size() >= lower.size() && std::equal(lower.begin(), lower.end(), text.begin(), same);
}

}  // namespace

Status check_content(std::string_view bytes, const std::string& path) {
  const std::string file = "'" + path + "' ";
  if (bytes.empty())
    return invalid_argument(file + "is empty: its download broke off, or was never begun; fetch it again");
  // https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md
  for (std::string_view spec :
       {"version https://git-lfs.github.com/spec/", "version https://hawser.github.com/spec/"})
    if (bytes.starts_with(spec))
      return invalid_argument(file +
                              "is a Git LFS pointer, not the file itself: run `git lfs install` and `git "
                              "lfs pull` in that folder, or download the file again");
  std::string_view page = bytes.substr(bytes.starts_with("\xEF\xBB\xBF") ? 3 : 0);
  page.remove_prefix(std::min(page.find_first_not_of(" \t\r\n"), page.size()));
  for (std::string_view tag : {"<!doctype html", "<html", "<head", "<?xml"})
    if (begins_with(page, tag))
      return invalid_argument(
          file +
          "is a web page, not the file itself: the server that was asked for it sent an error "
          "or a login page; download the file again");
  return {};
}

}  // namespace pagoda
