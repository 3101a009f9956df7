"""A small Stable Diffusion: its configuration, and the diffusers and transformers parts that follow from it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import nn

from ..data import COMMON_WORDS
from ..errors import InvalidValue, NotApplicable
from ..provenance import ADDED, DIGESTED
from .network import Network


@dataclass(frozen=True)
class LatentNetwork(Network):
    """The configuration of a latent denoiser: `UNet2DConditionModel`, `CLIPTextModel` and `AutoencoderKL`.

    `size` and `channels` are those of the images. The autoencoder halves them once for each of `autoencoder_widths` but
    the first, and has `latent_channels`; `patch` is not used. Betas, spacing, offset and last level are those of the
    scheduler of Stable Diffusion (arXiv 2112.10752). `vocabulary` are further words that are a token each. Raises
    InvalidValue for a size that the autoencoder cannot halve.
    """

    size: int = 32
    patch: int = 1
    context: int = 16
    betas: str = "scaled_linear"
    beta_start: float = 0.00085
    beta_end: float = 0.012
    spacing: str = "leading"
    offset: int = 1
    last_is_clean: bool = False
    zero_terminal_snr: bool = False
    latent_channels: int = 4
    autoencoder_widths: tuple[int, ...] = (16, 32, 32)
    vocabulary: tuple[str, ...] = field(default=(), metadata={**ADDED, **DIGESTED})

    def __post_init__(self) -> None:
        if self.size % self.factor or self.kind != "text":
            found, cure = f"size={self.size}, kind={self.kind!r}", "Choose such a size, and captions."
            raise InvalidValue("LatentNetwork", found, f"kind 'text' and a size divisible by {self.factor}", cure)

    @property
    def x_channels(self) -> int:
        """Channels of a latent."""
        return self.latent_channels

    @property
    def factor(self) -> int:
        """How many pixels a latent cell is wide."""
        return int(2 ** (len(self.autoencoder_widths) - 1))


def build_autoencoder(config: LatentNetwork) -> nn.Module:
    """The autoencoder of a configuration, with random weights."""
    from diffusers import AutoencoderKL

    levels = len(config.autoencoder_widths)
    autoencoder: Any = AutoencoderKL(
        in_channels=config.channels,
        out_channels=config.channels,
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        block_out_channels=config.autoencoder_widths,
        layers_per_block=1,
        latent_channels=config.latent_channels,
        norm_num_groups=8,
        sample_size=config.size,
        mid_block_add_attention=False,
    )
    built: nn.Module = autoencoder
    return built


def build_unet(config: LatentNetwork) -> nn.Module:
    """The denoiser of a configuration, which attends to the caption in its middle."""
    from diffusers import UNet2DConditionModel

    depth = len(config.widths)
    unet: Any = UNet2DConditionModel(
        sample_size=config.size // config.factor,
        in_channels=config.latent_channels + config.extra_channels,
        out_channels=config.latent_channels,
        block_out_channels=config.widths,
        layers_per_block=config.layers,
        down_block_types=("DownBlock2D",) * depth,
        up_block_types=("UpBlock2D",) * depth,
        mid_block_type="UNetMidBlock2DCrossAttn",
        norm_num_groups=8,
        cross_attention_dim=config.text_width,
        attention_head_dim=config.heads,  # diffusers reads this as the number of heads
        dropout=config.dropout,
    )
    built: nn.Module = unet
    return built


def build_text(config: LatentNetwork) -> tuple[Any, nn.Module]:
    """Tokenizer and text encoder. CLIP's initial embeddings of 0.02 learn slowly at this size, so they start at 1."""
    transformers = _transformers()
    tokenizer = build_tokenizer(config)
    encoder: Any = transformers.CLIPTextModel(
        transformers.CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=config.text_width,
            intermediate_size=2 * config.text_width,
            num_hidden_layers=config.text_layers,
            num_attention_heads=4,
            max_position_embeddings=config.context,
            projection_dim=config.text_width,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    words: Any = encoder.get_input_embeddings()
    nn.init.normal_(words.weight, std=1.0)
    return tokenizer, encoder


def _transformers() -> Any:
    try:
        import transformers
    except ImportError as cause:
        cure = "Install it: pip install 'solidmark[pipelines]'."
        raise NotApplicable("LatentNetwork", "no package transformers", "its text encoder", cure) from cause
    return transformers


def build_tokenizer(config: LatentNetwork) -> Any:
    """Whole words, and letters and pairs of digits for all other words, as byte pairs would be. It needs no training.

    Whole are class names, `w0` and so on, the words of the vocabulary, and COMMON_WORDS.
    """
    from tokenizers import Tokenizer, pre_tokenizers, processors
    from tokenizers.models import WordPiece

    letters = [chr(code) for code in range(ord("a"), ord("z") + 1)] + [str(digit) for digit in range(10)]
    pairs = [f"{number:02d}" for number in range(100)]
    words = [*config.classes, *(f"w{number}" for number in range(config.words)), *config.vocabulary, *COMMON_WORDS]
    pieces = dict.fromkeys(["<pad>", "<bos>", "<eos>", "<unk>", *words, *letters, *pairs])
    pieces |= dict.fromkeys(f"##{piece}" for piece in letters + pairs)
    core = Tokenizer(WordPiece({word: index for index, word in enumerate(pieces)}, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    core.post_processor = processors.TemplateProcessing(single="<bos> $A <eos>", special_tokens=[("<bos>", 1), ("<eos>", 2)])
    return _transformers().PreTrainedTokenizerFast(
        tokenizer_object=core,
        bos_token="<bos>",
        eos_token="<eos>",
        pad_token="<pad>",
        unk_token="<unk>",
        model_max_length=config.context,
    )


def build_pipeline(config: LatentNetwork, unet: nn.Module, autoencoder: nn.Module, scale: float, text: Any) -> Any:
    """The `StableDiffusionPipeline` of these parts, which shares their weights, with DDIM on the schedule of training.

    `text` has a `tokenizer` and an `encoder`. `pipeline.save_pretrained(folder)` writes what
    `DiffusionPipeline.from_pretrained(folder)` reads.
    """
    from diffusers import DDIMScheduler, StableDiffusionPipeline

    scheduler = DDIMScheduler(
        num_train_timesteps=config.schedule_steps,
        beta_schedule=config.betas,
        beta_start=config.beta_start,
        beta_end=config.beta_end,
        prediction_type=config.prediction,
        timestep_spacing=config.spacing,
        steps_offset=config.offset,  # the pipeline would turn an offset of 0 into 1 without a word
        set_alpha_to_one=config.last_is_clean,
        rescale_betas_zero_snr=config.zero_terminal_snr,
        clip_sample=False,
    )
    twin: Any = autoencoder
    twin.register_to_config(scaling_factor=scale)
    return StableDiffusionPipeline(
        vae=twin,
        text_encoder=text.encoder,
        tokenizer=text.tokenizer,
        unet=unet,
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        image_encoder=None,
        requires_safety_checker=False,
    )
