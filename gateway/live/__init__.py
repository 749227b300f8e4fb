"""What goes on right now, kept for people: request records, who follows them, and the chains they make."""
