"""The release server's HTTP API."""
