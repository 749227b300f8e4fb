"""Where rules are kept, and how they are followed."""
