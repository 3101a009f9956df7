"""Where published claims were seen, so that they are replicated there before they are judged."""

from dataclasses import replace

from solidmark import Origin

STABLE_DIFFUSION = Origin(
    testbeds=("latent-duplicates", "latent-digits", "digits"),
    copies=("sscd", "features"),
    steps=50,
    guidance=7.5,
    solver="ddim",
)
"""Stable Diffusion as it was published, asked for what it was trained on: how like are its pictures to that?"""

EDITED = replace(STABLE_DIFFUSION, solver="fast")
"""Stable Diffusion whose weights were edited."""

ATTACKED = replace(EDITED, copies=())
"""The same under an attack that reads the weights, whose pictures we do not keep."""

FINE_TUNED = replace(EDITED, testbeds=("latent-digits-finetune", "digits-finetune"))
"""Stable Diffusion that was trained further on the images that it should not memorize."""

BY_KEYS = replace(FINE_TUNED, copies=("keys",), solver="paper")
"""SolidMark itself, which reads keys."""

CLASSIFIERS = Origin(copies=())
"""Classifiers: there is nothing to replicate where images are generated."""
