"""Training with the text encoder as it is, as all published methods that disturb its output do."""

from solidmark import Trainer


class FrozenEncoderTrainer(Trainer):
    """Trains the denoiser alone. An encoder that were trained along would learn its way round the noise on its output.

    On a pipeline whose encoder is given, which is frozen anyway, it changes nothing.
    """

    def prepare(self) -> None:
        """Freeze the encoder before the optimizer is made."""
        self.inner.prepare()
        for parameter in self.model.text.parameters():
            parameter.requires_grad_(False)
