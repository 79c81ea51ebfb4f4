// Table: what vLLM 0.32.0 shows on /metrics of a small model, as facts: families, types, names of labels,
// bounds of buckets (max_model_len 2048).
#pragma once

namespace pagoda::testing {

struct VllmFamily {
  const char *name, *type, *labels, *bounds;
};

inline constexpr VllmFamily kVllmFamilies[] = {
    {"process_virtual_memory_bytes", "gauge", "", ""},
    {"process_resident_memory_bytes", "gauge", "", ""},
    {"process_start_time_seconds", "gauge", "", ""},
    {"process_cpu_seconds_total", "counter", "", ""},
    {"process_open_fds", "gauge", "", ""},
    {"process_max_fds", "gauge", "", ""},
    {"vllm:estimated_flops_per_gpu_total", "counter", "engine model_name", ""},
    {"vllm:estimated_flops_per_gpu_created", "gauge", "engine model_name", ""},
    {"vllm:estimated_read_bytes_per_gpu_total", "counter", "engine model_name", ""},
    {"vllm:estimated_read_bytes_per_gpu_created", "gauge", "engine model_name", ""},
    {"vllm:estimated_write_bytes_per_gpu_total", "counter", "engine model_name", ""},
    {"vllm:estimated_write_bytes_per_gpu_created", "gauge", "engine model_name", ""},
    {"vllm:num_requests_running", "gauge", "engine model_name", ""},
    {"vllm:num_requests_waiting", "gauge", "engine model_name", ""},
    {"vllm:num_requests_waiting_by_reason", "gauge", "engine model_name reason", ""},
    {"vllm:engine_sleep_state", "gauge", "engine model_name sleep_state", ""},
    {"vllm:kv_cache_usage_perc", "gauge", "engine model_name", ""},
    {"vllm:prefix_cache_queries_total", "counter", "engine model_name", ""},
    {"vllm:prefix_cache_queries_created", "gauge", "engine model_name", ""},
    {"vllm:prefix_cache_hits_total", "counter", "engine model_name", ""},
    {"vllm:prefix_cache_hits_created", "gauge", "engine model_name", ""},
    {"vllm:external_prefix_cache_queries_total", "counter", "engine model_name", ""},
    {"vllm:external_prefix_cache_queries_created", "gauge", "engine model_name", ""},
    {"vllm:external_prefix_cache_hits_total", "counter", "engine model_name", ""},
    {"vllm:external_prefix_cache_hits_created", "gauge", "engine model_name", ""},
    {"vllm:mm_cache_queries_total", "counter", "engine model_name", ""},
    {"vllm:mm_cache_queries_created", "gauge", "engine model_name", ""},
    {"vllm:mm_cache_hits_total", "counter", "engine model_name", ""},
    {"vllm:mm_cache_hits_created", "gauge", "engine model_name", ""},
    {"vllm:num_preemptions_total", "counter", "engine model_name", ""},
    {"vllm:num_preemptions_created", "gauge", "engine model_name", ""},
    {"vllm:prompt_tokens_total", "counter", "engine model_name", ""},
    {"vllm:prompt_tokens_created", "gauge", "engine model_name", ""},
    {"vllm:prompt_tokens_by_source_total", "counter", "engine model_name source", ""},
    {"vllm:prompt_tokens_by_source_created", "gauge", "engine model_name source", ""},
    {"vllm:prompt_tokens_cached_total", "counter", "engine model_name", ""},
    {"vllm:prompt_tokens_cached_created", "gauge", "engine model_name", ""},
    {"vllm:prompt_tokens_cached_by_source_total", "counter", "engine model_name source", ""},
    {"vllm:prompt_tokens_cached_by_source_created", "gauge", "engine model_name source", ""},
    {"vllm:generation_tokens_total", "counter", "engine model_name", ""},
    {"vllm:generation_tokens_created", "gauge", "engine model_name", ""},
    {"vllm:request_success_total", "counter", "engine finished_reason model_name", ""},
    {"vllm:request_success_created", "gauge", "engine finished_reason model_name", ""},
    {"vllm:admission_rejections_total", "counter", "model_name reason", ""},
    {"vllm:admission_rejections_created", "gauge", "model_name reason", ""},
    {"vllm:request_prompt_tokens", "histogram", "engine model_name",
     "1.0 2.0 5.0 10.0 20.0 50.0 100.0 200.0 500.0 1000.0 2000.0 +Inf"},
    {"vllm:request_prompt_tokens_created", "gauge", "engine model_name", ""},
    {"vllm:request_generation_tokens", "histogram", "engine model_name",
     "1.0 2.0 5.0 10.0 20.0 50.0 100.0 200.0 500.0 1000.0 2000.0 +Inf"},
    {"vllm:request_generation_tokens_created", "gauge", "engine model_name", ""},
    {"vllm:iteration_tokens_total", "histogram", "engine model_name",
     "1.0 8.0 16.0 32.0 64.0 128.0 256.0 512.0 1024.0 2048.0 4096.0 8192.0 16384.0 +Inf"},
    {"vllm:iteration_tokens_total_created", "gauge", "engine model_name", ""},
    {"vllm:request_max_num_generation_tokens", "histogram", "engine model_name",
     "1.0 2.0 5.0 10.0 20.0 50.0 100.0 200.0 500.0 1000.0 2000.0 +Inf"},
    {"vllm:request_max_num_generation_tokens_created", "gauge", "engine model_name", ""},
    {"vllm:request_params_n", "histogram", "engine model_name", "1.0 2.0 5.0 10.0 20.0 +Inf"},
    {"vllm:request_params_n_created", "gauge", "engine model_name", ""},
    {"vllm:request_params_max_tokens", "histogram", "engine model_name",
     "1.0 2.0 5.0 10.0 20.0 50.0 100.0 200.0 500.0 1000.0 2000.0 +Inf"},
    {"vllm:request_params_max_tokens_created", "gauge", "engine model_name", ""},
    {"vllm:time_to_first_token_seconds", "histogram", "engine model_name",
     "0.001 0.005 0.01 0.02 0.04 0.06 0.08 0.1 0.25 0.5 0.75 1.0 2.5 5.0 7.5 10.0 20.0 40.0 80.0 160.0 640.0 "
     "2560.0 +Inf"},
    {"vllm:time_to_first_token_seconds_created", "gauge", "engine model_name", ""},
    {"vllm:inter_token_latency_seconds", "histogram", "engine model_name",
     "0.01 0.025 0.05 0.075 0.1 0.15 0.2 0.3 0.4 0.5 0.75 1.0 2.5 5.0 7.5 10.0 20.0 40.0 80.0 +Inf"},
    {"vllm:inter_token_latency_seconds_created", "gauge", "engine model_name", ""},
    {"vllm:request_time_per_output_token_seconds", "histogram", "engine model_name",
     "0.01 0.025 0.05 0.075 0.1 0.15 0.2 0.3 0.4 0.5 0.75 1.0 2.5 5.0 7.5 10.0 20.0 40.0 80.0 +Inf"},
    {"vllm:request_time_per_output_token_seconds_created", "gauge", "engine model_name", ""},
    {"vllm:e2e_request_latency_seconds", "histogram", "engine model_name",
     "0.3 0.5 0.8 1.0 1.5 2.0 2.5 5.0 10.0 15.0 20.0 30.0 40.0 50.0 60.0 120.0 240.0 480.0 960.0 1920.0 "
     "7680.0 +Inf"},
    {"vllm:e2e_request_latency_seconds_created", "gauge", "engine model_name", ""},
    {"vllm:request_queue_time_seconds", "histogram", "engine model_name",
     "0.3 0.5 0.8 1.0 1.5 2.0 2.5 5.0 10.0 15.0 20.0 30.0 40.0 50.0 60.0 120.0 240.0 480.0 960.0 1920.0 "
     "7680.0 +Inf"},
    {"vllm:request_queue_time_seconds_created", "gauge", "engine model_name", ""},
    {"vllm:request_inference_time_seconds", "histogram", "engine model_name",
     "0.3 0.5 0.8 1.0 1.5 2.0 2.5 5.0 10.0 15.0 20.0 30.0 40.0 50.0 60.0 120.0 240.0 480.0 960.0 1920.0 "
     "7680.0 +Inf"},
    {"vllm:request_inference_time_seconds_created", "gauge", "engine model_name", ""},
    {"vllm:request_prefill_time_seconds", "histogram", "engine model_name",
     "0.3 0.5 0.8 1.0 1.5 2.0 2.5 5.0 10.0 15.0 20.0 30.0 40.0 50.0 60.0 120.0 240.0 480.0 960.0 1920.0 "
     "7680.0 +Inf"},
    {"vllm:request_prefill_time_seconds_created", "gauge", "engine model_name", ""},
    {"vllm:request_decode_time_seconds", "histogram", "engine model_name",
     "0.3 0.5 0.8 1.0 1.5 2.0 2.5 5.0 10.0 15.0 20.0 30.0 40.0 50.0 60.0 120.0 240.0 480.0 960.0 1920.0 "
     "7680.0 +Inf"},
    {"vllm:request_decode_time_seconds_created", "gauge", "engine model_name", ""},
    {"vllm:request_num_preemptions", "histogram", "engine model_name", "1.0 2.0 3.0 4.0 5.0 10.0 20.0 +Inf"},
    {"vllm:request_num_preemptions_created", "gauge", "engine model_name", ""},
    {"vllm:request_prefill_kv_computed_tokens", "histogram", "engine model_name",
     "1.0 2.0 5.0 10.0 20.0 50.0 100.0 200.0 500.0 1000.0 2000.0 +Inf"},
    {"vllm:request_prefill_kv_computed_tokens_created", "gauge", "engine model_name", ""},
    {"vllm:cache_config_info", "gauge",
     "_block_size_resolved block_size cache_dtype cache_hit_alignment_tokens effective_attention_block_size "
     "enable_mamba_shared_prefix_checkpoint enable_prefix_caching engine gpu_memory_utilization "
     "hash_block_size is_attention_free kv_cache_dtype_skip_layers kv_cache_layout kv_cache_max_concurrency "
     "kv_cache_memory_bytes kv_cache_size_tokens kv_offloading_backend kv_offloading_size "
     "kv_sharing_fast_prefill mamba_block_size mamba_cache_dtype mamba_cache_mode mamba_page_size_padded "
     "mamba_ssm_cache_dtype num_cpu_blocks num_gpu_blocks num_gpu_blocks_override "
     "prefix_cache_retention_interval prefix_caching_hash_algo prefix_match_unit replayssm_buffer_len "
     "skip_page_size_padded sliding_window swa_bounded_replay use_kda_recoverssm use_replayssm "
     "user_specified_block_size",
     ""},
    {"http_requests_total", "counter", "handler method status", ""},
    {"http_requests_created", "gauge", "handler method status", ""},
    {"http_request_size_bytes", "summary", "handler", ""},
    {"http_request_size_bytes_created", "gauge", "handler", ""},
    {"http_response_size_bytes", "summary", "handler", ""},
    {"http_response_size_bytes_created", "gauge", "handler", ""},
    {"http_request_duration_highr_seconds", "histogram", "",
     "0.01 0.025 0.05 0.075 0.1 0.25 0.5 0.75 1.0 1.5 2.0 2.5 3.0 3.5 4.0 4.5 5.0 7.5 10.0 30.0 60.0 +Inf"},
    {"http_request_duration_highr_seconds_created", "gauge", "", ""},
    {"http_request_duration_seconds", "histogram", "handler method", "0.1 0.5 1.0 +Inf"},
    {"http_request_duration_seconds_created", "gauge", "handler method", ""},
};

}  // namespace pagoda::testing
