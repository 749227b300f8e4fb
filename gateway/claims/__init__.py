"""What a token says of a client, and the keys that prove it."""
