// The variable `loop`. Looks one item ahead only when it is asked to, as the original does: the items may
// come from a generator, or pass a condition that the loop's body changes.
#pragma once
#include <functional>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "jinja/ast.h"
#include "jinja/value.h"

namespace pagoda::jinja {

struct Scope;

class LoopData : public ObjectData, public std::enable_shared_from_this<LoopData> {
 public:
  using Source = std::function<bool(PyValue*)>;
  // `sized`: what is asked for its length; None if only counting helps. `scope` is where the loop stands.
  LoopData(Budget* budget, const Stmt* stmt, Scope* scope, int nesting, Source source, PyValue sized)
      : budget_(budget),
        stmt_(stmt),
        scope_(scope),
        nesting_(nesting),
        source_(std::move(source)),
        sized_(std::move(sized)) {}

  // Drops the items at the end of the loop: they may lead back to the loop itself.
  class Ending {
   public:
    explicit Ending(LoopData* loop) : loop_(loop) {}
    ~Ending() {
      if (loop_ != nullptr) loop_->drop_items();
    }
    Ending(const Ending&) = delete;
    Ending& operator=(const Ending&) = delete;

   private:
    LoopData* loop_;
  };

  bool advance(PyValue* item);
  const char* type_name() const override { return "LoopContext"; }
  PyValue call(Interpreter& interpreter, Arguments& arguments) const override;
  bool attribute(std::string_view name, PyValue* value) const override;
  PyValue cycle(const Arguments& arguments) const;
  PyValue changed(const Arguments& arguments) const;

 private:
  void drop_items();
  bool next(PyValue* item) const;
  bool peek() const;
  int64_t length() const;

  Budget* budget_;
  const Stmt* stmt_;
  Scope* scope_;
  int nesting_;
  Source source_;
  PyValue sized_;
  int64_t index0_ = -1;
  PyValue before_, current_;
  mutable PyValue ahead_;
  mutable bool ahead_known_ = false, has_ahead_ = false;
  mutable std::vector<PyValue> rest_;  // read in advance, for the length
  mutable std::size_t rest_pos_ = 0;
  mutable bool rest_known_ = false;
  mutable int64_t known_length_ = -1;
  mutable std::vector<PyValue> last_changed_;
  mutable bool changed_before_ = false;
  bool ended_ = false;
};

}  // namespace pagoda::jinja
