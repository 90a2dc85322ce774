"""Trains, converts and evaluates the model that `functions/classifier` serves."""
