"""Tests behind real servers, and the code that starts them."""
