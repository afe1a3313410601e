"""The live page and the reading API: one server process, any number of viewers, nothing but static files and SSE."""
