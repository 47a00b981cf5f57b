"""Transformers whose layers may all differ: GPT-2, LLaMA, GPT-NeoX, Transformer-XL, FlexiBERT and others as one model.

Written by lts-engine beside the `config.json` of an architecture. Needs PyTorch and transformers (4.57 or newer) only.
Each layer has heads, key-value heads and a feed-forward width of its own; what the layers have in common is said by
`LtsConfig`. Shapes in comments: B sequences of T new tokens, S tokens with those in the cache, d = `d_model`.
"""

import math

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812
from transformers import DynamicCache, GenerationMixin, PreTrainedModel, StaticCache
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import BaseModelOutputWithPast, CausalLMOutputWithPast, MaskedLMOutput
from transformers.utils import can_return_tuple

from .attention_lts import Attention, Convolution, Pass, RelativeAttention, Transform, periods, unseen
from .configuration_lts import LtsConfig

# Releases of transformers call the cache by one of two names; arguments and outputs here know both.
CACHE = "cache" if "cache" in BaseModelOutputWithPast.__dataclass_fields__ else "past_key_values"


def norm(config):
    """LayerNorm or RMSNorm of d numbers."""
    kind = nn.LayerNorm if config.norm == "layer_norm" else nn.RMSNorm
    return kind(config.d_model, eps=config.norm_epsilon)


class FeedForward(nn.Module):
    """One hidden layer, or a stack of them, with GELU (tanh form or exact), ReLU, or SwiGLU (Shazeer 2020)."""

    def __init__(self, config, index):
        super().__init__()
        layer, d, bias = config.layers[index], config.d_model, config.feed_forward_bias
        self.kind, width = config.feed_forward, layer["d_ff"]
        if self.kind == "swiglu":
            self.gate = nn.Linear(d, width, bias=bias)
        self.up = nn.Linear(d, width, bias=bias)
        self.middle = nn.ModuleList(nn.Linear(width, width, bias=bias) for _ in range(layer.get("n_ff", 1) - 1))
        self.down = nn.Linear(width, d, bias=bias)

    def forward(self, x):
        hidden = self.up(x)
        if self.kind == "swiglu":
            hidden = F.silu(self.gate(x)) * hidden
        elif self.kind == "relu":
            hidden = F.relu(hidden)
        else:
            hidden = F.gelu(hidden, approximate="tanh" if self.kind == "gelu" else "none")
        for middle in self.middle:
            hidden = F.gelu(middle(hidden), approximate="tanh")
        return self.down(hidden)


class LtsLayer(GradientCheckpointingLayer):
    """Attention, or what mixes tokens in its place, and a feed-forward network; or only one of them, or none."""

    def __init__(self, config, index):
        super().__init__()
        layer = config.layers[index]
        mixer = layer.get("mixer", "attention")
        kind = RelativeAttention if config.position == "relative" else Attention
        if mixer in ("fourier", "cosine"):
            kind = Transform
        elif mixer.startswith("convolution"):
            kind = Convolution
        self.before, self.parallel = config.norm_placement == "before", config.parallel
        self.attention = self.feed_forward = None
        if layer["n_head"]:
            self.attention_norm, self.attention = norm(config), kind(config, index)
        if layer["d_ff"]:
            self.feed_forward_norm, self.feed_forward = norm(config), FeedForward(config, index)

    def forward(self, x, step):
        given, weights = x, None
        if self.attention is not None:
            mixed, weights = self.attention(self.attention_norm(x) if self.before else x, step)
            x = x + mixed if self.before else self.attention_norm(x + mixed)
        if self.feed_forward is not None and self.before:
            x = x + self.feed_forward(self.feed_forward_norm(given if self.parallel else x))
        elif self.feed_forward is not None:
            x = self.feed_forward_norm(x + self.feed_forward(x))
        return x, weights


class LtsPreTrainedModel(PreTrainedModel):
    """What both models below have in common with every model of transformers."""

    config_class = LtsConfig
    base_model_prefix = "model"
    supports_gradient_checkpointing = True
    _no_split_modules = ["LtsLayer"]  # noqa: RUF012
    _supports_sdpa = True

    def _init_weights(self, module):
        super()._init_weights(module)
        for name in ("content_bias", "position_bias", "depthwise"):
            parameter = getattr(module, name, None)
            if isinstance(parameter, nn.Parameter) and not getattr(parameter, "_is_hf_initialized", False):
                std = self.config.initializer_range if name == "depthwise" else 0.0
                nn.init.normal_(parameter, std=std)
        if isinstance(module, AdaptiveSoftmax) and not getattr(module.bias, "_is_hf_initialized", False):
            nn.init.zeros_(module.bias)

    def resize_token_embeddings(self, new_num_tokens=None, *args, **kwargs):
        if self.config.adaptive and new_num_tokens not in (None, self.config.vocab_size):
            raise ValueError(
                f"an adaptive embedding cannot be resized to {new_num_tokens} tokens: its clusters end at "
                f"{self.config.cutoffs}"
            )
        return super().resize_token_embeddings(new_num_tokens, *args, **kwargs)


