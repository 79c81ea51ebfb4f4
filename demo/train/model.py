"""The demo model's shape and its forward pass in JAX: a plain Llama with grouped-query attention."""

import jax
import jax.numpy as jnp

VOCAB = 2048
HIDDEN = 192
LAYERS = 4
HEADS = 6
KV_HEADS = 2
HEAD_DIM = 32
INTERMEDIATE = 448
ROPE_THETA = 10000.0
NORM_EPS = 1e-5
MAX_POSITIONS = 1024


def init_params(seed):
    """Weights as matrices of shape [in, out], normal with the usual small deviation."""
    keys = iter(jax.random.split(jax.random.PRNGKey(seed), 64))

    def normal(rows, cols, scale=1.0):
        return jax.random.normal(next(keys), (rows, cols)) * scale * rows**-0.5

    def layer():
        q_size, kv_size, depth = HEADS * HEAD_DIM, KV_HEADS * HEAD_DIM, (2 * LAYERS) ** -0.5
        return {
            "input_layernorm": jnp.ones(HIDDEN),
            "q_proj": normal(HIDDEN, q_size),
            "k_proj": normal(HIDDEN, kv_size),
            "v_proj": normal(HIDDEN, kv_size),
            "o_proj": normal(q_size, HIDDEN, depth),
            "post_attention_layernorm": jnp.ones(HIDDEN),
            "gate_proj": normal(HIDDEN, INTERMEDIATE),
            "up_proj": normal(HIDDEN, INTERMEDIATE),
            "down_proj": normal(INTERMEDIATE, HIDDEN, depth),
        }

    embed = jax.random.normal(next(keys), (VOCAB, HIDDEN)) * 0.05
    return {"embed": embed, "layers": [layer() for _ in range(LAYERS)], "norm": jnp.ones(HIDDEN)}


def count_params(params):
    return sum(leaf.size for leaf in jax.tree_util.tree_leaves(params))


def rms_norm(x, weight):
    return x * jax.lax.rsqrt(jnp.mean(x * x, axis=-1, keepdims=True) + NORM_EPS) * weight


def rope_tables(length):
    inverse = ROPE_THETA ** (-jnp.arange(0, HEAD_DIM, 2) / HEAD_DIM)
    angles = jnp.arange(length)[:, None] * inverse[None, :]
    angles = jnp.concatenate([angles, angles], axis=-1)
    return jnp.cos(angles), jnp.sin(angles)


def rotate(x, cos, sin):
    """Rotates x of [batch, heads, time, head_dim], pairing dimension i with i + head_dim / 2."""
    first, second = jnp.split(x, 2, axis=-1)
    return x * cos + jnp.concatenate([-second, first], axis=-1) * sin


def attention(layer, x, bias, cos, sin):
    batch, time, _ = x.shape

    def heads(weight, count):
        return (x @ weight).reshape(batch, time, count, HEAD_DIM).transpose(0, 2, 1, 3)

    query = rotate(heads(layer["q_proj"], HEADS), cos, sin) * HEAD_DIM**-0.5
    key = rotate(heads(layer["k_proj"], KV_HEADS), cos, sin)
    value = heads(layer["v_proj"], KV_HEADS)
    # Query heads of one group stand one under the other, so each group is a single matrix product.
    query = query.reshape(batch, KV_HEADS, HEADS // KV_HEADS * time, HEAD_DIM)
    scores = query @ key.transpose(0, 1, 3, 2)
    scores = scores.reshape(batch, KV_HEADS, HEADS // KV_HEADS, time, time) + bias[:, None, None]
    weights = jax.nn.softmax(scores, axis=-1).reshape(batch, KV_HEADS, -1, time)
    mixed = (weights @ value).reshape(batch, HEADS, time, HEAD_DIM)
    return mixed.transpose(0, 2, 1, 3).reshape(batch, time, -1) @ layer["o_proj"]


def mlp(layer, x):
    return (jax.nn.silu(x @ layer["gate_proj"]) * (x @ layer["up_proj"])) @ layer["down_proj"]


def hidden_states(params, tokens, segments):
    """Final states of [batch, time]; a token sees only earlier tokens of its own segment."""
    time = tokens.shape[1]
    causal = jnp.tril(jnp.ones((time, time), bool))
    allowed = causal[None] & (segments[:, :, None] == segments[:, None, :])
    bias = jnp.where(allowed, 0.0, -1e9)
    cos, sin = rope_tables(time)
    x = params["embed"][tokens]
    for layer in params["layers"]:
        x = x + attention(layer, rms_norm(x, layer["input_layernorm"]), bias, cos, sin)
        x = x + mlp(layer, rms_norm(x, layer["post_attention_layernorm"]))
    return rms_norm(x, params["norm"])


def weighted_loss(params, batch):
    """Mean cross entropy of the next token, each position weighted by batch["weights"]."""
    states = hidden_states(params, batch["tokens"], batch["segments"])
    logits = states @ params["embed"].T
    targets = batch["targets"]
    picked = jnp.take_along_axis(logits, targets[..., None], axis=-1)[..., 0]
    losses = jax.nn.logsumexp(logits, axis=-1) - picked
    return (losses * batch["weights"]).sum() / batch["weights"].sum()
