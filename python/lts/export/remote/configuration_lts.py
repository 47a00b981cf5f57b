"""What `modeling_lts` builds: a Transformer whose layers may all differ from one another. Written by lts-engine."""

from transformers import PretrainedConfig


class LtsConfig(PretrainedConfig):
    """Configuration of an `LtsModel`.

    Parameters
    ----------
    layers
        One dictionary for each layer: `n_head`, `n_kv_head`, `head_dim`, `d_ff`; of an encoder also `n_ff`, the number
        of hidden feed-forward layers, and `mixer`: attention, weighted_attention, fourier, cosine, convolution_5 or
        convolution_9. Without heads a layer has no attention, with a `d_ff` of 0 no feed-forward network, and neither
        has a norm then.
    family
        Name of the kind of architecture; the fields below say all that the model needs to know of it.
    vocab_size, n_positions, d_model
        Tokens there are, longest context of learned positions, width of what goes from layer to layer.
    encoder
        Whether tokens see those behind them, too. There is no cache then.
    attention
        multi_head, or grouped_query, where `n_kv_head` heads of keys and values serve all heads of queries.
    qkv_bias, attention_output_bias, feed_forward_bias
        Which linear layers have biases.
    feed_forward
        gelu (its tanh form), gelu_erf (exact), relu, or swiglu.
    norm, norm_placement, norm_epsilon, final_norm
        layer_norm or rms_norm, before or after each sublayer, and whether there is one behind the last layer.
    parallel
        Whether attention and feed-forward network of a layer have the same input, and their outputs are added to it.
    position
        learned, rotary, or relative: Transformer-XL's, over a memory of layer inputs.
    rotary_theta, rotary_dim, rotary_scaling
        Base of the wavelengths of rotary positions; how many channels of a head are rotated, all if 0; and how long
        wavelengths are stretched, as in Llama 3.1: factor, low_freq_factor, high_freq_factor, original_positions.
    adaptive, d_embed, div_val, cutoffs, tie_projs
        Adaptive embedding and softmax: clusters of tokens that end at the cutoffs, embedded in `d_embed` numbers and in
        `div_val` times fewer from cluster to cluster. `tie_projs` says of each cluster whether the softmax projects as
        the embedding does; an empty list means all but the first.
    tie_embedding
        Whether the output weights are the embedding's.
    """

    model_type = "lts"
    attribute_map = {  # noqa: RUF012
        "hidden_size": "d_model",
        "num_hidden_layers": "n_layer",
        "max_position_embeddings": "n_positions",
        "tie_word_embeddings": "tie_embedding",
    }
    keys_to_ignore_at_inference = ["past_key_values", "cache"]  # noqa: RUF012

    def __init__(
        self,
        layers=(),
        family="gpt2",
        vocab_size=256,
        n_positions=1024,
        d_model=64,
        encoder=False,
        attention="multi_head",
        qkv_bias=True,
        attention_output_bias=True,
        feed_forward="gelu",
        feed_forward_bias=True,
        norm="layer_norm",
        norm_placement="before",
        norm_epsilon=1e-5,
        final_norm=True,
        parallel=False,
        position="learned",
        rotary_theta=10000.0,
        rotary_dim=0,
        rotary_scaling=None,
        adaptive=False,
        d_embed=None,
        div_val=1,
        cutoffs=(),
        tie_projs=(),
        tie_embedding=True,
        use_cache=True,
        initializer_range=0.02,
        **kwargs,
    ):
        self.layers = [dict(layer) for layer in layers]
        self.n_layer = len(self.layers)
        self.family = family
        self.vocab_size = vocab_size
        self.n_positions = n_positions
        self.d_model = d_model
        self.encoder = encoder
        self.attention = attention
        self.qkv_bias = qkv_bias
        self.attention_output_bias = attention_output_bias
        self.feed_forward = feed_forward
        self.feed_forward_bias = feed_forward_bias
        self.norm = norm
        self.norm_placement = norm_placement
        self.norm_epsilon = norm_epsilon
        self.final_norm = final_norm
        self.parallel = parallel
        self.position = position
        self.rotary_theta = rotary_theta
        self.rotary_dim = rotary_dim
        self.rotary_scaling = None if rotary_scaling is None else dict(rotary_scaling)
        self.adaptive = adaptive
        self.d_embed = d_model if d_embed is None else d_embed
        self.div_val = div_val
        self.cutoffs = list(cutoffs)
        self.tie_projs = list(tie_projs)
        self.use_cache = use_cache
        self.initializer_range = initializer_range
        for name in ("n_layer", "num_hidden_layers", "tie_word_embeddings"):  # of layers and tie_embedding
            kwargs.pop(name, None)
        super().__init__(tie_word_embeddings=tie_embedding, **kwargs)

    @property
    def num_attention_heads(self):
        """Heads of the first layer that has any, for programs that ask for one number; `layers` says all."""
        return next((layer["n_head"] for layer in self.layers if layer["n_head"]), 0)

    @property
    def clusters(self):
        """First and past-last token of each cluster of the adaptive embedding."""
        ends = self.cutoffs or [self.vocab_size]
        return list(zip([0, *ends[:-1]], ends, strict=True))