class LtsModel(LtsPreTrainedModel):
    """Embedding, layers and final norm: hidden states of tokens."""

    def __init__(self, config):
        super().__init__(config)
        d, several = config.d_model, config.adaptive and config.div_val != 1
        sizes = [end - begin for begin, end in config.clusters] if several else [config.vocab_size]
        widths = [config.d_embed // config.div_val**i for i in range(len(sizes))]
        projected = several or (config.adaptive and config.d_embed != d)
        self.token_embedding = nn.ModuleList(map(nn.Embedding, sizes, widths))
        self.embedding_projection = nn.ModuleList(nn.Linear(width, d, bias=False) for width in widths if projected)
        if config.position == "learned":
            self.position_embedding = nn.Embedding(config.n_positions, d)
        if config.encoder:
            self.token_type_embedding = nn.Embedding(2, d)
            self.embedding_norm = norm(config)
        self.layers = nn.ModuleList(LtsLayer(config, index) for index in range(config.n_layer))
        self.final_norm = norm(config) if config.final_norm else nn.Identity()
        self.gradient_checkpointing = False
        self.post_init()

    def get_input_embeddings(self):
        return self.token_embedding[0]

    def set_input_embeddings(self, value):
        self.token_embedding[0] = value

    @can_return_tuple
    def forward(
        self,
        input_ids=None,
        attention_mask=None,
        position_ids=None,
        past_key_values=None,
        inputs_embeds=None,
        use_cache=None,
        output_attentions=None,
        output_hidden_states=None,
        token_type_ids=None,
        cache=None,
        **kwargs,
    ):
        """Hidden states [B, T, d] of tokens [B, T].

        `attention_mask` [B, S] is 0 where a token, also of those before, is padding. Positions count the others, unless
        `position_ids` [B, T] says something else.
        """
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("a forward pass needs either input_ids or inputs_embeds")
        config = self.config
        x = self.embed(input_ids) if inputs_embeds is None else inputs_embeds
        cache = past_key_values if cache is None else cache
        use_cache = config.use_cache and not self.training if use_cache is None else use_cache
        if config.encoder or (self.training and self.gradient_checkpointing):
            use_cache, cache = False, None
        if use_cache and cache is None:
            cache = DynamicCache(config=config)
        if isinstance(cache, StaticCache):
            if config.position == "relative":
                raise ValueError("a memory of layer inputs needs a cache that grows with it, such as DynamicCache")
            if attention_mask is None or attention_mask.dim() != 4:
                raise ValueError("a cache of fixed size needs an attention_mask [B, 1, T, S], as `generate` makes it")
        n_past = 0 if cache is None else cache.get_seq_length()
        positions = self.positions(x, n_past, attention_mask, position_ids)
        step = self.prepare(x, n_past, attention_mask, positions)
        step.cache, step.places = cache, torch.arange(n_past, n_past + x.shape[1], device=x.device)
        keep_weights = config.output_attentions if output_attentions is None else output_attentions
        step.eager = keep_weights or config._attn_implementation == "eager"
        if not any(layer["n_head"] for layer in config.layers):  # somebody has to count the tokens
            step.remember(x[:, None, :, :1], x[:, None, :, :1], 0)

        if config.position == "learned":
            x = x + self.position_embedding(positions)
        if config.encoder:
            kind = torch.zeros_like(positions) if token_type_ids is None else token_type_ids
            x = self.embedding_norm(x + self.token_type_embedding(kind))
        states, attentions = [x], []
        for layer in self.layers:
            x, weights = layer(x, step)
            states.append(x)
            attentions.append(weights)
        x = states[-1] = self.final_norm(x)
        keep_states = config.output_hidden_states if output_hidden_states is None else output_hidden_states
        return BaseModelOutputWithPast(
            last_hidden_state=x,
            hidden_states=tuple(states) if keep_states else None,
            attentions=tuple(attentions) if keep_weights else None,
            **{CACHE: cache if use_cache else None},
        )

    def embed(self, ids):
        """Token embeddings [B, T, d], of clusters of tokens in an adaptive one (Baevski and Auli 2019)."""
        config, tables, projections = self.config, self.token_embedding, self.embedding_projection
        if not config.adaptive:
            return tables[0](ids)
        if len(tables) == 1:
            x = projections[0](tables[0](ids)) if len(projections) else tables[0](ids)
            return x * math.sqrt(config.d_model)
        x = None
        last = len(tables) - 1
        for i, ((begin, end), table, projection) in enumerate(zip(config.clusters, tables, projections, strict=True)):
            # Ends of the vocabulary are not clamped, so that what is no token is an error as in a plain embedding.
            index = (ids - begin).clamp(min=0 if i > 0 else None, max=end - begin - 1 if i < last else None)
            vectors = projection(table(index))
            x = vectors if x is None else torch.where((ids >= begin).unsqueeze(-1), vectors, x)
        return x * math.sqrt(config.d_model)

    def positions(self, x, n_past, attention_mask, position_ids):
        """Positions [B or 1, T] of the new tokens, counting what is no padding."""
        if position_ids is None and attention_mask is not None and attention_mask.dim() == 2:
            position_ids = (attention_mask.long().cumsum(-1) - 1).clamp(min=0)[:, -x.shape[1] :]
        elif position_ids is None:
            position_ids = torch.arange(n_past, n_past + x.shape[1], device=x.device).unsqueeze(0)
        most = self.config.n_positions
        checked = self.config.position == "learned" and not torch.compiler.is_compiling()
        if checked and (last := int(position_ids.max())) >= most:
            raise ValueError(f"position {last} is beyond the {most} positions of this model; the first is 0")
        return position_ids

    def prepare(self, x, n_past, attention_mask, positions):
        """What the layers share in a pass over x [B, T, d]."""
        config, length = self.config, x.shape[1]
        total = n_past + length
        if attention_mask is not None and attention_mask.dim() == 2 and attention_mask.shape[1] != total:
            raise ValueError(f"attention_mask has {attention_mask.shape[1]} columns; there are {total} tokens so far")
        step = Pass()
        visible = None
        if attention_mask is not None and attention_mask.dim() == 4:  # made by `generate`
            visible = attention_mask >= 0 if attention_mask.is_floating_point() else attention_mask.bool()
        else:
            if attention_mask is not None:
                visible = attention_mask.bool()[:, None, None, :]
                if config.encoder:
                    step.tokens = attention_mask.unsqueeze(-1).to(x.dtype)
            if not config.encoder and length > 1:
                if visible is None and n_past == 0 and config.position != "relative":
                    step.causal = True
                else:
                    order = torch.ones(length, total, dtype=torch.bool, device=x.device).tril(n_past)
                    visible = order if visible is None else visible & order
            if visible is None and config.position == "relative":
                visible = torch.ones(1, total, dtype=torch.bool, device=x.device)
        if visible is not None:
            step.mask = torch.zeros(visible.shape, dtype=x.dtype, device=x.device)
            step.mask.masked_fill_(~visible, unseen(x.dtype))
        if config.position == "rotary":
            for width in {layer["head_dim"] for layer in config.layers if layer["n_head"]}:
                angles = positions[:, None, :, None] / periods(config, width, x.device)
                step.rotations[width] = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
        elif config.position == "relative":
            exponents = torch.arange(0, config.d_model, 2, device=x.device, dtype=torch.float32) / config.d_model
            angles = torch.arange(total - 1, -1, -1, device=x.device)[:, None] / 10000**exponents
            step.sinusoids = torch.cat([angles.sin(), angles.cos()], dim=-1)[:, : config.d_model].to(x.dtype)
        return step


class AdaptiveSoftmax(nn.Module):
    """Log-probabilities of all tokens (Grave et al. 2017), with the tables of an adaptive embedding.

    The softmax of the first cluster also decides for each of the others: its last columns stand for these.
    """

    def __init__(self, config):
        super().__init__()
        self.clusters = config.clusters
        self.shared = config.div_val == 1  # one table for all clusters
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))
        if len(self.clusters) > 1:
            self.cluster = nn.Linear(config.d_embed, len(self.clusters) - 1)
        tied = config.tie_projs or [i > 0 for i in range(len(self.clusters))]
        has_projections = not self.shared or config.d_embed != config.d_model
        self.projection = nn.ModuleDict(
            {
                str(i): nn.Linear(config.d_model, config.d_embed // config.div_val**i, bias=False)
                for i in range(len(self.clusters))
                if has_projections and not tied[i]
            }
        )

    def forward(self, x, tables, projections):
        parts = []
        for i, (begin, end) in enumerate(self.clusters):
            source = 0 if self.shared else i
            if str(i) in self.projection:
                hidden = self.projection[str(i)](x)
            else:
                hidden = x @ projections[source].weight if len(projections) else x
            table = tables[source].weight[begin:end] if self.shared else tables[source].weight
            scores = F.linear(hidden, table, self.bias[begin:end])
            if i == 0 and len(self.clusters) > 1:
                scores = torch.cat([scores, self.cluster(hidden)], dim=-1)
            parts.append(scores.log_softmax(-1))
        first, size = parts[0], self.clusters[0][1]
        rest = [part + first[..., size + i : size + i + 1] for i, part in enumerate(parts[1:])]
        return torch.cat([first[..., :size], *rest], dim=-1)


class LtsHead(LtsPreTrainedModel):
    """Base of the models with logits."""

    def __init__(self, config):
        super().__init__(config)
        self.model = LtsModel(config)
        if config.adaptive:
            self.lm_head = AdaptiveSoftmax(config)
        elif not config.tie_embedding:
            self.lm_head = nn.Linear(config.d_model, config.vocab_size, bias=False)
        self.post_init()

    def get_output_embeddings(self):
        if self.config.adaptive:
            return None
        return self.model.token_embedding[0] if self.config.tie_embedding else self.lm_head

    def set_output_embeddings(self, value):
        if self.config.tie_embedding:
            self.model.token_embedding[0] = value
        else:
            self.lm_head = value

    def get_input_embeddings(self):
        return self.model.get_input_embeddings()

    def set_input_embeddings(self, value):
        self.model.set_input_embeddings(value)

    def logits(self, x):
        """Logits, or log-probabilities of an adaptive softmax: [B, T, vocab_size]."""
        if self.config.adaptive:
            return self.lm_head(x, self.model.token_embedding, self.model.embedding_projection)
        return F.linear(x, self.model.token_embedding[0].weight) if self.config.tie_embedding else self.lm_head(x)


class LtsForCausalLM(LtsHead, GenerationMixin):
    """A decoder with logits of the next token."""

    @can_return_tuple
    def forward(
        self,
        input_ids=None,
        attention_mask=None,
        position_ids=None,
        past_key_values=None,
        inputs_embeds=None,
        labels=None,
        use_cache=None,
        output_attentions=None,
        output_hidden_states=None,
        logits_to_keep=0,
        cache=None,
        token_type_ids=None,
        **kwargs,
    ):
        """Logits [B, T, vocab_size], or of the last `logits_to_keep` tokens; with `labels` the loss of next tokens.

        Some tokenizers give `token_type_ids`, which make no difference to a decoder.
        """
        outputs = self.model(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values if cache is None else cache,
            inputs_embeds=inputs_embeds,
            use_cache=use_cache,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
        )
        kept = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
        logits = self.logits(outputs.last_hidden_state[:, kept])
        loss = None
        if labels is not None:
            loss = self.loss_function(logits=logits, labels=labels, vocab_size=self.config.vocab_size, **kwargs)
        return CausalLMOutputWithPast(
            loss=loss,
            logits=logits,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
            **{CACHE: outputs.get(CACHE)},
        )


class LtsForMaskedLM(LtsHead):
    """An encoder with logits of the tokens themselves, by the transposed embedding."""

    @can_return_tuple
    def forward(
        self,
        input_ids=None,
        attention_mask=None,
        position_ids=None,
        inputs_embeds=None,
        labels=None,
        output_attentions=None,
        output_hidden_states=None,
        token_type_ids=None,
        **kwargs,
    ):
        """Logits [B, T, vocab_size]; with `labels` the loss of those that are not -100."""
        outputs = self.model(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            inputs_embeds=inputs_embeds,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
            token_type_ids=token_type_ids,
        )
        logits = self.logits(outputs.last_hidden_state)
        loss = None
        if labels is not None:
            loss = self.loss_function(logits=logits, labels=labels, vocab_size=self.config.vocab_size, **kwargs)
        return MaskedLMOutput(
            loss=loss, logits=logits, hidden_states=outputs.hidden_states, attentions=outputs.attentions
        )
