"""The admin API: health, metrics and what is known, over HTTP for people and programs."""
