"""The runner: options, plan, session and controller of a run, what pytest drives. Models are imported when needed."""
