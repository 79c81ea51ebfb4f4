// Who comes into the world, and what each should be given.
#include <algorithm>

#include "tests/sim/world.h"

namespace pagoda::sim {

// A new prompt goes on where an old one, or a conversation, was cut: so they form a tree.
std::vector<TokenId> World::make_prompt(int longest) {
  std::vector<TokenId> prompt;
  const auto most = static_cast<std::size_t>(longest);
  if (!stems_.empty() && dice_.chance(0.6)) {
    prompt = stems_[static_cast<std::size_t>(dice_.pick(0, static_cast<int>(stems_.size()) - 1))];
    if (dice_.chance(0.4))
      prompt.resize(static_cast<std::size_t>(dice_.pick(1, static_cast<int>(prompt.size()))));
    if (prompt.size() > most) prompt.resize(most);
  }
  const int room = static_cast<int>(most - prompt.size());
  int more = room == 0 ? 0 : dice_.pick(0, dice_.chance(0.6) ? std::min(room, 8) : room);
  if (prompt.empty()) more = std::max(more, 1);
  const int kinds = dice_.chance(0.8) ? 2 : 9;
  for (int i = 0; i < more; ++i) prompt.push_back(dice_.pick(0, kinds));
  return prompt;
}

void World::remember(const Live& live, const Choice& choice) {
  std::vector<TokenId> stem = live.prompt;
  stem.insert(stem.end(), choice.expected.tokens.begin(),
              choice.expected.tokens.begin() + static_cast<std::ptrdiff_t>(choice.num_output));
  if (stems_.size() < 24)
    stems_.push_back(std::move(stem));
  else
    stems_[static_cast<std::size_t>(dice_.pick(0, 23))] = std::move(stem);
}

// Adapter and salt: content of one scope must never be read in another.
uint64_t World::root_of(const Request& request) const {
  const uint64_t scope = request.lora_id * 256u + request.cache_salt_hash[3];
  return scope == 0 ? 0 : SplitMix64(scope).next() | 1;
}

// Images of a few kinds, at a few places, so that many prompts have the same.
void World::add_images(Request* request) {
  const auto size = static_cast<int32_t>(request->prompt.size());
  for (int32_t begin = 0; begin < size; begin += 11) {
    if (!dice_.chance(0.3)) continue;
    const int32_t number = dice_.pick(1, 3), end = begin + 3 * number;
    if (end > size) return;
    request->extra_keys.push_back({begin, end, {static_cast<uint8_t>(number)}});
    ++counts_->images;
  }
}

// 0 outside of images; in one it depends on the image and on the place in it.
uint64_t World::content_at(RequestId id, std::size_t position) const {
  const auto it = images_.find(id);
  if (it == images_.end()) return 0;
  const auto at = static_cast<int32_t>(position);
  for (const ExtraKey& image : it->second)
    if (at >= image.begin && at < image.end)
      return SplitMix64(image.hash[0] * 100u + static_cast<uint64_t>(at - image.begin)).next();
  return 0;
}

// One wants more than its share, one comes rarely, the others come and go.
int World::draw_tenant() {
  const int last = config_.num_tenants - 1;
  if (last > 0 && dice_.chance(0.05)) return last;
  const uint64_t times = SplitMix64(config_.seed + next_id_ / 200).next();
  const int tenant = dice_.chance(0.4) ? 0 : dice_.pick(0, std::max(last - 1, 0));
  return (times >> tenant & 1) != 0 ? tenant : 0;
}

std::unique_ptr<Request> World::make_request() {
  auto request = std::make_unique<Request>();
  request->id = next_id_++;
  const int longest = dice_.chance(0.03) ? config_.scheduler.max_model_len + 3 : std::max(max_len_ - 1, 1);
  request->prompt = make_prompt(longest);
  SamplingParams& params = request->params;
  params.seed = dice_.next();
  params.max_tokens = dice_.chance(0.06) ? 0
                                         : dice_.pick(1, dice_.chance(0.3) ? 3
                                                         : config_.large   ? 120
                                                                           : 40);
  params.min_tokens = dice_.chance(0.3) ? dice_.pick(0, params.max_tokens) : 0;
  params.ignore_eos = dice_.chance(0.3);
  params.eos_token_ids = {0};
  if (dice_.chance(0.5)) params.eos_token_ids.push_back(1);
  if (dice_.chance(0.5)) params.stop_token_ids = dice_.chance(0.5) ? std::vector{0, 2} : std::vector{2, 3};
  params.num_logprobs = dice_.chance(0.1) ? dice_.pick(0, 3) : -1;
  params.num_prompt_logprobs = dice_.chance(0.1) ? dice_.pick(0, 2) : -1;
  request->read_prefix_cache = params.num_prompt_logprobs < 0;
  request->n = config_.has_forks && dice_.chance(0.3) ? dice_.pick(2, 10) : 1;
  request->priority = dice_.pick(0, 2);
  request->tenant_key = static_cast<uint64_t>(draw_tenant());
  request->tenant_weight = config_.weight_of(request->tenant_key);
  const int scope = dice_.pick(0, config_.num_scopes - 1);
  request->lora_id = static_cast<uint32_t>(scope % 2);
  request->cache_salt_hash[3] = static_cast<uint8_t>(scope / 2);
  if (config_.has_images) add_images(request.get());
  request->arrival = now_;
  if (dice_.chance(0.05)) request->deadline = now_ + std::chrono::milliseconds(dice_.pick(0, 300));
  if (dice_.chance(0.05))
    request->holds = static_cast<uint8_t>(dice_.chance(0.5) ? kHoldLora : kHoldLora | kHoldGrammar);
  return request;
}

// The request's own words again, one token after the other.
Outcome World::oracle(const Live& live, int choice) const {
  const SamplingParams& params = live.params;
  const int num_prompt = static_cast<int>(live.prompt.size());
  if (num_prompt + (params.max_tokens > 0 ? 1 : 0) > max_len_) return {{}, FinishReason::kError};
  if (params.max_tokens == 0) return {{}, FinishReason::kLength};
  Outcome out;
  uint64_t prefix = live.prompt_hash;
  const uint64_t seed = params.seed + static_cast<uint64_t>(choice);
  while (true) {
    int count = static_cast<int>(out.tokens.size());
    if (config_.model.is_bad(prefix, seed)) return {out.tokens, FinishReason::kError};
    const TokenId token = config_.model.sample(prefix, seed, count);
    out.tokens.push_back(token);
    ++count;
    const bool is_eos = std::ranges::count(params.eos_token_ids, token) > 0;
    const bool is_stop = std::ranges::count(params.stop_token_ids, token) > 0;
    if (count >= params.min_tokens && is_eos && !params.ignore_eos) return {out.tokens, FinishReason::kStop};
    if (count >= params.min_tokens && is_stop) return {out.tokens, FinishReason::kStop, token};
    if (count == params.max_tokens || num_prompt + count == max_len_)
      return {out.tokens, FinishReason::kLength};
    prefix = config_.model.extend(prefix, token);
  }
}

void World::arrive() {
  while (num_left_ > 0 && static_cast<int>(live_.size()) < config_.max_live &&
         dice_.chance(config_.arrival)) {
    --num_left_;
    auto request = make_request();
    Live& live = live_[request->id];
    live.id = request->id;
    live.prompt.assign(request->prompt.begin(), request->prompt.end());
    if (!request->extra_keys.empty()) images_[request->id] = request->extra_keys;
    live.params = request->params;
    live.tenant = request->tenant_key;
    live.root = live.prompt_prefix = root_of(*request);
    live.deadline = request->deadline;
    live.held = request->holds != kHoldNone;
    if (live.deadline != Time::max()) deadlines_.emplace(live.deadline, request->id);
    if (live.held) held_.insert(request->id);
    live.choices.resize(static_cast<std::size_t>(request->n));
    num_choices_ += request->n;
    live.prompt_hash = live.root;
    for (std::size_t position = 0; position < live.prompt.size(); ++position)
      live.prompt_hash =
          config_.model.extend(live.prompt_hash ^ content_at(request->id, position), live.prompt[position]);
    const bool by_class = config_.scheduler.policy == SchedulingPolicy::kPriority;
    for (int i = 0; i < request->n; ++i) {
      Choice& choice = live.choices[static_cast<std::size_t>(i)];
      choice.live = &live;
      choice.number = i;
      choice.rank = {by_class ? request->priority : 0, next_order_++};
      choice.prefix = live.prompt_hash;
      choice.expected = oracle(live, i);
    }
    if (!live.held) invariants_->became_ready(&live.choices[0]);
    scheduler_->submit(std::move(request), now_, &events_);
    take_events();
  }
}

}  // namespace pagoda::sim
