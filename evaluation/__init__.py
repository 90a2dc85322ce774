"""Measures and compares models on the runtime that serves them, without TensorFlow."""
