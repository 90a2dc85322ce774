"""The files of a run's folder: what `train` hands to `publish`. TensorFlow is in the former's process alone."""

RECIPE_FILE = "recipe.json"
VALIDATION_LOGITS_FILE = "validation_logits.npy"
