"""Gradual front-end rollouts for WSGI applications, without a page that breaks."""
