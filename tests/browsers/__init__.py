"""Tests in real browsers, and the fixtures that start them."""
