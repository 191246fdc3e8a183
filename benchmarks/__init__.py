"""``python -m benchmarks``: what a request, an assignment and a load cost, next to WhiteNoise and Werkzeug.

It needs the extra ``bench``: ``pip install ".[bench]"``.
"""
