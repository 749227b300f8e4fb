"""From files, the environment and the command line to settings that make sense."""
