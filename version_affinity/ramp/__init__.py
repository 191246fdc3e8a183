"""Guarded ramps: percentages that step by themselves, and a guard that can hold them or roll them back.

``plan`` has the states and events, ``judgement`` what the guard finds, and ``next_entry`` decides the next step.
"""
