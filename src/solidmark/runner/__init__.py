"""The runner: options, plan, session and controller of a run that pytest drives. Models are imported when needed."""
