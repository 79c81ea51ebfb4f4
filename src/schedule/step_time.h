// How long a step takes, learned from the steps that were run: a convex, increasing function of what a step
// is made of, fitted by least squares of the relative error with coefficients that are not negative. It knows
// nothing of the device; after a dozen steps it knows this one.
#pragma once
#include <array>
#include <cstdint>

namespace pagoda {

// What a step's time depends on.
struct StepShape {
  int64_t num_tokens = 0;      // rows of the flat batch
  int64_t decode_context = 0;  // tokens that the decoding sequences attend to, summed
  double prefill_pairs = 0;    // (query, key) pairs of the prompts' chunks
  // A chunk of num_tokens that follows num_computed.
  void add_prefill(int64_t num_computed, int64_t tokens) {
    num_tokens += tokens;
    prefill_pairs +=
        static_cast<double>(tokens) * (static_cast<double>(num_computed) + static_cast<double>(tokens) / 2);
  }
  void add_decode(int64_t num_computed) {
    ++num_tokens;
    decode_context += num_computed + 1;
  }
};

class StepTimeModel {
 public:
  void observe(const StepShape& shape, double ms);
  double predict_ms(const StepShape& shape) const;
  // Enough has been seen to be asked.
  bool is_ready() const { return num_observed_ >= 8; }

 private:
  static constexpr std::size_t kNumTerms = 7, kNumSizes = 16, kNumDepths = 5;
  using Terms = std::array<double, kNumTerms>;
  // Weighted moments of the steps of about one size and context, the older ones fading: so that thousands of
  // like steps do not make the model forget the rare others.
  struct StepClass {
    double weight = 0;
    std::array<Terms, kNumTerms> products{};
    Terms with_time{};
  };
  static Terms terms_of(const StepShape& shape);
  static std::size_t class_of(const StepShape& shape);
  void fit();

  std::array<StepClass, kNumSizes * kNumDepths> classes_{};
  Terms coefficients_{};
  int64_t num_observed_ = 0;
};

}  // namespace pagoda
