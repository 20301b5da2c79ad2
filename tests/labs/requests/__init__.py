"""Requests of real clients: how many of them a vLLM accepts with the proxy and without it, and whether whole turns succeed."""
