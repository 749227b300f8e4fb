"""Who may pass: users with passwords, and what an authorization service says."""
