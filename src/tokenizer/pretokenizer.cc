#include "tokenizer/pretokenizer.h"

#include "base/utf8.h"
#include "tokenizer/byte_level.h"
#include "tokenizer/char_class.h"

namespace pagoda {
namespace {

// Turns the alternation of matches and gaps into pieces, by the behavior. Ranges come in order and are not
// empty.
template <class Emit>
class Splitter {
 public:
  Splitter(SplitBehavior behavior, bool invert, Emit emit)
      : behavior_(behavior), invert_(invert), emit_(emit) {}

  void add(std::size_t begin, std::size_t end, bool is_match) {
    if (begin == end) return;
    is_match ^= invert_;
    if (behavior_ == SplitBehavior::kIsolated || behavior_ == SplitBehavior::kRemoved) {
      if (!is_match || behavior_ == SplitBehavior::kIsolated) emit_(begin, end);
      return;
    }
    bool merges =
        held_ && (behavior_ == SplitBehavior::kContiguous           ? is_match == previous_is_match_
                  : behavior_ == SplitBehavior::kMergedWithPrevious ? is_match && !previous_is_match_
                                                                    : previous_is_match_ && !is_match);
    if (!merges) {
      if (held_) emit_(begin_, end_);
      begin_ = begin;
      held_ = true;
    }
    end_ = end;
    previous_is_match_ = is_match;
  }
  void finish() {
    if (held_) emit_(begin_, end_);
    held_ = false;
  }

