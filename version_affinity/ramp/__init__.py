"""Guarded ramps: percentages that step by themselves, and a guard that can hold them or roll them back."""
