"""From a recipe to a run folder. Recipes and run folders are read without PyTorch; training needs it."""