 private:
  SplitBehavior behavior_;
  bool invert_;
  Emit emit_;
  bool held_ = false, previous_is_match_ = false;
  std::size_t begin_ = 0, end_ = 0;  // the range that is held back
};

std::size_t next_char(std::string_view text, std::size_t pos) {
  do {
    ++pos;
  } while (pos < text.size() && (static_cast<unsigned char>(text[pos]) & 0xC0) == 0x80);
  return pos;
}

}  // namespace

void PreTokenizer::run(std::string_view text, bool at_start, PieceSink* sink) const {
  run_step(0, Piece{text, at_start, false}, sink);
}

bool PreTokenizer::replaces_space() const {
  for (const Step& step : steps_)
    if (std::holds_alternative<Metaspace>(step)) return true;
  return false;
}

// Calls itself through the steps, of which there are few; never by the length of the text.
void PreTokenizer::run_step(std::size_t step, const Piece& piece, PieceSink* sink) const {
  if (piece.text.empty()) return;
  if (step == steps_.size()) {
    if (!piece.spelled) {
      sink->piece(piece.text);
    } else if (auto bytes = byte_level_decode(piece.text)) {
      sink->piece(*bytes);
    }
    return;
  }
  const Step& kind = steps_[step];
  if (const auto* split = std::get_if<SplitRegex>(&kind)) return split_regex(*split, step, piece, sink);
  if (const auto* split = std::get_if<SplitText>(&kind)) return split_text(*split, step, piece, sink);
  if (const auto* split = std::get_if<SplitChars>(&kind)) return split_chars(*split, step, piece, sink);
  if (const auto* bytes = std::get_if<ByteLevel>(&kind)) return run_byte_level(*bytes, step, piece, sink);
  run_metaspace(std::get<Metaspace>(kind), step, piece, sink);
}

void PreTokenizer::hand_on(std::size_t step, const Piece& piece, std::size_t begin, std::size_t end,
                           PieceSink* sink) const {
  run_step(step + 1,
           Piece{piece.text.substr(begin, end - begin), piece.at_start && begin == 0, piece.spelled}, sink);
}

void PreTokenizer::split_regex(const SplitRegex& split, std::size_t step, const Piece& piece,
                               PieceSink* sink) const {
  std::string_view text = piece.text;
  auto emit = [&](std::size_t begin, std::size_t end) { hand_on(step, piece, begin, end, sink); };
  Splitter splitter(split.behavior, split.invert, emit);
  std::size_t done = 0, search = 0, begin = 0, end = 0;
  if (split.scanner.has_value()) {
    for (; done < text.size(); done = end) {
      end = split.scanner->next(text, done);
      splitter.add(done, end, true);
    }
    splitter.finish();
    return;
  }
  Regex::Search matches(split.regex, text);
  while (search < text.size() && matches.find(search, &begin, &end)) {
    splitter.add(done, begin, false);
    splitter.add(begin, end, true);
    done = end;
    search = end > begin ? end : next_char(text, end);  // an empty match: try one character on
  }
  splitter.add(done, text.size(), false);
  splitter.finish();
}

void PreTokenizer::split_text(const SplitText& split, std::size_t step, const Piece& piece,
                              PieceSink* sink) const {
  std::string_view text = piece.text;
  auto emit = [&](std::size_t begin, std::size_t end) { hand_on(step, piece, begin, end, sink); };
  Splitter splitter(split.behavior, split.invert, emit);
  std::size_t done = 0;
  for (std::size_t at; (at = text.find(split.separator, done)) != std::string_view::npos;) {
    splitter.add(done, at, false);
    done = at + split.separator.size();
    splitter.add(at, done, true);
  }
  splitter.add(done, text.size(), false);
  splitter.finish();
}

void PreTokenizer::split_chars(const SplitChars& split, std::size_t step, const Piece& piece,
                               PieceSink* sink) const {
  std::string_view text = piece.text;
  auto emit = [&](std::size_t begin, std::size_t end) { hand_on(step, piece, begin, end, sink); };
  auto matches = [&](uint32_t c) {
    switch (split.kind) {
      case CharKind::kPunctuation:
        return is_punctuation(c);
      case CharKind::kNumeric:
        return is_numeric(c);
      case CharKind::kWhiteSpace:
        return is_white_space(c);
    }
    return false;
  };
  Splitter splitter(split.behavior, false, emit);
  std::size_t done = 0;
  for (std::size_t i = 0; i < text.size();) {
    Utf8Char c = decode_utf8(text, i);
    std::size_t end = i + c.length;
    if (matches(c.code_point)) {
      splitter.add(done, i, false);
      splitter.add(i, end, true);
      done = end;
    }
    i = end;
  }
  splitter.add(done, text.size(), false);
  splitter.finish();
}

void PreTokenizer::run_byte_level(const ByteLevel& byte_level, std::size_t step, const Piece& piece,
                                  PieceSink* sink) const {
  std::string prefixed;
  std::string_view text = piece.text;
  if (byte_level.add_prefix_space && !text.starts_with(' ')) {
    prefixed.reserve(text.size() + 1);
    prefixed += ' ';
    prefixed += text;
    text = prefixed;
  }
  constexpr Scanner kScanner{Scanner::Kind::kGpt2, 0};
  std::string spelled;
  std::size_t done = 0;
  while (done < text.size()) {
    std::size_t end = byte_level.use_regex ? kScanner.next(text, done) : text.size();
    std::string_view part = text.substr(done, end - done);
    if (byte_level.last) {
      sink->piece(part);
    } else {
      spelled.clear();
      append_byte_level(&spelled, part);
      run_step(step + 1, Piece{spelled, piece.at_start && done == 0, true}, sink);
    }
    done = end;
  }
}

void PreTokenizer::run_metaspace(const Metaspace& metaspace, std::size_t step, const Piece& piece,
                                 PieceSink* sink) const {
  const std::string& mark = metaspace.replacement;
  std::string text;
  text.reserve(piece.text.size() + piece.text.size() / 2 + mark.size());
  bool prepend =
      metaspace.prepend == Prepend::kAlways || (metaspace.prepend == Prepend::kFirst && piece.at_start);
  if (prepend && !piece.text.starts_with(' ') && !piece.text.starts_with(mark)) text += mark;
  for (char c : piece.text) {
    if (c == ' ')
      text += mark;
    else
      text += c;
  }
  if (!metaspace.split) return run_step(step + 1, Piece{text, piece.at_start, piece.spelled}, sink);
  SplitText split{mark, SplitBehavior::kMergedWithNext, false};
  split_text(split, step, Piece{text, piece.at_start, piece.spelled}, sink);
}

}  // namespace pagoda
