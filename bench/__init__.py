"""What the proxy costs: ``make bench``, ``make bench-micro``. See bench/README.md."""
