#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <unordered_map>
#include <utility>

#include "base/hash.h"
#include "base/status.h"
#include "base/value.h"

namespace pagoda {

// Reads the members of a JSON object one after the other. The first error sticks, and after it every member
// counts as absent, so that a parser is a list of reads with one check at its end. Which values a member
// takes, and the words of errors, are its user's. Members: Object, whose values may be moved out, or const
// Object.
template <class Members>
class ObjectReader {
 public:
  using Found = std::conditional_t<std::is_const_v<Members>, const Value, Value>;

  // members: outlive this; null: there are none. where: the object's place in the document; empty: the whole
  // of it.
  ObjectReader(Members* members, std::string where) : members_(members), where_(std::move(where)) {
    constexpr std::size_t kIndexedMembers = 48;  // Object::find() is linear
    if (members_ == nullptr || members_->size() <= kIndexedMembers) return;
    index_.reserve(members_->size());
    for (auto& member : *members_) index_.emplace(member.key, &member.value);
  }

  // nullptr: it is not there, or an error has been met.
  Found* find(std::string_view name) const {
    if (!ok() || members_ == nullptr) return nullptr;
    if (index_.empty()) return members_->find(name);
    const auto found = index_.find(name);
    return found == index_.end() ? nullptr : found->second;
  }
  // As find(); null counts as absent.
  Found* get(std::string_view name) const {
    Found* value = find(name);
    return value != nullptr && value->is_null() ? nullptr : value;
  }
  // "where.name"
  std::string location(std::string_view name) const {
    return where_.empty() ? std::string(name) : where_ + "." + std::string(name);
  }

  // Keeps the first.
  void fail(Status error) {
    if (ok()) status_ = std::move(error);
  }
  bool ok() const { return status_.ok(); }
  const Status& status() const { return status_; }
  const Members* members() const { return members_; }

 private:
  Members* members_;
  std::string where_;
  Status status_;
  std::unordered_map<std::string_view, Found*, KeyHash> index_;  // of large objects
};

}  // namespace pagoda
