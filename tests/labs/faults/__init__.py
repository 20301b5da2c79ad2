"""The fault suite: `make faults`, `make soak` and `make smuggling`; what it found stands in docs/reliability.md.

It starts the proxy as its users do, as a process, puts something that misbehaves on either side, and judges what came out.
pytest runs a small part of it (`test_faults.py`).
"""
