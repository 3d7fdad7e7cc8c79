"""Small models trained on arms of a recipe, their held-out losses, and what those losses prove."""
