"""Guidance in the first steps alone, as a call of diffusers whose callback switches it off."""


def call(pipe, captions, share=0.5, **options):
    """Guided for the first part of the steps; in the last `share` of them the caption alone."""

    def switch_off(pipe, step, timestep, tensors):
        if step + 1 == round((1 - share) * pipe.num_timesteps):
            pipe._guidance_scale = 0.0  # from here on one prediction a step, that of the caption
            tensors["prompt_embeds"] = tensors["prompt_embeds"].chunk(2)[-1]
        return tensors

    return pipe(
        captions,
        callback_on_step_end=switch_off,
        callback_on_step_end_tensor_inputs=["prompt_embeds"],
        **options,
    )
