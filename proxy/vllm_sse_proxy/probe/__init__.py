"""`vllm-sse-proxy probe`: what is broken in a running vLLM, for which clients it matters, and what the proxy does about it.

It asks the server for its version and models, sends it a dozen short requests of each family that it has, and has every
answer judged twice: as it came, and as the proxy repairs it.
"""
