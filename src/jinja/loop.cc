#include "jinja/loop.h"

#include "jinja/arguments.h"
#include "jinja/eval.h"

namespace pagoda::jinja {
namespace {

class LoopMethod : public ObjectData {
 public:
  LoopMethod(std::shared_ptr<const LoopData> loop, bool cycle) : loop_(std::move(loop)), cycle_(cycle) {}
  const char* type_name() const override { return "method"; }
  PyValue call(Interpreter&, Arguments& arguments) const override {
    return cycle_ ? loop_->cycle(arguments) : loop_->changed(arguments);
  }

 private:
  std::shared_ptr<const LoopData> loop_;
  bool cycle_;
};

}  // namespace

void LoopData::drop_items() {
  ended_ = true;
  before_ = current_ = ahead_ = sized_ = PyValue();
  rest_.clear();
  last_changed_.clear();
  source_ = [](PyValue*) { return false; };
}

bool LoopData::next(PyValue* item) const {
  if (!rest_known_) return source_(item);
  if (rest_pos_ >= rest_.size()) return false;
  *item = rest_[rest_pos_++];
  return true;
}

bool LoopData::peek() const {
  if (!ahead_known_) {
    has_ahead_ = next(&ahead_);
    ahead_known_ = true;
  }
  return has_ahead_;
}

bool LoopData::advance(PyValue* item) {
  if (ahead_known_) {
    ahead_known_ = false;
    if (!has_ahead_) return false;
    *item = std::move(ahead_);
    ahead_ = PyValue();
  } else if (!next(item)) {
    return false;
  }
  ++index0_;
  before_ = std::move(current_);
  current_ = *item;
  return true;
}

int64_t LoopData::length() const {
  if (known_length_ >= 0) return known_length_;
  if (!sized_.is_none() && try_length(sized_, &known_length_)) return known_length_;
  std::vector<PyValue> rest;
  for (PyValue item; next(&item); rest.push_back(item)) budget_->charge();
  rest_ = std::move(rest);
  rest_known_ = true;
  known_length_ = static_cast<int64_t>(rest_.size()) + index0_ + 1 + (ahead_known_ && has_ahead_ ? 1 : 0);
  return known_length_;
}

PyValue LoopData::call(Interpreter& interpreter, Arguments& arguments) const {
  if (!stmt_->recursive)
    fail("TypeError", "The loop must have the 'recursive' marker to be called recursively.");
  Bound bound("loop", arguments, {"iterable"}, 1);
  return interpreter.run_loop_again(*stmt_, scope_, bound[0], nesting_ + 1);
}

bool LoopData::attribute(std::string_view name, PyValue* value) const {
  if (name == "index0")
    *value = PyValue::integer(index0_);
  else if (name == "index")
    *value = PyValue::integer(index0_ + 1);
  else if (name == "first")
    *value = PyValue::boolean(index0_ == 0);
  else if (name == "last")
    *value = PyValue::boolean(!peek());
  else if (name == "length")
    *value = PyValue::integer(length());
  else if (name == "revindex0")
    *value = PyValue::integer(length() - index0_ - 1);
  else if (name == "revindex")
    *value = PyValue::integer(length() - index0_);
  else if (name == "depth0")
    *value = PyValue::integer(nesting_);
  else if (name == "depth")
    *value = PyValue::integer(nesting_ + 1);
  else if (name == "previtem")
    *value = index0_ == 0 ? undefined("there is no previous item") : before_;
  else if (name == "nextitem")
    *value = peek() ? ahead_ : undefined("there is no next item");
  else if (name == "cycle" || name == "changed")
    *value = PyValue::of(Kind::kObject, std::make_shared<LoopMethod>(shared_from_this(), name == "cycle"));
  else
    return false;
  return true;
}

PyValue LoopData::cycle(const Arguments& arguments) const {
  const auto& values = arguments.positional;
  if (values.empty()) fail("TypeError", "no items for cycling given");
  return values[static_cast<std::size_t>(index0_) % values.size()];
}

PyValue LoopData::changed(const Arguments& arguments) const {
  const auto& values = arguments.positional;
  bool same = changed_before_ && values.size() == last_changed_.size();
  for (std::size_t i = 0; same && i < values.size(); ++i) same = equals(budget_, values[i], last_changed_[i]);
  if (ended_) return PyValue::boolean(true);  // kept beyond its loop, it must not collect values again
  changed_before_ = true;
  last_changed_ = values;
  return PyValue::boolean(!same);
}

}  // namespace pagoda::jinja
