"""What every listener for programs and people has in common: whose requests it takes, how it reads and how it refuses.

The data plane is none of them: it has its own server, and serves browsers.
"""
