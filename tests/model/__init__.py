"""The model of the tests: it tells apart the garments that they draw, whatever model is in `model/`."""
